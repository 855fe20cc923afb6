"""The synthetic talker: speech from espeak-ng, a drawn face that says it, and the two data sets made of them."""

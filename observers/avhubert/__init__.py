"""AV-HuBERT: a lip reader that writes words (WER1), also the expert of TalkLip's training."""

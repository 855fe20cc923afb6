"""Files of weights.

In: a name, a path or a published file. Out: tensors that were read without running any code in the file, and the card
that says what they are. Begin with ``card.py`` (the data sheet), then ``catalogue.py`` (all cards), ``weights.py``
(which file is used) and ``state_dict.py`` (how it is read).
"""

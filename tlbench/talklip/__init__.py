"""TalkLip, the generator of the paper: networks, losses, training and inference.

In: a data set, a variant and a lip reader as expert. Out: a generator, and the videos it makes. Begin with
``generator.py``, then ``train_step.py`` and ``trainer.py``, or ``face_generator.py``.
"""

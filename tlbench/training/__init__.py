"""Training of observers: data sets of crops, one training loop, and the contracts Trainable and Expert.

In: the clips of a data set and an observer's ``Trainable``. Out: a run folder with the best checkpoint as a package.
Begin with :func:`tlbench.training.train_observer.train_observer`; :mod:`tlbench.training.loop` is the loop, and
:mod:`tlbench.training.trainable` says what an observer has to give.
"""

"""Checkpoints: cards, the catalogue, downloads, safe reading of published files, and packages.

In: a card's name, or a file that torch.save wrote. Out: tensors and a configuration, without running code in the file.
Begin with :mod:`tlbench.checkpoints.card`; :mod:`tlbench.checkpoints.weights` chooses the file for an observer, and
:mod:`tlbench.checkpoints.state_dict` reads it.
"""

"""Data sets: where clips come from.

In: the name of a data set and its folder. Out: a :class:`~tlbench.datasets.selection.Selection` of
:class:`~tlbench.datasets.clip.Clip`. Begin with :func:`tlbench.datasets.selection.load_dataset`; the contract of data
sets is in :mod:`tlbench.datasets.dataset`, and each data set has a module of its own (``lrs2.py``, ``grid.py``).
"""

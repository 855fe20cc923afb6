"""One training loop for every observer.

In: a data set and a network that keeps the contract of ``trainable.py``. Out: a package of weights, and a run folder
from which training goes on exactly. Begin with ``trainable.py``, then ``loop.py``.
"""

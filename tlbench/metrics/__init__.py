"""Metrics: from evidence to numbers, without networks.

In: the :class:`~tlbench.observing.evidence.Evidence` of one clip. Out: a tally, which adds up over clips to the number
in the table. Begin with :mod:`tlbench.metrics.metric`; all metrics are listed in :mod:`tlbench.metrics.catalogue`.
:mod:`tlbench.metrics.protocol` says how a number was made.
"""

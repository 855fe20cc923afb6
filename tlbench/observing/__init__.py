"""Observers and what runs them.

In: clips and a :class:`~tlbench.observing.plan.Plan`. Out: one :class:`~tlbench.observing.evidence.Observation` per
clip, cached by content. Begin with :mod:`tlbench.observing.observer`, the contract of observers, then
:mod:`tlbench.observing.runner`.
"""

"""Which differences between systems are real.

In: results over the same clips. Out: paired tests, rankings and ties. Begin with ``compare.py``.
"""

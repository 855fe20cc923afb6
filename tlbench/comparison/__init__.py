"""Which differences between systems are real.

In: results. Out: paired tests of two systems (``compare.py``) and ranks of many (``ranking.py``). Begin reading with
``compare.py``.
"""

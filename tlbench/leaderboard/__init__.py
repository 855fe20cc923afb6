"""Leaderboards: records of systems, and the tables and pages made from them.

In: result files, or figures that a paper printed. Out: one checked record a system, ranked tables and a static site.
Begin with ``submission.py``, then ``standings.py`` and ``build.py``.
"""

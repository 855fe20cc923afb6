"""Leaderboards: records of systems, and the tables and pages built from them.

In: result files. Out: records, Markdown tables and a static site. Begin reading with ``build.py``.
"""

"""A run, or two next to each other, as one web page.

In: a result, its records and its videos. Out: one HTML file that needs nothing else. Begin with ``report.py``.
"""

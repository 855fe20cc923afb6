"""A run, or two, as one web page: texts and curves of each clip from its records, and pictures from its videos.

In: results and their records. Out: one HTML file. Begin reading with ``report.py``.
"""

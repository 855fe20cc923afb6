"""Measures which metric notices which fault in a video.

In: real videos and faults of growing size. Out: curves, rank correlations and verdicts. Begin reading with
``calibrate.py``.
"""

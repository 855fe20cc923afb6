"""Figures for papers.

In: videos of several generators, or their checkpoints. Out: snapshots of a clip and plots of audio embeddings. Begin
with ``plotting.py``.
"""

"""Figures for papers: frames of one clip by several systems, and audio embeddings of words.

In: folders of videos, or checkpoints of generators. Out: PNG, PDF or SVG files. Begin reading with
``snapshot_figure.py`` or ``embedding_figure.py``.
"""

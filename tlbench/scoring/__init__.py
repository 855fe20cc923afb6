"""The main job: a folder of generated videos to a result.

In: videos, a data set, metrics. Out: one record (evidence) for each clip, and a result: values with intervals and
``scored n of N``. Begin with ``score.py``, then ``setup.py``, ``run.py``, ``aggregation.py`` and ``result.py``.
"""

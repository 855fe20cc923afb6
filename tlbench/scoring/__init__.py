"""The main job: a folder of generated videos to a result.

In: videos, a data set, metrics. Out: one record a clip (its evidence), and a result: values with intervals and
``scored n of N``. Begin with ``score.py``, then ``record.py``, ``aggregation.py`` and ``result.py``.
"""

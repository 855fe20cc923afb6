"""A user study: what people say of the videos, and whether they can read them.

In: videos of several generators. Out: a web page for participants, their answers in one SQLite file, and tables of
means, agreement and correlation. Begin with ``plan.py``, then ``store.py``, ``site.py`` and ``answers.py``.
"""

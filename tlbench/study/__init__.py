"""A user study as a web page: which participant sees which clip, the videos, the site, the answers and their numbers.

In: folders of videos. Out: a folder with a study, and tables of its results. Begin reading with ``new_study.py``
(before the study) or ``results.py`` (after it).
"""

"""Leaderboards: records of systems, and the tables and pages built from them.

In: result files. Out: records, Markdown tables and a static site. Begin reading with ``build.py``;
``submission_file.py`` makes, writes and reads a record, and ``submission.py`` is the record.
"""

"""A result as text.

In: results or a comparison. Out: a table for the terminal, Markdown, CSV, JSON or LaTeX. Begin with ``table.py``;
``table_format.py`` draws any table and knows nothing of metrics.
"""

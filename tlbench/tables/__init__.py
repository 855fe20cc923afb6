"""Results and comparisons as text: for a terminal, Markdown, LaTeX, CSV and JSON.

In: results and comparisons. Out: text that fits the terminal. Begin reading with ``result_table.py``; ``terminal.py``
draws any document.
"""

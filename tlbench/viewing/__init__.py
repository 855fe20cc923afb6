"""A local page that lists runs, shows their progress, and opens reports and comparisons: ``tlbench view``.

Begin with `site.py`.
"""

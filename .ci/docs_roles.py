"""Sphinx's roles in docstrings as plain code: ``:func:`tlbench.compare``` is shown as ``compare``.

Docstrings point at each other by those roles, which editors know; the site is not built by Sphinx.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+)`")


class Roles(griffe.Extension):
    """Rewrites each docstring once it has been read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Griffe's hook, whose signature this is; called for modules, classes, functions and attributes."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"``\1``", obj.docstring.value)

"""Checks of a clip's files, faces and sound before any number is computed.

In: a :class:`~tlbench.datasets.selection.Selection` of clips. Out: a list of
:class:`~tlbench.preflight.findings.Finding`, used by ``tlbench check`` and by every ``score``. Begin with
:func:`tlbench.preflight.clip.check_clip`; all codes are in :mod:`tlbench.preflight.findings`.
"""

"""Documents in Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tlbench.document import Cell, Document, clean, in_all_texts


def draw_markdown(document: Document) -> str:
    """A document in Markdown with the tables of GitHub (https://github.github.com/gfm/#tables-extension-)."""
    lines = [f"**{markdown_text(document.heading)}**"]
    for table in document.tables:
        lines += ["", f"**{markdown_text(table.title)}**", ""]
        lines.append(_markdown_row(_head(cell, markdown_text) for cell in table.head))
        lines.append(_markdown_row(":---" if i in table.left else "---:" for i in range(len(table.head))))
        for label, rows in table.sections:
            if label:
                lines.append(_markdown_row([f"*{markdown_text(label)}*"] + [""] * (len(table.head) - 1)))
            lines += [_markdown_row(_markdown_cell(cell) for cell in row) for row in rows]
    if document.notes:
        lines += ["", *(f"- {markdown_line(note)}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _head(cell: Cell, escape: Callable[[str], str]) -> str:
    return f"{escape(cell.text)} ({escape(cell.detail)})" if cell.detail else escape(cell.text)


def _markdown_cell(cell: Cell) -> str:
    return markdown_text(cell.text) + (" " + markdown_text(cell.detail) if cell.detail else "")


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_LINKED = re.compile(r"(?<=\bwww)\.|(?<=\w)@(?=[\w-]+\.\w)", re.IGNORECASE)  # www.example.org, somebody@example.org
# What begins something at the start of a line: lists, headings, quotes, rules, and definitions of links.
_DEFINITION = re.compile(r"""^\[(?=[^]]*\]:\s*\S+(\s+["'(].*)?$)""")
_STARTS_BLOCK = re.compile(r"^([-+](?=\s|$)|[-=]+(?=\s*$)|[0-9]{1,9}(?=[.)](\s|$)))")


def markdown_text(text: str) -> str:
    """Text escaped so that nothing in it is taken for markup, a link, HTML, a formula or the end of a cell or line."""
    escaped = "".join("\\" + c if c in "\\`*_<>|~#$" else "&amp;" if c == "&" else c for c in clean(text))
    # Brackets alone make no link, and intervals are full of them. Addresses become links by themselves.
    for made, plain in (("](", "]\\("), ("][", "]\\["), ("://", "\\://")):
        escaped = escaped.replace(made, plain)
    return _LINKED.sub(r"\\\g<0>", escaped)


def markdown_line(text: str) -> str:
    """As :func:`markdown_text`, for a text at the start of a line or of an item of a list."""
    text = _DEFINITION.sub(r"\\\g<0>", markdown_text(text))
    return _STARTS_BLOCK.sub(lambda start: "\\" + start[0] if start[0][0] in "-+=" else start[0] + "\\", text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # a bracket at the start of a row would be an option of the line break before it
    "]": "{]}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "∞": r"$\infty$",
    "─": "-",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "±": r"$\pm$",
}


def latex_text(text: str) -> str:
    """Text escaped so that nothing in it is taken for a command."""
    return "".join(_LATEX.get(character, character) for character in text)


def draw_latex(document: Document) -> str:
    """A document in LaTeX, one tabular a table. Needs the package booktabs, and fontenc T1 where names need it."""
    document = in_all_texts(document, clean)  # a line break would end a comment
    lines = [f"% {document.heading}"]
    for table in document.tables:
        width = len(table.head)
        lines += ["", f"% {table.title}"]
        lines.append(r"\begin{tabular}{" + "".join("l" if i in table.left else "r" for i in range(width)) + "}")
        lines.append(r"\toprule")
        lines.append(" & ".join(_head(cell, latex_text) for cell in table.head) + r" \\")
        lines.append(r"\midrule")
        for label, rows in table.sections:
            if label:
                lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex_text(label)}}}}} \\"]
            lines += [" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += ["", *(f"% {note}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    return latex_text(cell.text) + (rf" {{\scriptsize {latex_text(cell.detail)}}}" if cell.detail else "")

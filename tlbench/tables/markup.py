"""Documents in Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tlbench.document import Cell, Document


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
        lines += ["", *(f"- {markdown_text(note)}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _head(cell: Cell, escape: Callable[[str], str]) -> str:
    return f"{escape(cell.text)} ({escape(cell.detail)})" if cell.detail else escape(cell.text)


def _markdown_cell(cell: Cell) -> str:
    return markdown_text(cell.text) + (" " + markdown_text(cell.detail) if cell.detail else "")


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def markdown_text(text: str) -> str:
    """Text escaped so that nothing in it is taken for markup, a link, HTML or the end of a cell."""
    escaped = "".join("\\" + c if c in "\\`*_<>|~#" else "&amp;" if c == "&" else c for c in text)
    return escaped.replace("](", "]\\(")  # brackets alone make no link, and intervals are full of them


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
    "±": r"$\pm$",
}


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def draw_latex(document: Document) -> str:
    """A document in LaTeX, one tabular a table. Needs the package booktabs, and fontenc T1 where names need it."""
    lines = [f"% {document.heading}"]
    for table in document.tables:
        width = len(table.head)
        lines += ["", f"% {table.title}"]
        lines.append(r"\begin{tabular}{" + "".join("l" if i in table.left else "r" for i in range(width)) + "}")
        lines.append(r"\toprule")
        lines.append(" & ".join(_head(cell, _latex_text) for cell in table.head) + r" \\")
        lines.append(r"\midrule")
        for label, rows in table.sections:
            if label:
                lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{_latex_text(label)}}}}} \\"]
            lines += [" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
    lines += ["", *(f"% {note}" for note in document.notes)]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    return _latex_text(cell.text) + (rf" {{\scriptsize {_latex_text(cell.detail)}}}" if cell.detail else "")

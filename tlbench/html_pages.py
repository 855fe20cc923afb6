"""Pages from templates: everything that is put into a template is text, and no text changes how a page reads."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

# Control characters but tabs and line breaks, characters that are invisible or turn the direction of reading, halves of
# a surrogate pair. Not the joiners (U+200C, U+200D), which words of Persian and Hindi are written with.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(value: object) -> object:
    """What a template prints, with hidden characters as escapes, such as ``\\u200b``; not a text, as it is."""
    if not isinstance(value, str) or _HIDDEN.search(value) is None:
        return value
    shown = _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return Markup(shown) if isinstance(value, Markup) else shown  # it was markup before


def template_environment(package: str) -> Environment:
    """The templates of a package. Values are escaped, hidden characters are shown, a missing value is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )

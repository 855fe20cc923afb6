"""The errors a person sees: one line that names the offending value and the way out.

Every room may raise these; the command line prints their text without a traceback.
"""


def one_line(text: str) -> str:
    """``text`` with everything unprintable escaped, so that a file's name can't draw on the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class TlbenchError(Exception):
    """Something the user can mend. The message is one line: what is wrong, and the way out."""


class ClipError(TlbenchError):
    """One clip can't be observed. It becomes a record with this reason and the run goes on.

    Parameters
    ----------
    code : str
        Stable short reason for programs, in kebab case: ``no-audio``, ``unreadable``, ``too-short``.
    message : str
        One line for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # errors cross process borders
        return type(self), (self.code, self.message)

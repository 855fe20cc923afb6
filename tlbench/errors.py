"""Errors for users: one line that names the offending value and what to do.

The command line prints their text without a traceback.
"""


def one_line(text: str) -> str:
    """``text`` with unprintable characters escaped, so that a file name can't control the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class TlbenchError(Exception):
    """An error that the user can fix. The message is one line: what is wrong and what to do."""


class ClipError(TlbenchError):
    """One clip can't be scored. The run records the reason and goes on with the other clips.

    Parameters
    ----------
    code : str
        Stable short reason in kebab case: ``no-audio``, ``unreadable``, ``too-short``.
    message : str
        One line for the user.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # errors are sent between processes
        return type(self), (self.code, self.message)

"""Text for terminals and files that do not know all letters: nothing printed may end a run."""

import codecs
from io import TextIOWrapper
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from ulens.visible import make_visible

_ERRORS = "ulens.replace"
_ALIKE = str.maketrans(
    {
        "µ": "u", "μ": "u", "×": "x", "−": "-", "–": "-", "…": "...", "≤": "<=", "≥": ">=",
        "·": "*", "²": "^2", "³": "^3", "σ": "sigma", "Å": "A", "→": "->", "↔": "<->", "±": "+-",
    }
)  # fmt: skip


def make_printable(stream: TextIO) -> None:
    """Make a stream write what its encoding lacks in other letters, instead of raising.

    Examples
    --------
    >>> from io import BytesIO
    >>> stream = TextIOWrapper(BytesIO(), encoding="ascii")
    >>> make_printable(stream)
    >>> _ = stream.write("0.5 µm, 세.tif")
    >>> stream.flush()
    >>> stream.buffer.getvalue()
    b'0.5 um, \\\\uc138.tif'
    """
    codecs.register_error(_ERRORS, _replace)
    if isinstance(stream, TextIOWrapper):  # not where a test or a notebook put its own
        stream.reconfigure(errors=_ERRORS)


class PlainConsole(Console):
    """A terminal that no name of a file can steer."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return what is shown of a text, of a cell too, with its control characters visible."""
        return super().render_str(make_visible(text), **options)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return letters that look alike; those without any as their number, such as \\uc138."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    alike = lacking.translate(_ALIKE)
    return alike.encode("ascii", "backslashreplace").decode("ascii"), error.end

"""One HTML page that needs nothing else: no network, no script, no other file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from math import isfinite
from numbers import Integral
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image as PillowImage

from ulens.errors import OutputError, ShapeError
from ulens.io.atomic import replace_files
from ulens.visible import make_visible

LARGEST_SIDE = 1024  # pixels; more would only make the page slow
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
WEBP_SIGNATURE = b"RIFF", b"WEBP"  # around four bytes of length


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Values under column names.

    Parameters
    ----------
    header : name of each column
    rows : as many cells in each as the header has; numbers are rounded for the eye
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.header):
                raise ShapeError(
                    f"row {number} of the table has {len(row)} cells, its header {len(self.header)}"
                    " columns; give one cell per column"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture with its caption.

    Parameters
    ----------
    image : bytes of a PNG or WebP file, or (Y, X) or (Y, X, 3) uint8, shrunk where it is larger
        than a screen
    caption : what it shows, in words
    """

    image: bytes | np.ndarray
    caption: str

    def __post_init__(self) -> None:
        if isinstance(self.image, bytes):
            if not (self.image.startswith(PNG_SIGNATURE) or _is_webp(self.image)):
                raise ShapeError(
                    f"bytes of {self.caption!r} are no PNG or WebP file; give one of these"
                )
            return
        shape, dtype = self.image.shape, self.image.dtype
        if dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
            raise ShapeError(
                f"picture {self.caption!r} is {shape} {dtype}; give (Y, X) or (Y, X, 3) uint8, "
                "for instance from stretch_contrast()"
            )

    @property
    def data_url(self) -> str:
        """The picture as text that a page can hold."""
        data = self._encoded()
        kind = "webp" if _is_webp(data) else "png"
        return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")

    def _encoded(self) -> bytes:
        if isinstance(self.image, bytes):
            return self.image
        buffer = io.BytesIO()
        picture = PillowImage.fromarray(self.image)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), PillowImage.Resampling.BOX)
        picture.save(buffer, format="PNG")
        return buffer.getvalue()


def _is_webp(data: bytes) -> bool:
    return (data[:4], data[8:12]) == WEBP_SIGNATURE


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of the page: heading, words, a table, pictures side by side.

    Parameters
    ----------
    title : the heading
    text : paragraphs, separated by blank lines
    table : shown below the text
    images : shown below the table, up to four in a row; a click enlarges one
    closing : a paragraph at the end
    """

    title: str
    text: str = ""
    table: Table | None = None
    images: Sequence[Picture] = field(default_factory=tuple)
    closing: str = ""


def write_report(
    path: Path | str, *, title: str, summary: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> None:
    """Write a page that opens in any browser, offline, and prints.

    Parameters
    ----------
    path : the HTML file; one that is there is replaced, at once and whole
    title : heading of the page
    summary : (name, value) of the headline facts; values of a few characters are set large
    sections : in reading order

    Raises
    ------
    OutputError : the file cannot be written; what was there before is untouched
    """
    path = Path(path)
    try:
        # names that the system could not decode have no letters in UTF-8
        page = _render(title, summary, sections).encode(errors="backslashreplace")
        replace_files(path.parent, {path.name: page})
    except OSError as error:
        raise OutputError(
            f"cannot write the report {path}: {error.strerror}; "
            "check the folder, its permissions and the free space"
        ) from error


def _render(title: str, summary: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    environment = Environment(
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = format_cell
    template = environment.from_string(files(__package__).joinpath("page.html").read_text("utf-8"))
    return template.render(title=title, summary=summary, sections=sections)


def _finalize(value: object) -> object:
    return make_visible(value) if isinstance(value, str) else value


def format_cell(value: str | int | float) -> str:
    """Write scores with four decimals so that columns align, large numbers with few, NaN as –.

    Examples
    --------
    >>> format_cell(0.5), format_cell(1234), format_cell(12.345)
    ('0.5000', '1,234', '12.35')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return f"{value:,}"
    if not isfinite(value):
        return "–"
    num_decimals = 4 if abs(value) <= 1 else 2 if abs(value) < 100 else 0
    return f"{value:,.{num_decimals}f}"

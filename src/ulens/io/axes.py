"""What the axes of a file mean: what the user says, else its metadata, else a rule that is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.errors import FileError, SettingError
from ulens.image import name_shape

_THIN_PX = 4
_WIDE_PX = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Axes:
    """The axes of an array in a file.

    Parameters
    ----------
    stored : a letter of ``TCZYX`` for each, "_" for those of one pixel that mean nothing
    found : how they were found, a sentence for the user
    is_guess : whether neither the user nor the file names them
    """

    stored: str
    found: str
    is_guess: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how they were found."""
        return (f"{self.found}; --axes says it otherwise",) if self.is_guess else ()


def find_axes(
    letters: str, shape: Sequence[int], path: Path, *, asked: str | None, source: str | None
) -> Axes:
    """Name the axes of an array in a file.

    Parameters
    ----------
    letters : what the file calls them: of ``TCZYX``, or S for the samples of a color, or I and Q
        for those without a name; any other letter, or none at all, is no name that is known
    shape : pixels along each
    path : of the file, for messages
    asked : letters from ``TCZYX`` by the user, which overrule the file: one for each axis or for
        each that is longer than one pixel. C may be left out for the samples of a color, and is
        passed over where there are no channels: so one text serves images and their labels
    source : what in the file names the axes, such as "OME metadata"; None where nothing needs to

    Raises
    ------
    SettingError : `asked` does not fit
    FileError : the axes have no names, or others than these, and no rule tells them

    Notes
    -----
    Planes without a name are frames. But where they are at most 4 pixels wide, though at least 16
    high and at least 16 in number, the array was saved with its channels last; where they are as
    low as that, nothing tells what they are.

    Examples
    --------
    >>> find_axes("IYX", (64, 64, 2), Path("a.tif"), asked=None, source=None).found
    '64 pages of 64×2 px without axes, taken as 64×64 px with 2 channels (YXC)'
    """
    if asked is not None:
        stored = _as_asked(asked, letters, shape, path)
        return Axes(stored=stored, found=f"axes {_meant(stored)} as asked for")
    guess = _guess(letters, shape)
    named = guess or letters.replace("S", "C")
    stored = "".join(
        letter if letter in "TCZYX" or length > 1 else "_"
        for letter, length in zip(named, shape, strict=False)
    )
    meant = _meant(stored)
    if len(letters) < len(shape) or not _are_axes(meant):
        raise FileError(
            f"{path} has axes {letters or 'without names'} of sizes {name_shape(shape)}; need Y "
            "and X and at most one each of T, C and Z; say which they are, such as --axes ZYX"
        )
    if guess is None:
        known_from = f"from the file's {source}" if source else "of a single page"
        return Axes(stored=stored, found=f"axes {meant} {known_from}")
    named_by_size = zip(letters, shape, strict=True)
    num_pages = next(length for letter, length in named_by_size if letter in "IQ" and length > 1)
    found = f"{num_pages} pages without axes, taken as frames ({meant})"
    if guess.endswith("YXC"):
        num_pages, height, width = shape[-3:]
        found = (
            f"{num_pages} pages of {height}×{width} px without axes, taken as {num_pages}×{height} "
            f"px with {width} channel{'s' if width > 1 else ''} ({meant})"
        )
    return Axes(stored=stored, found=found, is_guess=True)


def check_axes(asked: str) -> str:
    """Return what the user says of axes in capitals, or raise SettingError where it is none."""
    if not _are_axes(asked.upper()):
        raise SettingError(
            f"axes are {asked!r}; need Y and X and at most one each of T, C and Z, such as ZYX"
        )
    return asked.upper()


def in_standard_order(data: np.ndarray, stored: str) -> tuple[np.ndarray, str]:
    """Return an array with its axes in the order of ``TCZYX``, and their letters.

    Axes of one pixel are left out, but Y and X.

    Parameters
    ----------
    data : any dtype, one dimension per letter of `stored`
    stored : as in `Axes`

    Examples
    --------
    >>> pixels, letters = in_standard_order(np.zeros((5, 4, 3, 1)), "YXC_")
    >>> pixels.shape, letters
    ((3, 5, 4), 'CYX')
    """
    single = tuple(i for i, a in enumerate(stored) if data.shape[i] == 1 and a not in "YX")
    letters = "".join(letter for i, letter in enumerate(stored) if i not in single)
    order = sorted(range(len(letters)), key=lambda i: "TCZYX".index(letters[i]))
    return data.squeeze(single).transpose(order), "".join(letters[i] for i in order)


def _guess(letters: str, shape: Sequence[int]) -> str | None:
    """Name the axes that the file does not; None where there are none."""
    is_unnamed = [letter in "IQ" and n > 1 for letter, n in zip(letters, shape, strict=False)]
    if not any(is_unnamed):
        return None
    if letters.endswith("YX") and is_unnamed[-3]:
        num_pages, height, width = shape[-3:]
        if width <= _THIN_PX and min(num_pages, height) >= _WIDE_PX:
            letters = f"{letters[:-3]}YXC"
        elif height <= _THIN_PX and min(num_pages, width) >= _WIDE_PX:
            return letters  # no rule tells what such pages are
    return letters.replace("S", "C").replace("I", "T").replace("Q", "T")


def _as_asked(asked: str, letters: str, shape: Sequence[int], path: Path) -> str:
    """Return a letter for each stored axis, by what the user says."""
    asked = check_axes(asked)
    everywhere = range(len(shape))
    long = [i for i in everywhere if shape[i] > 1]
    samples = [i for i in everywhere if letters[i : i + 1] == "S"]
    others = asked.replace("C", "")
    for places, given in (
        # the samples of a color are channels wherever the user names them, if at all
        ([i for i in everywhere if i not in samples], others if samples else asked),
        ([i for i in long if i not in samples], others if samples else asked),
        (everywhere, asked),
        (long, asked),
        (everywhere, others),
        (long, others),
    ):
        if len(places) == len(given):
            named = dict(zip(places, given, strict=True))
            if "C" not in given:
                named |= dict.fromkeys(set(samples) - set(places), "C")
            return "".join(named.get(i, "_") for i in everywhere)
    raise SettingError(
        f"axes {asked!r} name {len(asked)} dimensions, {path} has {len(shape)} "
        f"({name_shape(shape)}); give one letter per dimension"
    )


def _are_axes(letters: str) -> bool:
    return len(set(letters)) == len(letters) and set("YX") <= set(letters) <= set("TCZYX")


def _meant(stored: str) -> str:
    return stored.replace("_", "")

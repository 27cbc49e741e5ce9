"""The frames of a sequence: their files, how they are numbered, and that they fit each other."""

import re
from dataclasses import dataclass
from pathlib import Path

from ulens.errors import DataError, ShapeError
from ulens.io.files import name_some, read_image
from ulens.tracking.lineage import name_frames


@dataclass(frozen=True, kw_only=True, slots=True)
class Frames:
    """The frames of a sequence.

    Parameters
    ----------
    files : a stack, or one file for each frame
    first : number of the first frame
    num : how many there are
    num_digits : of the numbers in the names of the masks
    spacing_um : (y, x) pixel size in µm of the first, or None where it is unknown
    axes : what the user says of the axes of each file, see `read_image`
    """

    files: list[Path]
    first: int
    num: int
    num_digits: int
    spacing_um: tuple[float, float] | None
    axes: str | None = None


def check_frames(files: list[Path], axes: str | None = None) -> Frames:
    """Read all frames once, so that a bad one is found before hours of work.

    Files t000.tif and so on keep their numbers; others are counted from 0.

    Parameters
    ----------
    files : images, in order; or a single stack along T
    axes : what the user says of the axes of each, as `read_image` takes them

    Raises
    ------
    ShapeError : frames that are no planes or differ in size
    DataError : a frame that cannot be read, or a missing one
    """
    first, num_digits = _number_frames(files)
    size: tuple[int, ...] | None = None
    spacing_um: tuple[float, float] | None = None
    num_planes = 0
    for file in files:
        image = read_image(file, axes)
        allowed = "TCYX" if len(files) == 1 else "CYX"
        if not set(image.axes) <= set(allowed):
            raise ShapeError(
                f"{file} has the axes {image.axes} {image.data.shape}; tracking needs a folder of "
                "2-D frames, or one stack along T; save volumes as one, plane by plane"
            )
        if size not in (None, image.data.shape[-2:]):
            raise ShapeError(
                f"{file.name} is {_times(image.data.shape[-2:])}, {files[0].name} "
                f"{_times(size or ())}; tracking needs frames of one size; crop them, or take "
                "those of another sequence out"
            )
        if size is None:
            size, spacing_um = image.data.shape[-2:], image.spacing_um
        num_planes += image.data.shape[0] if "T" in image.axes else 1
    return Frames(
        files=files,
        first=first,
        num=num_planes,
        num_digits=num_digits or (3 if num_planes <= 1000 else 4),
        spacing_um=spacing_um,
        axes=axes,
    )


def _number_frames(files: list[Path]) -> tuple[int, int | None]:
    """Return the first frame's number, and the digits of all numbers if the names give them."""
    matches = [re.fullmatch(r"t(\d{3,4})", file.stem) for file in files]
    digits = [match[1] for match in matches if match]
    if not digits:
        return 0, None
    if len(digits) < len(files):
        others = [file for file, match in zip(files, matches, strict=True) if not match]
        raise DataError(
            f"{files[0].parent} holds frames named t{digits[0]} and so on, and also "
            f"{name_some(others)}; move these to another folder"
        )
    numbers = sorted(map(int, digits))
    if len(set(numbers)) < len(numbers):
        raise DataError(
            f"{files[0].parent} holds two files of one frame ({name_some(files)}); keep one of each"
        )
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    if missing:
        raise DataError(
            f"{files[0].parent} lacks {name_frames(missing)}; tracking needs consecutive frames; "
            "add what is missing, or rename the files to count without a gap"
        )
    return numbers[0], max(map(len, digits))


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))

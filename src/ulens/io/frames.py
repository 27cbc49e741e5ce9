"""The frames of a sequence: their files, how they are numbered, and that they fit each other."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ulens.errors import DataError, ShapeError
from ulens.image import Image, name_shape
from ulens.io.files import name_some, read_as
from ulens.io.reading import BY_FILE, Reading
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
    reading : how each file is read
    """

    files: list[Path]
    first: int
    num: int
    num_digits: int
    spacing_um: tuple[float, float] | None
    reading: Reading = BY_FILE


def check_frames(
    files: list[Path],
    reading: Reading = BY_FILE,
    *,
    check: Callable[[Image, str], None] = lambda image, name: None,
) -> Frames:
    """Read all frames once, so that all bad ones are found before hours of work.

    A frame that is left out would cut every track, so one bad frame is an error.

    Files t000.tif and so on keep their numbers; others are counted from 0.

    Parameters
    ----------
    files : images, in order; or a single stack along T
    reading : how each is read
    check : raises what else is wrong with an image, which it gets with its name

    Raises
    ------
    ShapeError : frames that are no planes or differ in size
    DataError : frames that cannot be read, or missing ones; of several bad frames all are named
    """
    first, num_digits = _number_frames(files)
    good: dict[Path, tuple[tuple[int, ...], tuple[float, float] | None, int]] = {}
    errors: list[DataError | ShapeError] = []
    for file in files:
        try:
            image = read_as(file, reading)
            _check_planes(image, file, is_stack=len(files) == 1)
            check(image, str(file))
        except (DataError, ShapeError) as error:
            errors.append(error)
        else:
            num = image.data.shape[0] if "T" in image.axes else 1
            good[file] = image.data.shape[-2:], image.spacing_um, num
    errors += _find_odd_sizes({file: size for file, (size, _, _) in good.items()})
    raise_all(
        errors,
        f"of {len(files)} frames cannot be tracked",
        "without a frame every track would be cut there; mend what is bad, or track what lies "
        "before and after in folders of their own",
    )
    num_planes = sum(num for _, _, num in good.values())
    return Frames(
        files=files,
        first=first,
        num=num_planes,
        num_digits=num_digits or (3 if num_planes <= 1000 else 4),
        spacing_um=good[files[0]][1],
        reading=reading,
    )


def raise_all(errors: Sequence[DataError | ShapeError], what: str, why: str) -> None:
    """Raise the only error, of several one that lists them, of none nothing.

    That of several is of their kind if they are of one, else a DataError.

    Parameters
    ----------
    what : are bad, such as "frames cannot be tracked"
    why : one bad file ends it all
    """
    if len(errors) == 1:
        raise type(errors[0])(f"{errors[0]}; {why}")
    if errors:
        lines = "\n".join(f"- {error}" for error in errors)
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else DataError
        raise kind(f"{len(errors)} {what}; {why}:\n{lines}")


def _check_planes(image: Image, file: Path, *, is_stack: bool) -> None:
    if not set(image.axes) <= set("TCYX" if is_stack else "CYX"):
        raise ShapeError(
            f"{file} has the axes {image.axes} {image.data.shape}; tracking needs a folder of "
            "2-D frames, or one stack along T; save volumes as one, plane by plane"
        )


def _find_odd_sizes(sizes: Mapping[Path, tuple[int, ...]]) -> list[DataError | ShapeError]:
    """Return an error for each frame that has not the size of most."""
    if not sizes:
        return []
    ((usual, _),) = Counter(sizes.values()).most_common(1)
    model = next(file for file, size in sizes.items() if size == usual)
    return [
        ShapeError(
            f"{file.name} is {name_shape(size)}, {model.name} {name_shape(usual)}; tracking needs "
            "frames of one size; crop them, or take those of another sequence out"
        )
        for file, size in sizes.items()
        if size != usual
    ]


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

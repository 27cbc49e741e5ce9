"""Files of the Cell Tracking Challenge.

A data set holds sequences 01, 02, …::

    01/t000.tif                    frames
    01_GT/SEG/man_seg000.tif       gold truth, or man_seg_000_012.tif: slice 12 of frame 0
    01_GT/TRA/man_track000.tif     markers of all objects, and man_track.txt
    01_ST/SEG/man_seg000.tif       silver truth
    01_RES/mask000.tif             a result, and res_track.txt

Frames are numbered with three or four digits. Rules: "Naming and file content conventions",
https://celltrackingchallenge.net/submission-of-results/.
"""

import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import tifffile

from ulens.errors import FileError, LabelError, OutputError, ShapeError
from ulens.io.atomic import replace_files
from ulens.io.files import read_label_image
from ulens.record import show
from ulens.tracking.lineage import LARGEST_TRACK, Lineage, Track, check_result, name_frames

_Number = TypeVar("_Number", bound=Hashable)


class Annotation(NamedTuple):
    """A label image of a frame, or of one slice of it.

    Parameters
    ----------
    frame : counted from 0
    z : slice, counted from 0; None for the whole frame
    path : the file
    """

    frame: int
    z: int | None
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What a folder such as 01_GT or 01_ST holds.

    Parameters
    ----------
    segmentation : files of SEG, by frame and slice
    markers : files of TRA by frame
    lineage : man_track.txt, or None
    """

    segmentation: list[Annotation]
    markers: dict[int, Path]
    lineage: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a folder such as 01_RES holds.

    Parameters
    ----------
    masks : label images by frame
    lineage : res_track.txt, or None
    """

    masks: dict[int, Path]
    lineage: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequence:
    """A sequence and its annotations.

    Parameters
    ----------
    name : such as 01
    frames : image files by frame
    gold, silver : annotations by people, and by programs; may be empty
    """

    name: str
    frames: dict[int, Path]
    gold: Truth
    silver: Truth


def find_sequences(folder: Path) -> list[Sequence]:
    """Find the sequences of a data set.

    Parameters
    ----------
    folder : such as DIC-C2DH-HeLa

    Returns
    -------
    the sequences that hold frames, in order; none where the folder is no such data set

    Raises
    ------
    FileError : two files of one number
    """
    folder = Path(folder)
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [find_sequence(entry) for entry in entries]
    return [sequence for sequence in found if sequence is not None]


def find_sequence(folder: Path) -> Sequence | None:
    """Find the frames of a folder such as 01, and the truth beside it; None if it is none.

    Raises
    ------
    FileError : two files of one number
    """
    folder = Path(folder).absolute()
    frames = _by_frame(folder, "t") if re.fullmatch(r"\d\d", folder.name) else {}
    if not frames:
        return None
    return Sequence(
        name=folder.name,
        frames=frames,
        gold=find_truth(folder.with_name(f"{folder.name}_GT")),
        silver=find_truth(folder.with_name(f"{folder.name}_ST")),
    )


def find_truth(folder: Path) -> Truth:
    """List what a folder such as 01_GT holds; nothing where it is no such folder.

    Raises
    ------
    FileError : two files of one number
    """
    lineage = Path(folder) / "TRA" / "man_track.txt"
    return Truth(
        segmentation=_annotations(Path(folder) / "SEG"),
        markers=_by_frame(Path(folder) / "TRA", "man_track"),
        lineage=lineage if lineage.is_file() else None,
    )


def find_result(folder: Path) -> Result:
    """List what a folder such as 01_RES holds; nothing where it is no such folder.

    Raises
    ------
    FileError : two files of one number
    """
    lineage = Path(folder) / "res_track.txt"
    return Result(
        masks=_by_frame(Path(folder), "mask"), lineage=lineage if lineage.is_file() else None
    )


def read_labels(path: Path) -> np.ndarray:
    """Read the labels of a frame.

    Returns
    -------
    (Y, X) or (Z, Y, X) in the file's integer dtype, 0 = background

    Raises
    ------
    FileError : the file cannot be read, or its pixels are no whole numbers
    ShapeError : it holds channels, or more than one stack
    """
    image = read_label_image(path)
    if image.data.dtype.kind not in "ui":
        raise FileError(f"{path} holds {image.data.dtype} pixels; labels are whole numbers")
    if "C" in image.axes or image.data.ndim > 3:
        raise ShapeError(
            f"{path} has the axes {image.axes} {image.data.shape}; need one (Y, X) image or one "
            "(Z, Y, X) stack of labels"
        )
    return image.data


def read_lineage(path: Path) -> Lineage:
    """Read man_track.txt or res_track.txt, rows of label, start, end, parent.

    Raises
    ------
    FileError : the file is missing or a row is not four whole numbers
    LabelError : the tracks break a rule, see `ulens.tracking.lineage.Lineage`
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"{path} cannot be read ({error}); need a text file of rows 'label start end parent'"
        ) from error
    rows = [
        _parse_row(line, number, path)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    try:
        return Lineage(tuple(rows))
    except LabelError as error:
        raise LabelError(f"{path}: {error}") from error


def write_lineage(path: Path, lineage: Lineage) -> None:
    """Write man_track.txt or res_track.txt, ordered by label; an old file is replaced.

    Raises
    ------
    OutputError : what the system says; an old file is unharmed
    """
    lines = [" ".join(map(str, track)) + "\n" for track in sorted(lineage.tracks)]
    path = Path(path)
    try:
        replace_files(path.parent, {path.name: "".join(lines).encode()})
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error}); choose another folder") from error


def write_result(
    folder: Path,
    masks: Iterable[tuple[int, np.ndarray]],
    lineage: Lineage,
    *,
    num_digits: int = 3,
) -> None:
    """Write a folder such as 01_RES: mask000.tif for every frame, and res_track.txt.

    Parameters
    ----------
    folder : made if missing; masks of the same names and res_track.txt are replaced
    masks : frame and its (Y, X) or (Z, Y, X) labels, integers in 0…65535, in order; taken and
        written one by one, as uint16
    lineage : the tracks
    num_digits : of the frame numbers in file names, as in those of the images

    Raises
    ------
    OutputError : what the system says, or the folder holds masks of other frames
    LabelError : labels that 16 bits cannot hold, or masks and tracks that disagree

    Notes
    -----
    Each file is there wholly or not at all. res_track.txt comes last, and only if the result is
    valid, so a folder without it is no finished result.
    """
    folder = Path(folder)
    written: list[int] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "res_track.txt").unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error}); choose another folder") from error

    def write_each() -> Iterator[tuple[int, np.ndarray]]:
        for frame, mask in masks:
            _write_mask(folder / f"mask{frame:0{num_digits}d}.tif", mask)
            written.append(frame)
            yield frame, mask

    problems = check_result(write_each(), lineage)
    if problems:
        raise LabelError(f"{folder} holds no valid result:\n- " + "\n- ".join(problems))
    foreign = sorted(set(find_result(folder).masks) - set(written))
    if foreign:
        raise OutputError(
            f"{folder} holds masks of {name_frames(foreign)} from an earlier result; delete them "
            "or choose another folder"
        )
    write_lineage(folder / "res_track.txt", lineage)


def _write_mask(path: Path, mask: np.ndarray) -> None:
    low, high = mask.min(initial=0), mask.max(initial=0)
    if mask.dtype.kind not in "ui" or low < 0 or high > LARGEST_TRACK:
        raise LabelError(
            f"labels for {path} are {mask.dtype} from {low} to {high}; the file holds whole "
            f"numbers of 0...{LARGEST_TRACK}; renumber them"
        )
    encoded = BytesIO()
    tifffile.imwrite(encoded, mask.astype(np.uint16), photometric="minisblack", compression="lzw")
    try:
        replace_files(path.parent, {path.name: encoded.getvalue()})
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error}); choose another folder") from error


def _parse_row(line: str, number: int, path: Path) -> Track:
    entries = line.split()
    if len(entries) != 4 or not all(re.fullmatch(r"-?\d{1,9}", entry) for entry in entries):
        raise FileError(
            f"{path} has {show(line.strip())} in line {number}; need four whole numbers of at "
            "most 9 digits, 'label start end parent'"
        )
    return Track(*map(int, entries))


def _annotations(folder: Path) -> list[Annotation]:
    found = [
        Annotation(int(match[1]), None if match[2] is None else int(match[2]), path)
        for path, match in _matching(folder, r"man_seg_?(\d{3,4})(?:_(\d{3,4}))?")
    ]
    _unique((each[:2], each.path) for each in found)
    return sorted(found, key=lambda each: (each.frame, -1 if each.z is None else each.z))


def _by_frame(folder: Path, prefix: str) -> dict[int, Path]:
    files = _matching(folder, rf"{prefix}(\d{{3,4}})")
    return dict(sorted(_unique((int(match[1]), path) for path, match in files).items()))


def _matching(folder: Path, pattern: str) -> Iterator[tuple[Path, re.Match[str]]]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            match = re.fullmatch(pattern + r"\.tiff?", path.name)
            if match:
                yield path, match


def _unique(numbered: Iterable[tuple[_Number, Path]]) -> dict[_Number, Path]:
    found: dict[_Number, Path] = {}
    for number, path in numbered:
        if number in found:
            raise FileError(
                f"{found[number]} and {path} carry one number; keep one of them in this folder"
            )
        found[number] = path
    return found

"""Annotated frames of the Cell Tracking Challenge: gold and silver truth and markers together."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.annotated.ctc import (
    Annotation,
    Sequence,
    Truth,
    find_sequence,
    find_sequences,
    read_labels,
)
from ulens.annotated.partial_truth import ignore_unoutlined
from ulens.annotated.selection import read_ranges
from ulens.errors import DataError, PairingError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.files import planes, read_as
from ulens.io.reading import BY_FILE, Reading
from ulens.labels.meaning import LabelsAre
from ulens.tracking.lineage import name_frames


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A frame and the files that annotate it.

    Parameters
    ----------
    sequence : such as 01
    image : the file
    outlines : label file of the gold truth, or of the silver truth where there is no gold
    is_silver : whether `outlines` is silver
    silver : label file of further cells, where `outlines` is gold, or None
    markers : label file of markers of all cells, or None
    """

    sequence: str
    image: Path
    outlines: Path
    is_silver: bool
    silver: Path | None
    markers: Path | None

    @property
    def name(self) -> str:
        """Sequence and file, such as 01/t054."""
        return f"{self.sequence}/{self.image.stem}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedFrame:
    """A frame as its files hold it.

    Parameters
    ----------
    frame : where it comes from
    image : (C, Y, X) in the file's dtype
    label : (Y, X) int64; ids, 0 = background, −1 = ignored
    num_ignored : cells that are there, but not outlined
    spacing_um : (y, x) pixel size in µm, or None
    notes : what was guessed or changed in reading, with the file
    """

    frame: Frame
    image: np.ndarray
    label: np.ndarray
    num_ignored: int
    spacing_um: tuple[float, float] | None
    notes: tuple[tuple[Path, str], ...]


def find_annotated_sequences(folder: Path) -> list[Sequence]:
    """Find the sequences of a data set, or the one that the folder is.

    Parameters
    ----------
    folder : such as DIC-C2DH-HeLa, or DIC-C2DH-HeLa/01 with 01_GT or 01_ST beside it

    Returns
    -------
    the sequences with gold or silver truth; none where the folder is nothing of the challenge

    Raises
    ------
    FileError : two files of one number
    PairingError : a data set without any truth
    DataError : the truth is of single slices
    """
    found = find_sequences(folder)
    itself = find_sequence(folder)
    candidates = found if itself is None else [itself]
    sequences = [each for each in candidates if _outlines(each)]
    if found and not sequences:
        names = ", ".join(each.name for each in found)
        raise PairingError(
            f"{folder} holds sequences of the Cell Tracking Challenge ({names}) without truth; "
            f"training needs {found[0].name}_GT/SEG or {found[0].name}_ST/SEG beside them"
        )
    for sequence in sequences:
        if any(each.z is not None for each in _outlines(sequence)):
            raise DataError(_refuse_volumes(f"truth of sequence {sequence.name} in {folder} is"))
    return sequences


def select_frames(sequences: list[Sequence], spec: str | None) -> tuple[list[Frame], int]:
    """Return the frames to read, and how many were left out for lack of truth.

    Parameters
    ----------
    sequences : as `find_annotated_sequences` finds them
    spec : frame numbers as in the names of the files, such as ``01:0-49,02:3,5``; the sequence
        may be left out where there is one; None for all

    Raises
    ------
    SettingError : the selection cannot be read, names a sequence or a frame that is not there, or
        frames without truth alone
    """
    numbers = {each.name: set(each.frames) for each in sequences}
    if spec is not None:
        numbers = _parse(spec, sequences)
    frames: list[Frame] = []
    num_left_out = 0
    for sequence in sequences:
        gold, silver = _by_number(sequence.gold), _by_number(sequence.silver)
        outlines = silver | gold
        found = sorted(numbers[sequence.name] & outlines.keys())
        num_left_out += len(numbers[sequence.name]) - len(found)
        frames += [
            Frame(
                sequence=sequence.name,
                image=sequence.frames[number],
                outlines=outlines[number],
                is_silver=number not in gold,
                silver=silver.get(number) if number in gold else None,
                markers=sequence.gold.markers.get(number),
            )
            for number in found
        ]
    if not frames:
        raise SettingError(
            f"{f'frames {spec!r} have' if spec else 'the frames have'} neither gold nor silver "
            f"truth; there is truth of {_name_truth(sequences)}"
        )
    return frames, num_left_out


def read_frame(frame: Frame, reading: Reading = BY_FILE) -> AnnotatedFrame:
    """Read a frame and the truth about it.

    Where there is gold truth, it alone outlines cells; others that silver truth or markers know
    are ignored, see `ulens.annotated.partial_truth.ignore_unoutlined`.

    Parameters
    ----------
    reading : how to read the image

    Raises
    ------
    FileError : a file cannot be read
    DataError : the frame is a volume
    ShapeError : image and labels differ in size
    """
    image = read_as(frame.image, reading)
    found = planes(image)
    if len(found) != 1:
        raise DataError(_refuse_volumes(f"{frame.image} holds {len(found)} planes: it is"))
    silver, markers = (
        None if path is None else _read_matching(path, frame.image, image)
        for path in (frame.silver, frame.markers)
    )
    outlined = _read_matching(frame.outlines, frame.image, image)
    label, num_ignored = ignore_unoutlined(outlined, silver=silver, markers=markers)
    return AnnotatedFrame(
        frame=frame,
        image=found[0][1],
        label=label,
        num_ignored=num_ignored,
        spacing_um=image.spacing_um,
        notes=tuple((frame.image, note) for note in image.notes),
    )


def describe_frames(read: list[AnnotatedFrame], num_left_out: int) -> str:
    """Return the sentence that tells a user what was found."""
    names = list(dict.fromkeys(each.frame.sequence for each in read))
    num_gold = sum(not each.frame.is_silver for each in read)
    sentence = (
        f"Cell Tracking Challenge, sequence{'s' if len(names) > 1 else ''} {', '.join(names)}: "
        f"{_count(num_gold, 'frame')} with gold truth, {len(read) - num_gold} with silver alone"
    )
    partial = sorted((each for each in read if each.num_ignored), key=lambda e: -e.num_ignored)
    if partial:
        shown = 6
        where = ", ".join(f"{each.num_ignored} in {each.frame.name}" for each in partial[:shown])
        rest = partial[shown:]
        where += f", {sum(e.num_ignored for e in rest)} in {len(rest)} more" if rest else ""
        number = sum(each.num_ignored for each in partial)
        sentence += f"; {_count(number, 'cell')} without outline ignored ({where})"
    if num_left_out:
        sentence += f"; {_count(num_left_out, 'frame')} without truth left out"
    return sentence


def truth_without_frame(sequences: list[Sequence]) -> list[Path]:
    """Return the label files of frames that are not there."""
    return [
        each.path
        for sequence in sequences
        for each in _outlines(sequence)
        if each.frame not in sequence.frames
    ]


def refuse_other_meaning(labels_are: LabelsAre | None, ignore: int | None) -> None:
    """Raise SettingError where the user asks for another reading than that of the challenge."""
    if labels_are == "classes" or ignore is not None:
        asked = f"ignore is {ignore}" if ignore is not None else "labels_are is 'classes'"
        raise SettingError(
            f"{asked}, but truth of the Cell Tracking Challenge is instances, each with an id of "
            "its own; leave this out, or give the folders of images and labels both"
        )


def _parse(spec: str, sequences: list[Sequence]) -> dict[str, set[int]]:
    """Return the frame numbers that a selection names, by sequence."""
    there_are = "there is " + "; ".join(
        f"sequence {sequence.name} with frames {min(sequence.frames)}-{max(sequence.frames)}"
        for sequence in sequences
    )
    by_name = {sequence.name: sequence for sequence in sequences}
    chosen: dict[str, set[int]] = {name: set() for name in by_name}
    name = sequences[0].name if len(sequences) == 1 else None
    for each in read_ranges(spec, separators=",;"):
        name = each.sequence or name if each else None
        if each is None or name is None:
            raise SettingError(
                f"frames {spec!r} is no selection of frames; write sequence and numbers such as "
                f"{sequences[0].name}:0-9,12; {there_are}"
            )
        if name not in by_name:
            raise SettingError(f"frames {spec!r} asks for sequence {name}; {there_are}")
        there = by_name[name].frames
        found = {number for number in there if each.first <= number <= each.last}
        if not found or each.last > max(there):
            raise SettingError(f"frames {spec!r} asks for frame {each.last} of {name}; {there_are}")
        chosen[name] |= found
    return chosen


def _outlines(sequence: Sequence) -> list[Annotation]:
    return [*sequence.gold.segmentation, *sequence.silver.segmentation]


def _by_number(truth: Truth) -> dict[int, Path]:
    return {each.frame: each.path for each in truth.segmentation}


def _read_matching(path: Path, image_path: Path, image: Image) -> np.ndarray:
    """Read the (Y, X) labels of a frame."""
    labels, size = read_labels(path), image.data.shape[-2:]
    if labels.shape != size:
        raise ShapeError(
            f"{image_path} is {size[0]}×{size[1]} pixels, its label {path} "
            f"{'×'.join(map(str, labels.shape))}; both need the same size"
        )
    return labels


def _refuse_volumes(what: str) -> str:
    return f"{what} 3-D; ulens is for 2-D images; save single slices as frames of a sequence"


def _name_truth(sequences: list[Sequence]) -> str:
    numbers = {
        each.name: sorted({annotation.frame for annotation in _outlines(each)} & set(each.frames))
        for each in sequences
    }
    named = [f"sequence {name}, {name_frames(each)}" for name, each in numbers.items() if each]
    return "; ".join(named) or "no frame that is there"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

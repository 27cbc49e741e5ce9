"""Truth and prediction, file by file, as the evaluation compares them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.annotated.label_values import mark_ignored
from ulens.annotated.pairs import Pairing, find_pairs
from ulens.annotated.planes import one_channel
from ulens.annotated.selection import select_planes
from ulens.errors import DataError, PairingError, ShapeError
from ulens.image import Image
from ulens.io.files import (
    is_roi_file,
    join_notes,
    list_labels,
    name_some,
    num_planes,
    planes,
    read_image,
    read_label_image,
)
from ulens.io.reading import Reading
from ulens.io.rois import read_labels

# Averages of softmax outputs leave [0, 1] by rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One 2-D plane of the truth and what was predicted for it.

    Parameters
    ----------
    name : stem of the truth file, and the plane's name for a stack
    truth : (Y, X) integers, -1 = ignored; the values of the file, or once they are read class
        indices or instances
    predicted : (Y, X) integers, likewise; of two classes ids of objects may stand for the second
    foreground : (Y, X) float32 in [0, 1], probability of class 1 of two, or None if not known
    truth_file, predicted_file : where they came from
    notes : what was guessed or changed in reading, with the file
    """

    name: str
    truth: np.ndarray
    predicted: np.ndarray
    foreground: np.ndarray | None
    truth_file: Path
    predicted_file: Path
    notes: tuple[tuple[Path, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Truth and predictions that could be compared, and files that could not.

    Parameters
    ----------
    compared : in the order of the truth files and their planes
    notes : the files that were left out, and how pairs were made
    errors : why a file could not be compared, for each
    """

    compared: list[Comparison]
    notes: list[str]
    errors: list[str]


def read_comparisons(
    truth: Path,
    predicted: Path,
    *,
    frames: str | None,
    ignore: int | None,
    axes: str | None = None,
) -> Found:
    """Read truth and predictions that belong together.

    Parameters
    ----------
    truth, predicted, frames, ignore, axes : as in `ulens.jobs.evaluate.EvaluateSettings`

    Raises
    ------
    PairingError, FileError, DataError, ShapeError, LabelError, SettingError : as `run_evaluation`
    """
    pairing = _find_pairs(truth, predicted)
    prediction_of = {pair.label: pair.image for pair in pairing.pairs}
    truth_files = list_labels(truth)
    wanted = _select_planes(truth_files, prediction_of, frames, axes)
    chosen = {file: numbers for file, numbers in wanted.items() if file in prediction_of}
    if not chosen:
        raise PairingError(
            f"frames {frames!r} select {name_some(wanted)}, which have no prediction in "
            f"{predicted}; it holds predictions of {name_some(prediction_of)}"
        )
    compared: list[Comparison] = []
    errors: list[str] = []
    for file, numbers in chosen.items():
        try:
            compared += _compare_file(file, prediction_of[file], numbers, ignore, axes)
        except (DataError, ShapeError) as error:
            if len(chosen) == 1:
                raise
            errors.append(str(error))
    if not compared:
        listed = "\n".join(f"- {error}" for error in errors)
        raise DataError(f"none of {len(chosen)} files could be compared:\n{listed}")
    notes = _left_out(truth_files, wanted, pairing)
    notes += join_notes(note for each in compared for note in each.notes)
    return Found(compared=compared, notes=notes, errors=errors)


def _find_pairs(truth: Path, predicted: Path) -> Pairing:
    """Return truth files as labels and predictions as images."""
    is_same = truth.exists() and predicted.exists() and truth.samefile(predicted)
    try:
        if not is_same or truth.is_dir():
            return find_pairs(predicted, truth, called=("prediction", "truth"))
    except PairingError:
        if not is_same:
            raise
    raise PairingError(
        f"truth and predictions are both {truth}; every file would be compared with itself; give "
        "label files as the first and what was predicted as the second"
    )


def _select_planes(
    files: list[Path], prediction_of: dict[Path, Path], frames: str | None, axes: str | None
) -> dict[Path, list[int]]:
    """Return the wanted planes of each truth file, files without any left out."""
    chosen = select_planes(
        frames, [_num_planes(file, prediction_of, Reading(axes=axes)) for file in files]
    )
    return {file: numbers for file, numbers in zip(files, chosen, strict=True) if numbers}


def _num_planes(file: Path, prediction_of: dict[Path, Path], reading: Reading) -> int:
    """Return the number of planes; outlines have as many as the prediction they are held to."""
    if not is_roi_file(file):
        return num_planes(file, reading)
    return num_planes(prediction_of[file], reading) if file in prediction_of else 1


def _left_out(
    truth_files: list[Path], wanted: dict[Path, list[int]], pairing: Pairing
) -> list[str]:
    """Name the truth without prediction and the predictions without truth."""
    notes = [*pairing.notes]
    missing = [file for file in wanted if file in pairing.unpaired]
    if missing:
        notes.append(
            f"left out, {len(missing)} of {len(wanted)} truth files have no prediction: "
            f"{name_some(missing)}"
        )
    extra = [file for file in pairing.unpaired if file not in truth_files]
    if extra:
        notes.append(f"left out, no truth for {name_some(extra)}")
    return notes


def _compare_file(
    truth_file: Path,
    predicted_file: Path,
    numbers: list[int],
    ignore: int | None,
    axes: str | None,
) -> Iterator[Comparison]:
    predicted = read_label_image(predicted_file, axes)
    truth = read_labels(truth_file, predicted, axes)
    notes = [(truth_file, note) for note in truth.notes]
    notes += [(predicted_file, note) for note in predicted.notes]
    _check_sizes(truth, truth_file, predicted, predicted_file)
    probabilities = _find_probabilities(predicted, predicted_file)
    if probabilities is not None:
        _check_sizes(truth, truth_file, probabilities, probabilities.source or predicted_file)
    true_planes, guesses = planes(truth), planes(predicted)
    for i in numbers:
        name, true = true_planes[i]
        foreground = None if probabilities is None else _foreground(planes(probabilities)[i][1])
        yield Comparison(
            name=f"{truth_file.stem}_{name}" if name else truth_file.stem,
            truth=mark_ignored(one_channel(true, truth_file), ignore, truth_file),
            predicted=_read_classes(
                guesses[i][1], predicted_file, is_label=probabilities is not predicted
            ),
            foreground=foreground,
            truth_file=truth_file,
            predicted_file=predicted_file,
            notes=tuple(notes),
        )


def _check_sizes(truth: Image, truth_file: Path, predicted: Image, predicted_file: Path) -> None:
    size, predicted_size = truth.data.shape[-2:], predicted.data.shape[-2:]
    if size != predicted_size:
        raise ShapeError(
            f"truth {truth_file} is {size[0]}×{size[1]} pixels, its prediction {predicted_file} "
            f"{predicted_size[0]}×{predicted_size[1]}; both need the same size"
        )
    num_true, num_predicted = len(planes(truth)), len(planes(predicted))
    if num_true != num_predicted:
        raise ShapeError(
            f"truth {truth_file} has {num_true} planes (axes {truth.axes}), its prediction "
            f"{predicted_file} {num_predicted} (axes {predicted.axes}); both need as many"
        )


def _probability_file(predicted_file: Path) -> Path:
    return predicted_file.with_name(f"{predicted_file.stem}_probabilities.tif")


def _find_probabilities(predicted: Image, predicted_file: Path) -> Image | None:
    """Return the file of probabilities beside a segmentation, or itself if it holds them."""
    beside = _probability_file(predicted_file)
    is_fraction = predicted.data.dtype.kind == "f" and bool((predicted.data % 1 != 0).any())
    if not is_fraction and not beside.exists():
        return None
    probabilities = predicted if is_fraction else read_image(beside)
    low, high = probabilities.data.min(), probabilities.data.max()
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise DataError(
            f"{predicted_file if is_fraction else beside} holds values from {low:g} to {high:g}; "
            "probabilities must lie in 0…1, label images must hold whole numbers"
        )
    return probabilities


def _foreground(plane: np.ndarray) -> np.ndarray | None:
    """Return the foreground of (C, Y, X) probabilities; of one channel it is that channel."""
    if len(plane) > 2:
        return None
    return np.clip(plane[-1], 0, 1).astype(np.float32)


def _read_classes(plane: np.ndarray, path: Path, *, is_label: bool) -> np.ndarray:
    if is_label:
        return mark_ignored(one_channel(plane, path), None, path)
    if len(plane) == 1:
        return (plane[0] > 0.5).astype(np.int64)
    return plane.argmax(axis=0)

"""Score predictions against the truth: the job behind ``ulens evaluate``."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ulens.annotated.comparisons import Comparison, read_comparisons
from ulens.annotated.label_values import decide, describe, encode
from ulens.errors import DataError, LabelError, SettingError
from ulens.io.files import is_roi_file
from ulens.jobs.evaluate_ctc import evaluate_ctc, is_ctc_truth
from ulens.labels.meaning import LabelsAre
from ulens.metrics.instance import instance_scores
from ulens.metrics.membrane import isbi2012
from ulens.metrics.semantic import SemanticScores, semantic_scores

Measure = Literal["isbi2012", "semantic", "instances", "ctc"]
Scores = dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a prediction scores.

    Parameters
    ----------
    num_images : compared 2-D images
    scores : by measure and name, over all images
    per_image : by image, measure and name, for the measures that have a value for one image;
        those of isbi2012 hold at the thresholds of the whole stack
    notes : how the files were read, what was left out and which measures they do not allow
    """

    num_images: int
    scores: dict[str, Scores]
    per_image: dict[str, dict[str, Scores]]
    notes: list[str]

    def to_json(self) -> str:
        """Return all fields as a JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """What the values of the truth mean.

    Parameters
    ----------
    labels_are : 'classes' or 'instances'
    values : the values in the files, background first; class k is ``values[k]``
    """

    labels_are: LabelsAre
    values: tuple[int, ...]


def evaluate(
    truth: Path,
    predicted: Path,
    *,
    measures: Sequence[Measure] | None = None,
    frames: str | None = None,
    ignore: int | None = None,
    labels_are: LabelsAre | None = None,
    field_of_interest_px: int | None = None,
) -> Evaluation:
    """Compare predictions with label images by the measures they allow.

    Parameters
    ----------
    truth : a folder of label images, or one image or stack; or a folder of the Cell Tracking
        Challenge such as 01_GT
    predicted : a folder of segmentations with the same names, or one image or stack;
        ``<name>_probabilities.tif`` beside one holds its class probabilities; or a folder such
        as 01_RES
    measures : None for all that the truth allows
    frames : images to compare, counted from 0 over all files, such as ``0-9,12``; None for all
    ignore : truth value of pixels to be left out
    labels_are : how to read the truth; None to decide from its values
    field_of_interest_px : as in `evaluate_ctc`, for such truth

    Raises
    ------
    PairingError, FileError, DataError : files that are missing, unreadable or do not belong
        together; a measure that was asked for and that they do not allow
    ShapeError : a truth and its prediction differ in size (both files are named)
    LabelError : label values make no sense
    SettingError : an unknown measure, or `frames` that are not there
    """
    if is_ctc_truth(Path(truth)):
        _check_ctc(Path(truth), measures, ignore)
        found = evaluate_ctc(
            Path(truth), Path(predicted), frames=frames, field_of_interest_px=field_of_interest_px
        )
        return Evaluation(
            num_images=found.num_frames,
            scores={"ctc": found.scores},
            per_image={name: {"ctc": scores} for name, scores in found.per_image.items()},
            notes=found.notes,
        )
    if field_of_interest_px is not None:
        raise SettingError(
            f"field_of_interest_px is {field_of_interest_px}, but {truth} is no folder of the Cell "
            "Tracking Challenge such as 01_GT; leave it out"
        )
    compared, notes = read_comparisons(Path(truth), Path(predicted), frames=frames, ignore=ignore)
    reading = _read_values(compared, labels_are)
    notes.append(_describe(compared, reading, ignore))
    chosen = _choose(measures, _objections(compared, reading, measures), notes)
    scores: dict[str, Scores] = {}
    per_image: dict[str, dict[str, Scores]] = {each.name: {} for each in compared}
    for measure in chosen:
        scores[measure], by_image = _score(measure, compared, reading, notes)
        for each, own_scores in zip(compared, by_image, strict=True):
            per_image[each.name][measure] = own_scores
    return Evaluation(num_images=len(compared), scores=scores, per_image=per_image, notes=notes)


def _check_ctc(truth: Path, measures: Sequence[Measure] | None, ignore: int | None) -> None:
    others = [measure for measure in measures or () if measure != "ctc"]
    if others:
        raise DataError(
            f"{', '.join(others)} cannot be computed: {truth} is a folder of the Cell Tracking "
            f"Challenge; ask for ctc, or give one of its folders, such as {truth / 'SEG'}"
        )
    if ignore is not None:
        raise SettingError(
            f"ignore is {ignore}, but in the truth of the Cell Tracking Challenge every value is "
            "an object; leave it out"
        )


def _read_values(compared: list[Comparison], labels_are: LabelsAre | None) -> _Reading:
    truths = [each.truth for each in compared]
    found = _values_in(truths) - {-1}
    if labels_are is None and all(is_roi_file(each.truth_file) for each in compared):
        labels_are = "instances"
    if labels_are is None:
        labels_are = decide(truths, compared[0].truth_file) if len(found) > 1 else "classes"
    # A single value is background, or the foreground of images that it fills.
    values = found if len(found) > 1 else {0, max(found | {1})}
    return _Reading(labels_are=labels_are, values=tuple(sorted(values)))


def _describe(compared: list[Comparison], reading: _Reading, ignore: int | None) -> str:
    encoded = [encode(each.truth, reading.labels_are, reading.values) for each in compared]
    return "truth: " + describe(
        encoded, reading.labels_are, reading.values, asked=False, ignore=ignore
    )


def _values_in(labels: list[np.ndarray]) -> set[int]:
    return set(np.concatenate([np.unique(label) for label in labels]).tolist())


def _objections(
    compared: list[Comparison], reading: _Reading, asked: Sequence[Measure] | None
) -> dict[str, str]:
    """Say for each measure that is not to be computed why not."""
    objections = {}
    if asked is not None:
        objections["ctc"] = "the truth must be a folder such as 01_GT that holds SEG or TRA"
    two_classes = reading.labels_are == "classes" and len(reading.values) == 2
    without_cells = [each.name for each in compared if not (each.truth == reading.values[-1]).any()]
    if not two_classes:
        objections["isbi2012"] = "the truth must hold two classes, membrane and cell interior"
    elif without_cells:
        objections["isbi2012"] = f"the truth of {', '.join(without_cells)} holds no cell interior"
    if asked is None and reading.labels_are == "instances":
        objections["semantic"] = (
            "the truth holds instances; ask for it to compare foreground with background"
        )
    if asked is None and reading.labels_are == "classes":
        objections["instances"] = (
            "the truth holds classes; ask for it to compare their connected regions"
        )
    return objections


def _choose(
    asked: Sequence[Measure] | None, objections: dict[str, str], notes: list[str]
) -> list[Measure]:
    """Return the measures to compute; note those that the files do not allow."""
    known = get_args(Measure)
    for measure in asked or ():
        if measure not in known:
            raise SettingError(f"measure {measure!r} is unknown; choose of {', '.join(known)}")
        if measure in objections:
            raise DataError(f"{measure} cannot be computed: {objections[measure]}")
    if asked is None:
        notes += [f"{measure} not computed: {why}" for measure, why in objections.items()]
    wanted = [each for each in known if each != "ctc"] if asked is None else asked
    return [each for each in known if each in wanted and each not in objections]


def _score(
    measure: Measure, compared: list[Comparison], reading: _Reading, notes: list[str]
) -> tuple[Scores, list[Scores]]:
    """Compute one measure over all images and for each; may add notes."""
    if measure == "instances":
        return _score_instances(compared, reading, notes)
    if reading.labels_are == "instances":
        truths = [np.sign(each.truth) for each in compared]
        return _score_classes(truths, [np.sign(each.predicted) for each in compared], (0, 1))
    truths = [encode(each.truth, "classes", reading.values) for each in compared]
    guesses = _encode_predicted(compared, reading.values)
    if measure == "semantic":
        return _score_classes(truths, guesses, reading.values)
    foreground = [each.foreground for each in compared if each.foreground is not None]
    masks = [guess.astype(np.float32) for guess in guesses]
    return _score_membranes(truths, foreground if len(foreground) == len(masks) else masks, notes)


def _encode_predicted(compared: list[Comparison], values: tuple[int, ...]) -> list[np.ndarray]:
    """Return predicted class indices.

    Files may hold the truth's own values, or indices, or for two classes two other values, or
    ids of objects, which all are foreground.
    """
    guesses = [each.predicted for each in compared]
    held = _values_in(guesses)
    if held <= set(values):
        return [np.searchsorted(values, guess) for guess in guesses]
    if held <= set(range(len(values))):
        return guesses
    if len(values) == 2:
        background = min(held) if len(held) == 2 else 0
        return [(guess != background).astype(np.int64) for guess in guesses]
    strange = held - set(values)
    file = next(each.predicted_file for each in compared if strange & _values_in([each.predicted]))
    raise LabelError(
        f"{file} holds the value {min(strange)}, which is no class of the truth "
        f"({', '.join(map(str, values))}); write the truth's values or class indices from 0"
    )


def _score_membranes(
    truths: list[np.ndarray], proposals: list[np.ndarray], notes: list[str]
) -> tuple[Scores, list[Scores]]:
    found = isbi2012(truths, proposals, ignore=-1)
    if found.binary_proposal:
        notes.append(
            "isbi2012 was computed from masks, which leave no threshold to choose; "
            "probabilities (ulens segment --probabilities) are what the challenge scores"
        )
    scores = {name: value for name, value in asdict(found).items() if type(value) is float}
    per_slice = zip(found.v_rand_per_slice, found.v_info_per_slice, strict=True)
    return scores, [{"v_rand": v_rand, "v_info": v_info} for v_rand, v_info in per_slice]


def _score_classes(
    truths: list[np.ndarray], guesses: list[np.ndarray], values: tuple[int, ...]
) -> tuple[Scores, list[Scores]]:
    per_image = [
        _name_classes(semantic_scores([truth], [guess]), values) if (truth >= 0).any() else {}
        for truth, guess in zip(truths, guesses, strict=True)
    ]
    return _name_classes(semantic_scores(truths, guesses), values), per_image


def _name_classes(found: SemanticScores, values: tuple[int, ...]) -> Scores:
    return {
        "mean_iou": found.mean_iou,
        **{f"iou_class_{values[index]}": iou for index, iou in found.iou.items()},
        **{f"dice_class_{values[index]}": dice for index, dice in found.dice.items()},
    }


def _score_instances(
    compared: list[Comparison], reading: _Reading, notes: list[str]
) -> tuple[Scores, list[Scores]]:
    guesses = [each.predicted for each in compared]
    held = tuple(sorted(_values_in(guesses)))
    if len(set(held) - {0}) == 1:
        notes.append("the predictions are masks; their connected regions count as objects")
    truths = [encode(each.truth, "instances", reading.values) for each in compared]
    found = instance_scores(truths, [encode(guess, "instances", held) for guess in guesses])
    at_half = asdict(found.counts[0.5])
    scores = {
        "AP": found.mean_average_precision,
        **{f"AP@{t:.2f}": value for t, value in found.average_precision.items()},
        "F1@0.50": found.f1[0.5],
        "PQ": found.panoptic.quality,
        "SQ": found.panoptic.segmentation,
        "RQ": found.panoptic.recognition,
        "count_agreement": found.count_agreement,
        **{f"{name}@0.50": float(count) for name, count in at_half.items()},
    }
    per_image = [
        {"AP@0.50": counts[0.5].average_precision, "F1@0.50": counts[0.5].f1}
        for counts in found.per_image
    ]
    return scores, per_image

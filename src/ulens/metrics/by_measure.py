"""Which scores for these labels, and what each measure gives, by name."""

from dataclasses import asdict
from typing import Literal

import numpy as np

from ulens.annotated.comparisons import Comparison, Reading, values_in
from ulens.annotated.label_values import encode
from ulens.errors import LabelError
from ulens.labels.meaning import LabelsAre
from ulens.metrics.instance import instance_scores
from ulens.metrics.membrane import isbi2012
from ulens.metrics.semantic import SemanticScores, semantic_scores

Measure = Literal["isbi2012", "semantic", "instances", "ctc"]
Scores = dict[str, float]


def fitting_measures(labels_are: LabelsAre, num_classes: int) -> tuple[Measure, ...]:
    """Return the measures that say how good a segmentation is, by what its labels are.

    Parameters
    ----------
    num_classes : background included; of no account for instances

    Examples
    --------
    >>> fitting_measures("classes", 2)
    ('isbi2012', 'semantic')
    """
    if labels_are == "instances":
        return ("instances",)
    return ("isbi2012", "semantic") if num_classes == 2 else ("semantic",)


def score_by(
    measure: Measure, compared: list[Comparison], reading: Reading, notes: list[str]
) -> tuple[Scores, list[Scores]]:
    """Compute one measure over all images and for each, {} if it has none; may add notes."""
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
    held = values_in(guesses)
    if held <= set(values):
        return [np.searchsorted(values, guess) for guess in guesses]
    if held <= set(range(len(values))):
        return guesses
    if len(values) == 2:
        background = min(held) if len(held) == 2 else 0
        return [(guess != background).astype(np.int64) for guess in guesses]
    strange = held - set(values)
    file = next(each.predicted_file for each in compared if strange & values_in([each.predicted]))
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
    compared: list[Comparison], reading: Reading, notes: list[str]
) -> tuple[Scores, list[Scores]]:
    guesses = [each.predicted for each in compared]
    held = tuple(sorted(values_in(guesses)))
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

"""Which scores for these labels, and what each measure gives, by name."""

from dataclasses import asdict
from typing import Literal

import numpy as np
import skimage as ski

from ulens.annotated.compared_values import Reading
from ulens.annotated.comparisons import Comparison
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
    truths = [each.truth for each in compared]
    guesses = [each.predicted for each in compared]
    if measure == "instances":
        if reading.labels_are == "classes":
            truths = [_regions(truth) for truth in truths]
        if reading.are_masks:
            notes.append("the predictions are masks; their connected regions count as objects")
            guesses = [_regions(guess) for guess in guesses]
        return _score_instances(truths, guesses)
    values = (0, 1) if reading.labels_are == "instances" else reading.values
    if len(values) == 2:  # objects are foreground
        truths, guesses = [np.sign(each) for each in truths], [np.sign(each) for each in guesses]
    if measure == "semantic":
        return _score_classes(truths, guesses, values)
    foreground = [each.foreground for each in compared if each.foreground is not None]
    proposals = foreground if len(foreground) == len(guesses) else guesses
    return _score_membranes(truths, proposals, notes)


def _regions(label: np.ndarray) -> np.ndarray:
    """Number the 8-connected regions of each value above 0; −1 stays."""
    regions = ski.measure.label(np.maximum(label, 0), connectivity=2)
    return np.where(label < 0, -1, regions).astype(np.int32)


def _score_membranes(
    truths: list[np.ndarray], proposals: list[np.ndarray], notes: list[str]
) -> tuple[Scores, list[Scores]]:
    found = isbi2012(truths, proposals)
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
    truths: list[np.ndarray], guesses: list[np.ndarray]
) -> tuple[Scores, list[Scores]]:
    found = instance_scores(truths, guesses)
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

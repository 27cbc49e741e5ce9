from pathlib import Path

import numpy as np
import pytest

from ulens.annotated.compared_values import Reading
from ulens.annotated.comparisons import Comparison
from ulens.metrics.by_measure import fitting_measures, score_by
from ulens.metrics.membrane import isbi2012

FILE = Path("a.tif")


def compared(truth, predicted, foreground=None):
    if foreground is not None:
        foreground = np.array([foreground], np.float32)
    truth, predicted = np.array([truth]), np.array([predicted])
    return Comparison(
        name="a",
        truth=truth,
        predicted=predicted,
        foreground=foreground,
        truth_file=FILE,
        predicted_file=FILE,
    )


def read_as(labels_are, values=(0, 1), *, are_masks=False):
    return Reading(labels_are=labels_are, values=values, notes=(), are_masks=are_masks)


@pytest.mark.parametrize(
    ("labels_are", "num_classes", "expected"),
    [
        ("instances", 2, ("instances",)),
        ("instances", 9, ("instances",)),
        ("classes", 2, ("isbi2012", "semantic")),
        ("classes", 3, ("semantic",)),
    ],
)
def test_measures_fit_what_the_labels_are(labels_are, num_classes, expected):
    assert fitting_measures(labels_are, num_classes) == expected


def test_instances_have_every_score_of_all_and_two_of_each_image():
    # an IoU of 3/5 and an extra one; two of two
    images = [
        compared([1, 1, 1, 1, 1, 0], [4, 4, 4, 0, 0, 5]),
        compared([1, 1, 0, 2, 2, 2], [8, 8, 0, 9, 9, 9]),
    ]
    notes = []
    scores, per_image = score_by("instances", images, read_as("instances"), notes)
    to_60 = {f"AP@0.{percent}": 3 / 4 for percent in (50, 55, 60)}
    above = {f"AP@0.{percent}": 1 / 2 for percent in range(65, 100, 5)}
    assert scores == pytest.approx(
        to_60
        | above
        | {
            "AP": (3 * 3 / 4 + 7 / 2) / 10,
            "F1@0.50": (2 / 3 + 1) / 2,
            "PQ": 13 / 15 * 6 / 7,
            "SQ": (3 / 5 + 1 + 1) / 3,
            "RQ": 6 / 7,
            "count_agreement": (1 / 2 + 1) / 2,
            "num_matched@0.50": 3,
            "num_missed@0.50": 0,
            "num_extra@0.50": 1,
        }
    )
    assert all(type(score) is float for score in scores.values())
    assert per_image == [
        {"AP@0.50": 1 / 2, "F1@0.50": pytest.approx(2 / 3)},
        {"AP@0.50": 1, "F1@0.50": 1},
    ]
    assert notes == []


def test_objects_of_masks_are_regions_that_touch_at_a_corner_at_least():
    image = compared([1, 1, 1, 0, 0], [1, 1, 1, 0, 1])
    corner = np.array([[1, 0, 0, 0], [0, 1, 0, 1]])
    for truth, guess in ((image.truth, image.predicted), (corner, corner)):
        both = Comparison(
            name="a",
            truth=truth,
            predicted=guess,
            foreground=None,
            truth_file=FILE,
            predicted_file=FILE,
        )
        notes = []
        scores, _ = score_by("instances", [both], read_as("classes", are_masks=True), notes)
        assert notes == ["the predictions are masks; their connected regions count as objects"]
        numbers = [scores[f"num_{kind}@0.50"] for kind in ("matched", "missed", "extra")]
        assert numbers == ([1, 0, 1] if truth is image.truth else [2, 0, 0])


def test_classes_that_touch_are_objects_of_their_own_and_predicted_objects_stay_as_they_are():
    # two classes side by side, each one object; nothing is known of the last two pixels
    image = compared([0, 1, 1, 2, 2, 0, -1, -1], [0, 3, 3, 4, 4, 0, 5, 5])
    notes = []
    scores, _ = score_by("instances", [image], read_as("classes", (0, 1, 2)), notes)
    numbers = [scores[f"num_{kind}@0.50"] for kind in ("matched", "missed", "extra")]
    assert (numbers, scores["AP"], notes) == ([2, 0, 0], 1, [])
    truth = compared([0, 1, 0, 1], [0, 1, 0, 1])  # two cells are two, be they told so or read so
    for labels_are, missed in (("classes", 1), ("instances", 0)):
        scores, _ = score_by("instances", [truth], read_as(labels_are), notes)
        assert scores["num_missed@0.50"] == missed


def test_classes_are_named_by_the_values_of_the_files():
    images = [
        compared([0, 1, 2, 2], [0, 1, 2, 1]),
        compared([0, 0, 0, -1], [0, 0, 0, 2]),
        compared([-1] * 4, [0, 1, 2, 2]),
    ]
    scores, per_image = score_by("semantic", images, read_as("classes", (0, 100, 255)), [])
    assert scores == pytest.approx(
        {"mean_iou": 2 / 3, "iou_class_0": 1, "iou_class_100": 1 / 2, "iou_class_255": 1 / 2}
        | {"dice_class_0": 1, "dice_class_100": 2 / 3, "dice_class_255": 2 / 3}
    )
    assert per_image == [scores, {"mean_iou": 1, "iou_class_0": 1, "dice_class_0": 1}, {}]


@pytest.mark.parametrize("values", [(0, 1), (0, 1, 2, 7)])
def test_of_two_classes_or_of_instances_all_objects_are_foreground(values):
    image = compared([0, 3, 3, 7, -1], [2, 9, 9, 0, 0])
    scores, _ = score_by("semantic", [image], read_as("instances", values), [])
    assert scores["dice_class_1"] == pytest.approx(2 * 2 / (3 + 3))
    assert set(scores) == {"mean_iou"} | {
        f"{kind}_class_{k}" for kind in ("iou", "dice") for k in values[:2]
    }
    masks, _ = score_by("semantic", [image], read_as("classes", (0, 255)), [])
    assert masks["dice_class_255"] == scores["dice_class_1"]


FROM_MASKS = (
    "isbi2012 was computed from masks, which leave no threshold to choose; "
    "probabilities (ulens segment --probabilities) are what the challenge scores"
)


def test_membranes_are_scored_by_their_probabilities_if_all_have_one():
    # at half the wall has a gap; at 0.7 it is whole
    sure = compared([1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [0.9, 0.9, 0.55, 0.9, 0.9])
    unsure = compared([1, 1, 0, 1, 1], [4, 4, 0, 5, 5])
    reading, notes = read_as("classes"), []
    scores, per_image = score_by("isbi2012", [sure, sure], reading, notes)
    assert (scores["v_rand"], scores["pixel_error"]) == (1, 0)
    assert scores["v_rand_threshold"] == pytest.approx(0.6)
    assert notes == []
    assert per_image == [{"v_rand": 1, "v_info": pytest.approx(1)}] * 2
    scores, per_image = score_by("isbi2012", [sure, unsure], reading, notes)
    expected = isbi2012([sure.truth, sure.truth], [sure.predicted, sure.truth])
    assert scores["v_rand"] == expected.v_rand == pytest.approx((2 / 3 + 1) / 2)
    assert [each["v_rand"] for each in per_image] == pytest.approx([2 / 3, 1])
    assert [each["v_info"] for each in per_image] == pytest.approx([0, 1])
    assert notes == [FROM_MASKS]
    assert "v_rand_per_slice" not in scores
    assert "binary_proposal" not in scores
    assert len(scores) == 14

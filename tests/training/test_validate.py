from dataclasses import replace

import numpy as np
import pytest

from ulens.annotated.samples import Sample
from ulens.encodings import distance
from ulens.encodings.table import ENCODINGS
from ulens.training.tuning import decode_with, tune_thresholds
from ulens.training.validate import (
    Prediction,
    quality,
    score,
    score_cells,
    score_held_out,
    score_membranes,
    score_unseen,
)


def a_prediction(label, foreground, encoding="classes"):
    foreground = np.asarray(foreground, np.float32)
    return predicted(label, np.stack([1 - foreground, foreground]), encoding)


def predicted(label, maps, encoding):
    label, way = np.asarray(label, np.int32), ENCODINGS[encoding]
    sample = Sample(name="a", image=np.zeros((1, *label.shape)), label=label)
    return Prediction(sample=sample, maps=maps, labels=way.decode(maps, **way.decoding))


def test_two_classes_get_iou_and_dice():
    half = a_prediction([[0, 0, 1, 1]], [[0.1, 0.9, 0.9, 0.9]])
    scores = score([half], "classes")
    assert scores["Dice"] == pytest.approx(0.8)
    assert scores["mean IoU"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert quality(half, "classes") == scores["mean IoU"]


def test_ignored_pixels_do_not_count():
    assert score([a_prediction([[0, -1, 1, 1]], [[0.1, 0.9, 0.9, 0.9]])], "classes")["Dice"] == 1


def test_instances_get_average_precision():
    row = np.repeat([[1] * 5 + [0] * 3 + [2] * 5], 5, axis=0)
    scores = score([a_prediction(row, row > 0, "boundary")], "instances")
    assert scores == {"AP@0.5": 1.0, "mean AP": 1.0}


def test_membranes_get_the_isbi_measures():
    label = np.ones((12, 19), int)
    label[:, 9] = 0
    scores = score_membranes([a_prediction(label, 0.9 * label)])
    assert scores["V_Rand"] == pytest.approx(1)
    assert scores["pixel error"] == pytest.approx(0)
    assert scores["warping error"] == 0


def test_the_labels_decide_which_measures_are_told():
    label = np.ones((12, 19), int)
    label[:, 9] = 0
    isbi = ["V_Rand", "V_Info", "Rand error", "pixel error", "warping error"]
    two = [a_prediction(label, 0.9 * label)]
    assert list(score_held_out(two, "classes")) == ["mean IoU", "Dice", *isbi]
    assert list(score_unseen(two, "classes")) == [*isbi, "mean IoU", "Dice"]
    maps = np.stack([label == 0, label == 1, label == 2]).astype(np.float32)
    three = [predicted(label, maps, "classes")]
    assert list(score_held_out(three, "classes")) == ["mean IoU"]
    assert list(score_unseen(three, "classes")) == ["mean IoU"]
    cells = [a_prediction(label, label, "boundary")]
    assert list(score_held_out(cells, "instances")) == ["AP@0.5", "mean AP"]
    assert list(score_unseen(cells, "instances")) == ["SEG", "AP@0.5", "mean AP"]


def test_cells_get_seg_of_the_gold_truth_where_there_is_some():
    row = np.repeat([[1] * 5 + [0] * 3 + [2] * 5], 5, axis=0)
    gold = a_prediction(row, row > 0, "boundary")
    missed = a_prediction(row, 0 * row, "boundary")
    silver = replace(missed, sample=replace(missed.sample, is_silver=True))
    assert score_cells([gold, silver]) == {"SEG": 1.0}
    assert score_cells([silver]) == {"SEG": 0.0}
    assert score_cells([gold, missed]) == {"SEG": 0.5}


def test_membranes_are_scored_where_annotated_whatever_the_sizes():
    label = np.ones((12, 19), int)
    label[:, 9] = 0
    partly = np.where(np.arange(19) < 15, label, -1)
    foreground = np.where(partly < 0, 0.9, 0.9 * label)
    pair = [a_prediction(label[:8], 0.9 * label[:8]), a_prediction(partly, foreground)]
    scores = score_membranes(pair)
    assert scores["V_Rand"] == pytest.approx(1)
    assert scores["pixel error"] == pytest.approx(0)


def test_an_image_without_interior_has_no_membrane_scores():
    label = np.ones((12, 19), int)
    predictions = [a_prediction(label, 0.9 * label), a_prediction(0 * label, 0.1 * label)]
    assert score_membranes(predictions) == {}


def test_thresholds_are_tuned_to_part_what_half_sure_pixels_join():
    truth = np.repeat([[1] * 6 + [2] * 6], 8, axis=0)
    foreground = np.where(np.isin(np.arange(12), (5, 6)), 0.75, 0.95)[None].repeat(8, axis=0)
    joined = a_prediction(truth, foreground, "boundary")
    assert joined.labels.max() == 1
    start = {**ENCODINGS["boundary"].decoding, "min_area_px": 3}
    decoding = tune_thresholds([joined], "boundary", start)
    (parted,) = decode_with([joined], "boundary", decoding)
    assert np.array_equal(parted.labels, truth)
    assert decoding == {"threshold": 0.8, "reach_threshold": 0.1, "min_area_px": 3}


def test_thresholds_of_distances_are_tuned_on_the_annotated_part():
    truth = np.repeat([[1] * 12 + [2] * 12 + [-1] * 8], 12, axis=0)
    maps = distance.encode(truth)
    maps[0] = np.where(truth > 0, np.maximum(maps[0], 0.5), 0)
    maps[1] *= 0.3  # a network that hardly sees that there is a neighbour
    maps[:, :, 24:] = 1
    joined = predicted(truth, maps, "distance")
    assert len(np.unique(joined.labels[:, :24])) == 1
    start = {**ENCODINGS["distance"].decoding, "min_area_px": 3}
    decoding = tune_thresholds([joined], "distance", start)
    (parted,) = decode_with([joined], "distance", decoding)
    assert decoding["seed_threshold"] > start["seed_threshold"]
    assert parted.labels.shape == truth.shape
    assert score([parted], "instances")["AP@0.5"] == 1


def test_the_threshold_of_membranes_is_chosen_by_what_it_parts():
    label = np.ones((40, 41), int)
    label[:, 20] = 0
    # the membrane is a weak one: at 0.3 it would be lost
    prediction = a_prediction(label, np.where(label == 0, 0.45, 0.95), "membrane")
    assert prediction.labels.all()
    decoding = tune_thresholds([prediction], "membrane", {"threshold": 0.3})
    (tuned,) = decode_with([prediction], "membrane", decoding)
    assert decoding == {"threshold": 0.5}
    np.testing.assert_array_equal(tuned.labels, label)


def test_a_threshold_that_cannot_be_judged_stays():
    prediction = a_prediction(np.zeros((8, 8), int), np.zeros((8, 8)), "membrane")
    decoding = tune_thresholds([prediction], "membrane", {"threshold": 0.3})
    assert decoding == {"threshold": 0.3}


@pytest.mark.parametrize(("num_objects", "reach_threshold"), [(2, 0.1), (20, 0.3)])
def test_a_threshold_moves_only_for_a_clear_gain(num_objects, reach_threshold):
    """Each square has a faint column beside it: without it mean AP is 1 instead of 0.9."""
    truth = np.zeros((20, 20 * num_objects), int)
    foreground = np.zeros(truth.shape)
    for number in range(num_objects):
        left = 20 * number + 4
        truth[5:15, left : left + 10] = number + 1
        foreground[5:15, left : left + 10] = 0.95
        foreground[5:15, left + 10] = 0.25
    prediction = a_prediction(truth, foreground, "boundary")
    start = {"threshold": 0.7, "reach_threshold": 0.1}
    decoding = tune_thresholds([prediction], "boundary", start)
    assert decoding == {"threshold": 0.7, "reach_threshold": reach_threshold}

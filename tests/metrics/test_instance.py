from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import cases
from ulens.errors import DataError
from ulens.metrics.instance import IOU_THRESHOLDS, MatchCounts, count_by_part, instance_scores


def test_thresholds_run_from_half_to_nearly_one():
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_the_truth_itself_scores_one_everywhere():
    labels = cases.three_in_a_row()
    scores = instance_scores([labels], [labels[::-1]])
    assert set(scores.average_precision.values()) == set(scores.f1.values()) == {1.0}
    assert scores.mean_average_precision == 1.0


def test_an_object_counts_up_to_its_iou():
    truth = np.array([[1, 1, 1, 1, 1]])
    scores = instance_scores([truth], [np.array([[3, 3, 3, 0, 0]])])
    assert scores.average_precision[0.6] == 1.0
    assert scores.average_precision[0.65] == 0.0
    assert scores.mean_average_precision == pytest.approx(3 / 10)


def test_merged_cells_count_as_two_missed_and_one_extra():
    truth = cases.two_touching_discs()
    scores = instance_scores([truth], [(truth > 0).astype(int)])
    assert scores.counts[0.55] == MatchCounts(num_matched=0, num_missed=2, num_extra=1)
    assert scores.average_precision[0.55] == scores.f1[0.55] == 0.0


def test_average_precision_is_the_mean_over_images():
    one, none = np.array([[1, 0]]), np.array([[0, 0]])
    extra = np.array([[1, 2]])
    scores = instance_scores([one, none, none, one], [extra, none, one, none])
    # 1 of 2; nothing to find and nothing found; one extra; one missed
    assert scores.average_precision[0.5] == pytest.approx((1 / 2 + 1 + 0 + 0) / 4)
    assert scores.f1[0.5] == pytest.approx((2 / 3 + 1 + 0 + 0) / 4)
    assert scores.counts[0.5] == MatchCounts(num_matched=1, num_missed=1, num_extra=2)
    assert scores.per_image[0][0.5] == MatchCounts(num_matched=1, num_missed=0, num_extra=1)


def test_predictions_mostly_in_ignored_pixels_do_not_count():
    truth = np.array([[1, 1, 0, 0, -1, -1, -1]])
    predicted = np.array([[4, 4, 0, 5, 5, 5, 0]])
    assert instance_scores([truth], [predicted]).average_precision[0.95] == 1.0


def test_every_score_leaves_out_cells_that_are_not_annotated():
    predicted = cases.three_in_a_row()
    truth = np.where(predicted == 2, -1, np.where(predicted == 3, 7, predicted))
    scores = instance_scores([truth], [predicted])
    assert scores.mean_average_precision == scores.f1[0.95] == 1.0
    assert scores.panoptic.quality == scores.count_agreement == 1.0
    assert scores.counts[0.5] == MatchCounts(num_matched=2, num_missed=0, num_extra=0)


def test_predictions_half_in_ignored_pixels_count_with_their_other_half():
    truth = np.array([[0, 2, 2, -1, -1]])
    predicted = np.array([[0, 9, 9, 9, 9]])
    assert instance_scores([truth], [predicted]).average_precision[0.95] == 1.0
    assert instance_scores([0 * truth - (truth < 0)], [predicted]).counts[0.5].num_extra == 1


def test_no_images_are_an_error():
    with pytest.raises(DataError, match="no images to compare"):
        instance_scores([], [])


def test_panoptic_quality_is_that_of_all_objects_together():
    truth = [np.array([[1, 1, 1, 1, 2]]), np.array([[0, 0, 0, 0, 1]])]
    predicted = [np.array([[5, 5, 5, 0, 7]]), np.array([[0, 2, 0, 0, 0]])]
    scores = instance_scores(truth, predicted)
    # IoU 3/4 and 1 of three true and three predicted objects
    assert scores.panoptic.segmentation == pytest.approx(7 / 8)
    assert scores.panoptic.recognition == pytest.approx(2 / 3)
    assert scores.panoptic.quality == pytest.approx(1.75 / (2 + 1 / 2 + 1 / 2))


def test_an_iou_of_a_half_is_no_match_for_the_panoptic_quality():
    scores = instance_scores([np.array([[1, 1, 0]])], [np.array([[1, 0, 0]])])
    assert scores.average_precision[0.5] == 1.0
    assert scores.panoptic.quality == scores.panoptic.segmentation == 0.0


def test_panoptic_quality_and_counts_of_nothing_are_perfect():
    scores = instance_scores([cases.empty()], [cases.empty()])
    assert scores.panoptic.quality == scores.count_agreement == 1.0


def test_counts_agree_as_the_fewer_of_the_more():
    two, three, none = np.array([[1, 2, 0]]), np.array([[1, 2, 3]]), np.array([[0, 0, 0]])
    assert instance_scores([two], [three]).count_agreement == pytest.approx(2 / 3)
    scores = instance_scores([three, none, two], [two, two, two])
    assert scores.count_agreement == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_there_are_as_many_predictions_as_truths():
    with pytest.raises(ValueError, match="shorter"):
        instance_scores([cases.empty()] * 2, [cases.empty()])


LABELS = arrays(np.int32, (4, 5), elements=st.sampled_from([0, 1, 2, 2, 6]))
HIDDEN = arrays(bool, (4, 5), elements=st.sampled_from([False, False, True]))
PARTS = arrays(np.int32, (4, 5), elements=st.integers(0, 3))


def masks_of(labels):
    return [labels == each for each in np.unique(labels[labels > 0])]


@given(LABELS, LABELS, HIDDEN, PARTS)
def test_counts_are_those_of_the_definition(truth, predicted, hidden, part):
    truth = np.where(hidden, -1, truth)
    true = masks_of(truth)
    guessed = [each for each in masks_of(predicted) if 2 * (each & hidden).sum() <= each.sum()]
    iou = np.array([[(a & b).sum() / (a | b & ~hidden).sum() for b in guessed] for a in true])
    iou = iou.reshape(len(true), len(guessed))
    scores = instance_scores([truth], [predicted])
    by_part = count_by_part(truth, predicted, part)
    assert by_part.shape == (part.max() + 1, len(IOU_THRESHOLDS), 3)
    assert by_part.dtype == np.int64
    for place, threshold in enumerate(IOU_THRESHOLDS):
        pairs = np.argwhere(iou >= threshold).tolist()
        num_matched = len(pairs)
        if threshold == 0.5:  # above, a match is the only one
            num_matched = max(
                number
                for number in range(4)
                for some in combinations(pairs, number)
                if len({i for i, _ in some}) == len({j for _, j in some}) == number
            )
        numbers = [num_matched, len(true) - num_matched, len(guessed) - num_matched]
        assert list(asdict(scores.counts[threshold]).values()) == numbers
        assert by_part[:, place].sum(axis=0).tolist() == numbers
        if threshold > 0.5:
            expected = np.zeros_like(by_part[:, 0])
            for mask, is_matched in zip(true, (iou >= threshold).any(axis=1), strict=True):
                expected[part[mask][0], 0 if is_matched else 1] += 1
            for mask, is_matched in zip(guessed, (iou >= threshold).any(axis=0), strict=True):
                expected[part[mask][0], 2] += not is_matched
            np.testing.assert_array_equal(by_part[:, place], expected)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=3))
def test_scores_of_several_images_follow_from_their_counts(pairs):
    scores = instance_scores(*zip(*pairs, strict=True))
    each_alone = [instance_scores([truth], [guess]) for truth, guess in pairs]
    assert scores.per_image == tuple(each.counts for each in each_alone)
    for threshold, counts in scores.counts.items():
        at = [asdict(each.counts[threshold]) for each in each_alone]
        for name, value in asdict(counts).items():
            assert value == sum(each[name] for each in at)
        averages = [each.average_precision[threshold] for each in each_alone]
        assert scores.average_precision[threshold] == pytest.approx(np.mean(averages))

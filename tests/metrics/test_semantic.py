import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ulens.errors import DataError, ShapeError
from ulens.metrics.semantic import semantic_scores

MASKS = arrays(np.int32, (4, 5), elements=st.integers(0, 3))


def test_scores_pool_the_pixels_of_all_images():
    truth = [np.array([[1, 1, 1, 1]]), np.array([[0, 0, 0, 1]])]
    predicted = [np.array([[1, 1, 1, 1]]), np.array([[0, 0, 1, 0]])]
    scores = semantic_scores(truth, predicted)
    assert scores.iou == {0: 2 / 4, 1: 4 / 6}
    assert scores.dice == {0: 2 * 2 / 6, 1: 2 * 4 / 10}
    assert scores.mean_iou == pytest.approx((2 / 4 + 4 / 6) / 2)


def test_ignored_pixels_are_left_out():
    truth = np.array([[0, 1, -1, -1]])
    scores = semantic_scores([truth], [np.array([[0, 1, 0, 2]])])
    assert scores.iou == {0: 1.0, 1: 1.0}


def test_a_class_that_only_the_prediction_holds_counts_zero():
    scores = semantic_scores([np.array([0, 0])], [np.array([0, 7])])
    assert scores.iou == {0: 0.5, 7: 0.0}
    assert scores.mean_iou == 0.25


@given(MASKS, MASKS)
def test_dice_and_iou_agree_and_are_symmetric(truth, predicted):
    scores = semantic_scores([truth], [predicted])
    assert scores == semantic_scores([predicted], [truth])
    for each, iou in scores.iou.items():
        assert scores.dice[each] == pytest.approx(2 * iou / (1 + iou))


def test_images_without_any_annotation_are_named():
    with pytest.raises(DataError, match="all carry the ignored value -1; give annotated images"):
        semantic_scores([np.full((2, 2), -1)], [np.zeros((2, 2), int)])


def test_shapes_that_differ_are_named():
    with pytest.raises(ShapeError, match="they must have one shape"):
        semantic_scores([np.zeros((2, 2), int)], [np.zeros((2, 3), int)])


@given(
    st.lists(st.tuples(MASKS.map(lambda mask: mask - 1), MASKS), min_size=1, max_size=3).filter(
        lambda pairs: any((truth >= 0).any() for truth, _ in pairs)
    )
)
def test_scores_are_those_of_the_definition(pairs):
    truth, predicted = (np.concatenate(side).ravel() for side in zip(*pairs, strict=True))
    predicted = predicted[truth >= 0]
    truth = truth[truth >= 0]
    scores = semantic_scores(*zip(*pairs, strict=True))
    assert list(scores.iou) == list(scores.dice) == sorted({*truth.tolist(), *predicted.tolist()})
    for each, iou in scores.iou.items():
        true, guess = truth == each, predicted == each
        assert iou == (true & guess).sum() / (true | guess).sum()
        assert scores.dice[each] == 2 * (true & guess).sum() / (true.sum() + guess.sum())
    assert scores.mean_iou == pytest.approx(np.mean(list(scores.iou.values())))


def test_there_are_as_many_predictions_as_truths():
    mask = np.array([[0, 1]])
    with pytest.raises(ValueError, match="shorter"):
        semantic_scores([mask, mask], [mask])

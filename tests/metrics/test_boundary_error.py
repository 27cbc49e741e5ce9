import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cases import two_touching_discs
from ulens.errors import DataError, ShapeError
from ulens.metrics.boundary_error import (
    REACH_PX,
    boundary_errors,
    boundary_errors_of_probability,
    near_border,
    rename_matched,
)

SQUARE = np.zeros((20, 20), int)
SQUARE[5:15, 5:15] = 1


def test_a_perfect_prediction_has_no_errors_and_every_pixel_is_counted_once():
    found = boundary_errors([SQUARE], [SQUARE])
    assert (found.boundary, found.context) == (0, 0)
    assert found.num_boundary + found.num_context == SQUARE.size


def test_a_prediction_that_ends_a_pixel_late_errs_at_the_border_alone():
    late = np.zeros_like(SQUARE)
    late[4:16, 4:16] = 1
    found = boundary_errors([SQUARE], [late])
    assert found.context == 0
    assert found.boundary == pytest.approx(44 / found.num_boundary)


def test_a_hole_in_the_middle_is_an_error_of_context_alone():
    holed = SQUARE.copy()
    holed[9:11, 9:11] = 0
    found = boundary_errors([SQUARE], [holed])
    assert found.boundary == 0
    assert found.context == pytest.approx(4 / found.num_context)


@pytest.mark.parametrize("reach_px", [1, 2, REACH_PX])
def test_a_straight_border_has_as_many_near_pixels_on_either_side_as_asked(reach_px):
    halves = np.repeat([[0] * 10 + [1] * 10], 4, axis=0)
    near = near_border(halves, reach_px=reach_px)
    assert near.sum() == 2 * reach_px * 4
    assert near[:, 10 - reach_px : 10 + reach_px].all()


def test_as_many_pixels_may_be_near_a_border_as_are_not():
    found = boundary_errors([np.repeat([[0, 1]], 6, axis=1)], [np.repeat([[0, 1]], 6, axis=1)])
    assert (found.num_boundary, found.num_context) == (6, 6)


def test_touching_instances_have_a_border_between_them():
    discs = two_touching_discs()
    assert near_border(discs)[12, 18:22].all()
    assert not near_border(np.sign(discs))[12, 18:22].any()


def test_where_the_annotation_ends_is_no_border_and_nothing_counts():
    label = np.zeros((6, 20), int)
    label[:, 10:] = -1
    assert not near_border(label).any()
    found = boundary_errors([label], [np.zeros_like(label)])
    assert math.isnan(found.boundary)
    assert (found.context, found.num_context) == (0, 60)


def test_a_prediction_where_nothing_is_annotated_counts_nowhere():
    annotated = SQUARE.copy()
    annotated[:9] = -1
    late = np.roll(SQUARE, 1, axis=1)
    other = np.where(annotated == -1, 1 - late, late)
    assert 0 < boundary_errors([annotated], [late]).boundary < 1
    for count in (boundary_errors, boundary_errors_of_probability):
        assert count([annotated], [late]) == count([annotated], [other])
    renamed = [rename_matched(annotated, each)[9:] for each in (late, other)]
    np.testing.assert_array_equal(*renamed)


def test_of_thresholds_that_are_as_good_the_lowest_is_taken():
    found = boundary_errors_of_probability([SQUARE], [SQUARE * 0.75])
    assert found.threshold == 0


def test_an_iou_of_one_half_is_a_match_and_less_is_none():
    truth = np.array([[1, 1, 0, 2, 2, 2, 0]])
    found = np.array([[5, 0, 0, 3, 0, 0, 0]])
    assert rename_matched(truth, found).tolist() == [[1, 0, 0, -2, 0, 0, 0]]


def test_images_are_pooled_by_pixels():
    empty = np.zeros((10, 10), int)
    found = boundary_errors([empty, empty], [empty, empty + 1])
    assert found.context == 0.5


def test_the_threshold_is_that_of_the_fewest_wrong_pixels():
    probability = np.where(SQUARE == 1, 0.9, 0.65)
    found = boundary_errors_of_probability([SQUARE], [probability])
    assert found.threshold == pytest.approx(0.7)
    assert (found.boundary, found.context) == (0, 0)


def test_merged_instances_are_wrong_where_they_match_nothing():
    discs = two_touching_discs()
    merged = np.sign(discs)
    merged[0, 0] = 1  # now it overlaps neither by one half of the union
    renamed = rename_matched(discs, merged)
    assert ((renamed != discs) == (merged > 0)).all()
    assert boundary_errors([discs], [rename_matched(discs, discs + 4 * merged)]).boundary == 0


def test_wrong_input_is_refused():
    with pytest.raises(ShapeError, match="of one size"):
        boundary_errors([SQUARE], [SQUARE[1:]])
    with pytest.raises(DataError, match="give annotated images"):
        boundary_errors([SQUARE * 0 - 1], [SQUARE])


def test_there_are_as_many_predictions_as_truths():
    for count in (boundary_errors, boundary_errors_of_probability):
        with pytest.raises(ValueError, match="shorter"):
            count([SQUARE, SQUARE], [SQUARE])


def test_a_probability_of_one_is_above_every_threshold():
    found = boundary_errors_of_probability([0 * SQUARE], [np.ones(SQUARE.shape)])
    assert (found.context, found.threshold) == (1, 0)


CLASSES = arrays(np.int32, (5, 9), elements=st.sampled_from([0, 0, 0, 0, 1, 2]))
HIDDEN = arrays(bool, (5, 9))


@settings(deadline=None, max_examples=50)
@given(CLASSES, st.integers(1, 4))
def test_near_a_border_is_within_reach_of_a_pixel_with_another_beside_it(truth, reach_px):
    framed = np.pad(truth, 1, mode="edge")
    beside = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    border = np.any([truth != other for other in beside], axis=0)
    places = np.argwhere(np.ones_like(border))
    distance = np.linalg.norm(places[:, None] - np.argwhere(border), axis=-1)
    expected = distance.min(axis=1, initial=np.inf).reshape(border.shape) < reach_px
    np.testing.assert_array_equal(near_border(truth, reach_px=reach_px), expected)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(CLASSES, HIDDEN, CLASSES), min_size=1, max_size=2))
def test_errors_are_shares_of_the_annotated_pixels_of_all_images(images):
    images = [(np.where(hidden, -1, truth), guess) for truth, hidden, guess in images]
    images[0][0][2, 2] = 0  # one pixel at least is annotated
    truth, guess = (np.stack(each) for each in zip(*images, strict=True))
    near = np.stack([near_border(each) for each in truth])
    found = boundary_errors(truth, guess)
    for part, share, number in (
        (near, found.boundary, found.num_boundary),
        (~near, found.context, found.num_context),
    ):
        wrong = (truth != guess)[part & (truth >= 0)]
        assert number == wrong.size
        assert share == wrong.mean() if wrong.size else math.isnan(share)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.optimize import linear_sum_assignment

import cases
from ulens.errors import LabelError, SettingError, ShapeError
from ulens.labels.overlap import contingency, iou_matrix, match

SHAPES = st.shared(array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=8))
LABELS = arrays(np.int32, SHAPES, elements=st.integers(0, 6))


def table_of(truth, predicted):
    table = contingency(truth, predicted)
    pairs = zip(table.truth.tolist(), table.predicted.tolist(), strict=True)
    return dict(zip(pairs, table.num_pixels.tolist(), strict=True))


@given(LABELS, LABELS, st.sampled_from([1, 1000, 2**27]))
def test_contingency_counts_every_pixel_pair(truth, predicted, factor):
    expected = {}
    for pair in zip(truth.ravel().tolist(), (predicted * factor).ravel().tolist(), strict=True):
        expected[pair] = expected.get(pair, 0) + 1
    assert table_of(truth, predicted * factor) == expected
    assert list(table_of(truth, predicted * factor)) == sorted(expected)


def test_contingency_leaves_out_pixels_that_are_not_valid():
    truth = np.array([-1, 0, 1, 1])
    table = contingency(truth, np.array([5, 0, 2, 3]), valid=truth >= 0)
    assert table.truth.tolist() == [0, 1, 1]
    assert table.predicted.tolist() == [0, 2, 3]


@given(LABELS, LABELS)
def test_iou_is_intersection_over_union(truth, predicted):
    iou = iou_matrix(contingency(truth, predicted))
    assert iou.truth.tolist() == sorted(set(truth.ravel().tolist()) - {0})
    assert iou.predicted.tolist() == sorted(set(predicted.ravel().tolist()) - {0})
    for row, true in enumerate(iou.truth):
        for column, guess in enumerate(iou.predicted):
            both = np.count_nonzero((truth == true) & (predicted == guess))
            either = np.count_nonzero((truth == true) | (predicted == guess))
            assert iou.values[row, column] == both / either


def test_an_image_matches_itself():
    labels = cases.two_touching_discs()
    iou = iou_matrix(contingency(labels, labels))
    rows, columns = match(iou.values, threshold=1.0)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [0, 1])


def test_empty_images_have_no_objects_and_no_matches():
    iou = iou_matrix(contingency(cases.empty(), cases.empty()))
    assert iou.values.shape == (0, 0)
    assert match(iou.values, threshold=0.5)[0].size == 0


def test_an_object_split_in_equal_halves_matches_one_half():
    iou = iou_matrix(contingency(np.array([1, 1, 1, 1]), np.array([1, 1, 2, 2])))
    assert iou.values.tolist() == [[0.5, 0.5]]
    assert len(match(iou.values, threshold=0.5)[0]) == 1


def test_more_matches_go_before_greater_iou():
    # taking the pair of 0.9 would leave the second row without a partner
    iou = np.array([[0.9, 0.4], [0.4, 0.0]])
    rows, columns = match(iou, threshold=0.4)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
        elements=st.integers(0, 10).map(lambda tenth: tenth / 10),
    ),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0]),
)
def test_matching_is_one_to_one_and_as_large_as_possible(iou, threshold):
    rows, columns = match(iou, threshold=threshold)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert np.all(iou[rows, columns] >= threshold)
    best_rows, best_columns = linear_sum_assignment(iou >= threshold, maximize=True)
    assert len(rows) == np.count_nonzero((iou >= threshold)[best_rows, best_columns])


def test_shapes_that_differ_are_named():
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\); they must have one shape"):
        contingency(np.zeros(2, int), np.zeros(3, int))


def test_labels_must_be_whole_numbers():
    with pytest.raises(LabelError, match="type float64; convert them to whole numbers"):
        contingency(np.zeros(2), np.zeros(2, int))


@pytest.mark.parametrize("wrong", [-1, 2**31])
def test_labels_out_of_range_are_named(wrong):
    with pytest.raises(LabelError, match=rf"they must lie in 0\.\.\.{2**31 - 1}; renumber them"):
        contingency(np.array([0, wrong]), np.zeros(2, int))


@pytest.mark.parametrize("threshold", [0.0, 1.1, -0.5])
def test_thresholds_out_of_range_are_named(threshold):
    with pytest.raises(SettingError, match=f"IoU threshold is {threshold}; choose one above 0"):
        match(np.zeros((1, 1)), threshold=threshold)

import numpy as np
import pytest

from cases import empty, three_in_a_row, two_touching_discs
from ulens.labels.resize import resize_labels


def test_a_picture_with_the_answer_written_by_hand():
    labels = np.array([[1, 2], [3, 4]], np.uint16)
    expected = [[1, 1, 2, 2, 2], [1, 1, 2, 2, 2], [3, 3, 4, 4, 4], [3, 3, 4, 4, 4]]
    resized = resize_labels(labels, (4, 5))
    np.testing.assert_array_equal(resized, expected)
    assert resized.dtype == np.uint16


@pytest.mark.parametrize("case", [two_touching_discs, three_in_a_row, empty])
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_enlarged_by_whole_numbers_and_back_is_the_same(case, factor):
    labels = case()
    enlarged = resize_labels(labels, (factor * labels.shape[0], factor * labels.shape[1]))
    np.testing.assert_array_equal(enlarged, np.kron(labels, np.ones((factor, factor), int)))
    np.testing.assert_array_equal(resize_labels(enlarged, labels.shape), labels)


def test_no_label_is_made_up_where_others_mix():
    labels = np.array([[1, 9, 1, 9, 1, 9, 1]])
    assert set(np.unique(resize_labels(labels, (3, 5)))) <= {1, 9}


def test_the_same_size_is_the_same_array():
    labels = two_touching_discs()
    assert resize_labels(labels, labels.shape) is labels

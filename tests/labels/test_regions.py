import numpy as np
import pytest

from ulens.labels.regions import without_small


@pytest.mark.parametrize("seed", range(5))
def test_small_labels_go_and_the_others_keep_their_order(seed):
    labels = np.random.default_rng(seed).integers(0, 30, (12, 15))
    found = without_small(labels, min_area_px=6)
    numbers, areas = np.unique(labels[labels > 0], return_counts=True)
    large = numbers[areas >= 6]
    expected = np.zeros(labels.shape)
    for new, old in enumerate(large, start=1):
        expected[labels == old] = new
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_labels_without_pixels_leave_no_gap():
    assert without_small(np.array([[0, 9], [4, 4]]), min_area_px=0).tolist() == [[0, 2], [1, 1]]


def test_nothing_stays_nothing():
    assert without_small(np.zeros((0, 3), int), min_area_px=5).shape == (0, 3)
    assert not without_small(np.ones((2, 2), int), min_area_px=5).any()

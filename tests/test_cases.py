"""The gallery holds what its docstrings promise."""

import numpy as np
import pytest
from scipy import ndimage

import cases

GALLERY = {
    cases.two_touching_discs: ((24, 40), 2),
    cases.empty: ((16, 20), 0),
    cases.one_pixel: ((9, 11), 1),
    cases.cell_with_hole: ((20, 20), 1),
    cases.three_in_a_row: ((14, 32), 3),
}


def touching_pairs(labels: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of instances that share a horizontal or vertical pixel border."""
    first = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    second = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    differ = (first != second) & (first > 0) & (second > 0)
    pairs = np.sort(np.stack([first, second])[:, differ], axis=0)
    return set(zip(*pairs.tolist(), strict=True))


@pytest.mark.parametrize(("case", "promise"), GALLERY.items())
def test_every_instance_is_connected_and_away_from_the_image_border(case, promise):
    labels = case()
    shape, num_instances = promise
    assert labels.shape == shape
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == set(range(num_instances + 1))
    for label in range(1, num_instances + 1):
        assert ndimage.label(labels == label)[1] == 1
    assert not labels[[0, -1]].any()
    assert not labels[:, [0, -1]].any()


def test_two_touching_discs_look_like_one_component():
    labels = cases.two_touching_discs()
    assert touching_pairs(labels) == {(1, 2)}
    assert ndimage.label(labels > 0)[1] == 1
    assert (labels == 1).sum() == (labels == 2).sum()


def test_one_pixel_is_one_pixel():
    assert np.argwhere(cases.one_pixel()).tolist() == [[4, 5]]


def test_the_hole_is_background_and_enclosed():
    labels = cases.cell_with_hole()
    hole = ndimage.binary_fill_holes(labels) & (labels == 0)
    assert hole.sum() == 4 * 4
    assert (labels == 1).sum() == 12 * 12 - 4 * 4


def test_in_the_row_only_neighbours_touch():
    assert touching_pairs(cases.three_in_a_row()) == {(1, 2), (2, 3)}


def test_each_call_gives_a_new_array():
    cases.one_pixel()[:] = 7
    assert cases.one_pixel().max() == 1

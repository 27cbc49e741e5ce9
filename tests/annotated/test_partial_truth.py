import tracemalloc

import numpy as np
import pytest

import cases
from ulens.annotated.partial_truth import REACH_RADII, ignore_unoutlined
from ulens.errors import ShapeError


def rectangles(*boxes, size=(40, 60)):
    """Draw rectangles (id, y, x, height, width)."""
    labels = np.zeros(size, np.uint16)
    for number, y, x, height, width in boxes:
        labels[y : y + height, x : x + width] = number
    return labels


LEFT, RIGHT = (3, 5, 5, 10, 10), (8, 5, 30, 10, 10)


def test_outlines_alone_are_left_as_they_are():
    gold = rectangles(LEFT, RIGHT)
    label, num_ignored = ignore_unoutlined(gold)
    assert label.dtype == np.int64
    assert num_ignored == 0
    np.testing.assert_array_equal(label, gold)


def test_a_cell_that_only_silver_knows_is_ignored_as_silver_outlines_it():
    silver = rectangles((1, 6, 6, 10, 10), RIGHT)
    label, num_ignored = ignore_unoutlined(rectangles(LEFT), silver=silver)
    assert num_ignored == 1
    np.testing.assert_array_equal(label == -1, silver == 8)
    np.testing.assert_array_equal(label == 3, rectangles(LEFT) == 3)


@pytest.mark.parametrize(("width_inside", "num_ignored"), [(4, 1), (5, 1), (6, 0)])
def test_silver_is_an_outlined_cell_from_more_than_half_its_pixels_on(width_inside, num_ignored):
    silver = rectangles((1, 5, 15 - width_inside, 10, 10))
    label, number = ignore_unoutlined(rectangles(LEFT), silver=silver)
    assert number == num_ignored
    assert (label == -1).sum() == num_ignored * 10 * (10 - width_inside)
    assert (label == 3).sum() == 100


def test_silver_that_holds_the_marker_of_an_outlined_cell_is_that_cell():
    gold, silver = rectangles(LEFT), rectangles((1, 5, 11, 10, 10))
    marker = rectangles((7, 9, 12, 2, 2))
    assert ignore_unoutlined(gold, silver=silver)[1] == 1
    label, num_ignored = ignore_unoutlined(gold, silver=silver, markers=marker)
    assert num_ignored == 0
    assert label.min() == 0


def test_a_marker_in_ignored_silver_ignores_nothing_more():
    silver = rectangles(LEFT, RIGHT)
    label, num_ignored = ignore_unoutlined(
        rectangles(LEFT), silver=silver, markers=rectangles((1, 9, 9, 2, 2), (2, 9, 34, 2, 2))
    )
    assert num_ignored == 1
    np.testing.assert_array_equal(label == -1, silver == 8)


def test_around_a_marker_alone_the_reach_of_a_median_cell_is_ignored():
    gold = rectangles((1, 2, 2, 6, 6), (2, 2, 12, 10, 10), (4, 16, 2, 20, 20))
    label, num_ignored = ignore_unoutlined(gold, markers=rectangles((9, 20, 40, 1, 1)))
    y, x = np.mgrid[:40, :60]
    reach = REACH_RADII * np.sqrt(100 / np.pi)
    near = (y - 20) ** 2 + (x - 40) ** 2 <= reach**2
    assert num_ignored == 1
    assert near.any()
    np.testing.assert_array_equal(label, np.where(near, -1, gold.astype(int)))


def test_outlined_pixels_are_never_ignored():
    gold = rectangles(LEFT, (2, 5, 17, 10, 10))
    label, num_ignored = ignore_unoutlined(gold, markers=rectangles((6, 9, 15, 2, 2)))
    assert num_ignored == 1
    np.testing.assert_array_equal(label[gold > 0], gold[gold > 0])
    assert (label[5:15, 15:17] == -1).all()


def test_markers_that_are_whole_cells_are_found_again():
    gold = cases.two_touching_discs()
    assert ignore_unoutlined(gold, silver=gold, markers=gold + (gold > 0))[1] == 0
    label, num_ignored = ignore_unoutlined(np.where(gold == 1, 1, 0), silver=gold, markers=gold)
    assert num_ignored == 1
    np.testing.assert_array_equal(label, np.where(gold == 2, -1, gold))


def test_markers_without_any_outline_ignore_the_whole_frame():
    markers = cases.one_pixel()
    label, num_ignored = ignore_unoutlined(np.zeros_like(markers), markers=markers)
    assert num_ignored == 1
    assert (label == -1).all()


def test_an_empty_frame_is_background():
    empty = cases.empty()
    label, num_ignored = ignore_unoutlined(empty, silver=empty, markers=empty)
    assert num_ignored == 0
    assert (label == 0).all()


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="must have one shape"):
        ignore_unoutlined(cases.empty(), silver=cases.one_pixel())


def test_memory_does_not_grow_with_the_numbers_of_labels():
    gold, markers = rectangles(LEFT), rectangles((1, 9, 40, 2, 2))
    expected, _ = ignore_unoutlined(gold, markers=markers)
    large = gold.astype(np.int64) * 10**7
    tracemalloc.start()
    try:
        found, num_ignored = ignore_unoutlined(large, markers=markers)
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()
    assert num_ignored == 1
    np.testing.assert_array_equal(found == -1, expected == -1)

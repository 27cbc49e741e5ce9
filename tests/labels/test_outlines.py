import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import label as label_regions

import cases
from ulens.labels.outlines import fill, trace

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans())


def area(ring):
    x, y = ring.T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@given(MASKS)
def test_traced_masks_fill_to_themselves_by_both_rules(mask):
    polygons = trace(mask)
    rings = [ring for rings in polygons for ring in rings]
    np.testing.assert_array_equal(fill(rings, mask.shape), mask)
    # holes run against their outer ring, so that adding up windings gives 1 inside, 0 outside
    winding = sum(
        (np.sign(area(ring)) * fill([ring], mask.shape) for ring in rings), np.zeros(mask.shape)
    )
    np.testing.assert_array_equal(winding, mask)


@given(MASKS)
def test_polygons_are_4_connected_regions_and_no_ring_meets_itself(mask):
    polygons = trace(mask)
    assert len(polygons) == label_regions(mask, connectivity=1).max()
    for outer, *holes in polygons:
        assert area(outer) > 0
        assert all(area(hole) < 0 for hole in holes)
        for ring in (outer, *holes):
            assert len({tuple(corner) for corner in ring.tolist()}) == len(ring)


def test_only_corners_are_kept():
    outer, hole = trace(cases.cell_with_hole() > 0)[0]
    assert outer.tolist() == [[4, 4], [16, 4], [16, 16], [4, 16]]
    assert hole.tolist() == [[8, 8], [8, 12], [12, 12], [12, 8]]


def test_a_region_that_touches_its_own_corner_has_a_hole_there():
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    outer, hole = trace(mask)[0]
    assert [2, 2] in outer.tolist()
    assert [2, 2] in hole.tolist()


def test_an_empty_mask_has_no_outlines():
    assert trace(np.zeros((3, 4), bool)) == []
    assert not fill([], (3, 4)).any()


def test_centers_on_an_outline_belong_to_its_right_and_upper_edges():
    square = np.array([(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5)])
    filled = fill([square], (4, 4))
    expected = np.zeros((4, 4), bool)
    expected[0:2, 1:3] = True
    np.testing.assert_array_equal(filled, expected)


@pytest.mark.parametrize("closed", [False, True])
def test_sub_pixel_triangle_beyond_the_edges(closed):
    triangle = np.array([(-3.0, -3.0), (9.7, -3.0), (-3.0, 9.7)])
    ring = np.vstack([triangle, triangle[:1]]) if closed else triangle
    y, x = np.mgrid[:8, :9] + 0.5
    np.testing.assert_array_equal(fill([ring], (8, 9)), x + y < 6.7)


def test_a_self_crossing_outline_is_filled_by_the_even_odd_rule():
    # twice around: the inner turn is outside again
    ring = np.array(
        [(0, 0), (6, 0), (6, 6), (0, 6), (0, 0), (2, 2), (4, 2), (4, 4), (2, 4), (2, 2)]
    )
    filled = fill([ring], (6, 6))
    assert not filled[2:4, 2:4].any()
    assert filled.sum() == 32

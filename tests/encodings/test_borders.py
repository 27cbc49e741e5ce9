import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.segmentation import watershed

from cases import two_touching_discs
from ulens.encodings.borders import close_borders


def walls(gap=0, strength=0.9, size=(60, 61)):
    """Two cells left and right of a wall of 3 px, with a gap in its middle."""
    interior = np.full(size, 0.98, np.float32)
    interior[:, 29:32] = 1 - strength
    start = (size[0] - gap) // 2
    interior[start : start + gap, 29:32] = 0.9
    return interior


def num_cells(interior, threshold):
    return ndimage.label(interior > threshold)[1]


def test_a_gap_is_closed_and_its_cells_are_parted():
    interior = walls(gap=8)
    assert num_cells(interior, 0.5) == 1
    closed = close_borders(interior)
    assert closed.dtype == np.float32
    assert num_cells(closed, 0.5) == 2
    # a line, no wall: few pixels change
    assert np.count_nonzero(closed < interior - 1e-6) <= 60


def test_a_border_that_is_mostly_open_stays_open():
    closed = close_borders(walls(gap=50))
    assert num_cells(closed, 0.5) == 1


def test_the_line_is_as_strong_as_the_mean_of_the_border():
    closed = close_borders(walls(gap=15))
    # a quarter of the contacts at 0.1, the others at 0.9
    assert 1 - closed[30].min() == pytest.approx(0.7, abs=0.03)


def test_fragments_within_a_cell_leave_no_trace():
    noise = np.random.default_rng(0).uniform(0.7, 1, (60, 61)).astype(np.float32)
    interior = np.minimum(walls(), noise)
    np.testing.assert_array_equal(close_borders(interior), interior)


def test_a_closed_border_keeps_its_strength():
    interior = walls(strength=0.7)
    np.testing.assert_allclose(close_borders(interior), interior, atol=1e-6)


def test_discs_that_touch_are_parted_where_the_border_is_faint_in_one_place():
    labels = np.kron(two_touching_discs(), np.ones((4, 4), int))
    interior = np.where(labels > 0, 0.95, 0.05).astype(np.float32)
    interior[:, 79:81] = np.minimum(interior[:, 79:81], 0.1)
    interior[44:52, 79:81] = 0.8
    assert num_cells(interior, 0.5) == 1
    assert num_cells(close_borders(interior), 0.5) == 2


def close_by_definition(interior, smoothing_px):
    border = 1 - interior
    fragments = watershed(ndimage.gaussian_filter(border, smoothing_px))
    contacts = []
    for here in np.ndindex(interior.shape):
        for there in ((here[0], here[1] + 1), (here[0] + 1, here[1])):
            inside = there[0] < interior.shape[0] and there[1] < interior.shape[1]
            if inside and fragments[here] != fragments[there]:
                contacts.append((here, there, max(here, there, key=lambda pixel: border[pixel])))
    closed = interior.copy()
    while contacts:
        borders = {}
        for here, there, pixel in contacts:
            sides = frozenset([fragments[here], fragments[there]])
            borders.setdefault(sides, []).append(pixel)
        strengths = {
            sides: np.mean([border[pixel] for pixel in pixels], dtype=float)
            for sides, pixels in borders.items()
        }
        weakest = min(strengths, key=strengths.get)
        if strengths[weakest] >= 0.5:
            for pixel in borders[weakest]:
                closed[pixel] = min(closed[pixel], 1 - strengths[weakest])
        one, other = weakest
        fragments = np.where(fragments == one, other, fragments)
        contacts = [each for each in contacts if fragments[each[0]] != fragments[each[1]]]
    return closed


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("smoothing_px", [(0.7, 0.7), (0.5, 2.0)])
def test_closing_is_its_definition(seed, smoothing_px):
    interior = np.random.default_rng(seed).uniform(0, 1, (21, 26)).astype(np.float32)
    expected = close_by_definition(interior, smoothing_px)
    assert np.count_nonzero(expected < interior) > 20
    np.testing.assert_allclose(close_borders(interior, smoothing_px), expected, atol=1e-6)


def test_a_border_as_likely_as_not_is_closed():
    interior = np.ones((8, 9), np.float32)
    interior[:, 4] = [0.25, 0.75] * 4
    assert close_borders(interior)[:, 4].tolist() == [0.25, 0.5] * 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_came_stays_as_it_was(dtype):
    interior = walls(gap=8).astype(dtype)
    before = interior.copy()
    closed = close_borders(interior)
    assert closed.dtype == np.float32
    assert (closed < before).any()
    np.testing.assert_array_equal(interior, before)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (14, 17), elements=st.floats(0, 1, width=32)))
def test_nothing_rises_and_components_only_split(interior):
    closed = close_borders(interior)
    assert (closed <= interior).all()
    assert closed.min() >= -1e-6
    for threshold in (0.25, 0.5, 0.75):
        before, _ = ndimage.label(interior > threshold)
        after, number = ndimage.label(closed > threshold)
        for label in range(1, number + 1):
            assert len(np.unique(before[after == label])) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_tiny_images_are_taken(size):
    interior = np.full(size, 0.5, np.float32)
    np.testing.assert_array_equal(close_borders(interior), interior)

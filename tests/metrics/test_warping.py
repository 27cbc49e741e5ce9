import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from ulens.metrics.warping import num_warping_errors, warp

SHAPES = st.shared(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
TRUTHS = arrays(bool, SHAPES)
PROPOSALS = arrays(np.float32, SHAPES, elements=st.integers(0, 5).map(lambda fifth: fifth / 5))
EIGHT = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dx, dy) != (0, 0)]


def slow_parts(points, diagonal):
    """Connected parts of a set of points (x, y), as a list of sets."""
    steps = EIGHT if diagonal else [(-1, 0), (0, -1), (1, 0), (0, 1)]
    left, parts = set(points), []
    while left:
        open_ends, part = [left.pop()], set()
        while open_ends:
            x, y = open_ends.pop()
            part.add((x, y))
            for q in {(x + dx, y + dy) for dx, dy in steps} & left:
                left.remove(q)
                open_ends.append(q)
        parts.append(part)
    return parts


def slow_is_simple(white, x, y):
    """Bertrand and Malandain: both topological numbers of the point are 1."""
    around = [(x + dx, y + dy) for dx, dy in EIGHT]
    beside = {(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)}
    inner = slow_parts([q for q in around if q in white], diagonal=False)
    outer = slow_parts([q for q in around if q not in white], diagonal=True)
    return sum(bool(part & beside) for part in inner) == 1 and len(outer) == 1


def slow_warp(truth, proposal, threshold):
    """Return the white points of the warped truth and the mismatches that remain."""
    height, width = truth.shape
    white = {(x, y) for x in range(width) for y in range(height) if truth[y, x]}

    def wanted(x, y):
        return float(proposal[y, x]) > threshold

    num_before = None
    while True:
        mismatches = [
            (x, y) for x in range(width) for y in range(height) if ((x, y) in white) != wanted(x, y)
        ]
        if len(mismatches) == num_before:
            return white, mismatches
        num_before = len(mismatches)
        # sorted() is stable, and the list runs x outer, y inner
        for x, y in sorted(
            mismatches, key=lambda p: -np.float32(abs(float(proposal[p[1], p[0]]) - threshold))
        ):
            if slow_is_simple(white, x, y):
                white ^= {(x, y)}


def slow_num_errors(truth, proposal, threshold):
    height, width = truth.shape
    white, mismatches = slow_warp(truth, proposal, threshold)

    def ids_around(points, x, y):
        parts = slow_parts(points, diagonal=False)
        inside = [
            (x + dx, y + dy) for dx, dy in EIGHT if 0 <= x + dx < width and 0 <= y + dy < height
        ]
        return {next((n + 1 for n, part in enumerate(parts) if q in part), 0) for q in inside}

    num_errors = 0
    for x, y in mismatches:
        ids = ids_around(white, x, y)
        if len(ids) == 2 and (x, y) in white:
            crop = {q for q in white if max(abs(q[0] - x), abs(q[1] - y)) <= 20} - {(x, y)}
            num_errors += len(ids_around(crop, x, y)) > 2
        elif len(ids) >= 3:
            num_errors += 1
    return num_errors


@settings(deadline=None, max_examples=300)
@given(TRUTHS, PROPOSALS, st.sampled_from([0.0, 0.2, 0.5, 0.8999999999999999]))
def test_warping_follows_the_rules_pixel_by_pixel(truth, proposal, threshold):
    warped, mismatches = warp(truth, proposal, threshold=threshold)
    white, slow_mismatches = slow_warp(truth, proposal, threshold)
    assert {(x, y) for y, x in np.argwhere(warped).tolist()} == white
    assert {(x, y) for y, x in mismatches.tolist()} == set(slow_mismatches)
    assert num_warping_errors(truth, proposal, threshold=threshold) == slow_num_errors(
        truth, proposal, threshold
    )


@pytest.mark.parametrize("threshold", [0.30000000000000004, 0.5])
def test_warping_follows_the_rules_beyond_one_crop(threshold):
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.random((48, 56)), 2) > 0.5
    smooth = np.clip(ndimage.gaussian_filter(rng.random((48, 56)), 1.5) * 2 - 0.5, 0, 1)
    # tenths, so that many mismatches lie as far from the threshold as others
    proposal = np.round(smooth, 1).astype(np.float32)
    expected = slow_num_errors(truth, proposal, threshold)
    assert expected > 3
    assert num_warping_errors(truth, proposal, threshold=threshold) == expected
    warped, _ = warp(truth, proposal, threshold=threshold)
    white, _ = slow_warp(truth, proposal, threshold)
    assert {(x, y) for y, x in np.argwhere(warped).tolist()} == white


@settings(deadline=None)
@given(TRUTHS, PROPOSALS)
def test_warping_keeps_the_topology(truth, proposal):
    warped, _ = warp(truth, proposal, threshold=0.5)
    for image, structure in ((1, np.ones((3, 3))), (0, None)):
        before, after = (np.pad(each, 1) != image for each in (truth, warped))
        # background 8-connected, foreground 4-connected
        assert ndimage.label(before, structure)[1] == ndimage.label(after, structure)[1]


def test_a_shifted_border_costs_nothing():
    truth = np.zeros((9, 12), bool)
    truth[2:7, 2:8] = True
    assert num_warping_errors(truth, np.roll(truth, 2, axis=1).astype(float), threshold=0) == 0


def test_a_merger_costs_one_pixel_per_missing_membrane_pixel():
    truth = np.ones((5, 7), bool)
    truth[:, 3] = False
    gap = truth.astype(float)
    gap[2, 3] = 1
    assert num_warping_errors(truth, gap, threshold=0) == 1


def test_a_split_costs_the_pixels_that_cut_the_cell():
    truth = np.zeros((7, 9), bool)
    truth[1:6, 1:8] = True
    cut = truth.astype(float)
    cut[:, 4] = 0
    # four pixels of the cut are warped in from the border, the last one parts the cell
    assert num_warping_errors(truth, cut, threshold=0) == 1


def test_added_and_deleted_objects_and_holes_are_not_counted():
    truth = np.zeros((9, 20), bool)
    truth[2:7, 2:9] = True
    truth[4, 17] = True
    proposal = truth.astype(float)
    proposal[4, 5] = 0  # a hole
    proposal[4, 17] = 0  # an object deleted
    proposal[2, 13] = 1  # an object added
    assert num_warping_errors(truth, proposal, threshold=0) == 0

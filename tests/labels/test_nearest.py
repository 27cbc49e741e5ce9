import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cases import empty, one_pixel
from ulens.labels.nearest import two_nearest


def brute_force(labels, reach_px):
    """Distances to the two nearest instances, by one distance transform for each instance."""
    distances = [
        ndimage.distance_transform_edt(labels != number) for number in np.unique(labels[labels > 0])
    ]
    found = np.sort([*distances, *np.full((2, *labels.shape), np.inf)], axis=0)[:2]
    return np.where(found <= reach_px, found, np.inf)


@st.composite
def label_images(draw):
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    is_instance = generator.random(shape) < draw(st.sampled_from([0, 0.02, 0.1, 0.6]))
    return np.where(is_instance, generator.integers(1, draw(st.sampled_from([2, 3, 40])), shape), 0)


@settings(deadline=None)  # the first call compiles
@given(labels=label_images(), reach_px=st.sampled_from([1, 1.5, 3, 7.2, 50]))
def test_the_distances_are_exact_within_reach(labels, reach_px):
    nearest, second, _ = two_nearest(labels, reach_px=reach_px)
    assert nearest.dtype == second.dtype == np.float32
    np.testing.assert_allclose([nearest, second], brute_force(labels, reach_px), rtol=1e-6)


@settings(deadline=None)  # the first call compiles
@given(labels=label_images(), reach_px=st.sampled_from([1.5, 7.2, 50]))
def test_the_owner_is_the_nearest_as_in_scipy_ties_included(labels, reach_px):
    _, _, owner = two_nearest(labels, reach_px=reach_px)
    if not labels.any():
        assert not owner.any()
        return
    distance, (y, x) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    np.testing.assert_array_equal(owner, np.where(distance <= reach_px, labels[y, x], 0))


def test_without_two_instances_there_is_no_second_distance():
    nearest, second, owner = two_nearest(one_pixel(), reach_px=3)
    assert (nearest[4, 5], nearest[1, 5], owner[1, 5]) == (0, 3, 1)
    assert np.isinf(nearest[0, 5])
    assert np.isinf(second).all()
    assert np.isinf(two_nearest(empty(), reach_px=3)[0]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_any_integers_in_any_order_and_ignored_pixels_are_no_instances(dtype):
    labels = np.array([[1, 0, 0], [0, 0, 0], [9, 9, 0], [0, 0, 0]], dtype)
    expected = two_nearest(labels.astype(np.int32), reach_px=5)
    for found, same in zip(two_nearest(labels.T.copy().T, reach_px=5), expected, strict=True):
        np.testing.assert_array_equal(found, same)
    ignored = np.where(labels == 0, -1, labels.astype(int))
    np.testing.assert_array_equal(two_nearest(ignored, reach_px=5)[1], expected[1])

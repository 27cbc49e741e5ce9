import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ulens.predict.rotations import Rotation
from ulens.predict.tiles import read_mirrored

sizes = st.integers(1, 40)


@settings(max_examples=30)
@given(st.tuples(sizes, sizes), st.integers(-60, 60), st.integers(-60, 60))
def test_unrotated_read_is_the_mirroring_of_the_tiles(shape, top, left):
    image = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    window = (slice(top, top + 9), slice(left, left + 7))
    rotation = Rotation(shape, 0.0)
    assert rotation.canvas == shape
    np.testing.assert_array_equal(rotation.read(image, window), read_mirrored(image, window))


@settings(max_examples=30)
@given(st.tuples(sizes, sizes), st.floats(0, 2 * math.pi))
def test_there_and_back_is_the_identity_for_a_plane(shape, angle):
    y, x = np.indices(shape, dtype=np.float32)
    image = (0.3 * y - 0.2 * x)[None]
    rotation = Rotation(shape, angle)
    canvas = rotation.read(image, tuple(slice(0, side) for side in rotation.canvas))
    # away from the border, where the mirrored plane has a crease
    back = rotation.undo(canvas)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(back, image[:, 2:-2, 2:-2], atol=1e-3)


def test_a_quarter_turn_as_a_picture():
    image = np.array([[[1, 2, 3], [4, 5, 6]]], np.float32)
    rotation = Rotation((2, 3), math.pi / 2)
    assert rotation.canvas == (3, 2)
    canvas = rotation.read(image, (slice(0, 3), slice(0, 2)))
    np.testing.assert_allclose(canvas[0], [[4, 1], [5, 2], [6, 3]], atol=1e-5)
    np.testing.assert_allclose(rotation.undo(canvas), image, atol=1e-5)

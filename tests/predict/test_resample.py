import numpy as np
import pytest

from ulens.errors import DataError
from ulens.predict.resample import AS_IT_IS, find_factor, name_spacing, resize, scale_size


@pytest.mark.parametrize(
    ("spacing_um", "trained_um", "factor"),
    [
        (None, (0.5, 0.5), AS_IT_IS),
        ((0.5, 0.5), None, AS_IT_IS),
        ((0.55, 0.5), (0.5, 0.5), AS_IT_IS),
        ((0.55000002, 0.5), (0.5, 0.5), AS_IT_IS),  # as files round it
        ((0.5, 0.5), (0.55, 0.5), AS_IT_IS),
        ((0.56, 0.5), (0.5, 0.5), (1.12, 1)),
        ((0.5, 0.44), (0.5, 0.5), (1, 0.88)),
        ((5, 5), (0.5, 0.5), (10, 10)),
        ((0.05, 0.05), (0.5, 0.5), (0.1, 0.1)),
    ],
)
def test_only_a_clear_difference_counts(spacing_um, trained_um, factor):
    assert find_factor(spacing_um, trained_um, "cells.tif") == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("spacing_um", [(0.5, 6), (0.04, 0.5)])
def test_a_pixel_size_that_must_be_wrong_is_named(spacing_um):
    message = (
        rf"cells\.tif has {spacing_um[0]}×{spacing_um[1]} µm per pixel, the model learned at 0\.5, "
        "more than 10 times as much or as little; correct the pixel size in the file, or remove it"
    )
    with pytest.raises(DataError, match=message):
        find_factor(spacing_um, (0.5, 0.5), "cells.tif")


def test_pixel_sizes_are_named_in_three_digits():
    assert name_spacing((0.65000029, 0.65000031)) == "0.65"
    assert name_spacing((2, 0.125)) == "2×0.125"


def test_no_side_vanishes():
    assert scale_size((3, 100), (0.1, 0.25)) == (1, 25)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("u1", "f4"), (">u2", "f4"), (">f4", "f4"), ("f2", "f4"), ("i4", "f8"), ("f8", "f8")],
)
def test_every_dtype_keeps_its_values(dtype, expected):
    image = np.full((2, 4, 6), 100, dtype)
    resized = resize(image, (7, 3))
    assert (resized.shape, resized.dtype) == ((2, 7, 3), np.dtype(expected))
    np.testing.assert_allclose(resized, 100, rtol=1e-6)


def test_small_differences_of_large_values_survive():
    image = np.array([[[2**30, 2**30 + 2]]], np.int32)
    assert resize(image, (1, 1)).item() == 2**30 + 1


def test_in_shrinking_every_pixel_counts_alike():
    pixels = np.eye(32, dtype=np.float32)[:, None]  # 32 images, each with another pixel bright
    sums = resize(pixels, (1, 8)).sum(axis=(1, 2))
    np.testing.assert_allclose(sums[6:-6], 1 / 4, atol=1e-6)


def test_a_slope_stays_where_it_is():
    """Pixel centers, not corners, are what keeps its place."""
    slope = np.arange(40, dtype=np.float32) + 0.5
    enlarged = resize(np.tile(slope, (1, 4, 1)), (4, 80))[0, 0]
    np.testing.assert_allclose(enlarged[1:-1], (np.arange(80) + 0.5)[1:-1] / 2, atol=1e-4)


def test_the_same_size_is_the_same_array():
    image = np.zeros((1, 4, 5), np.uint8)
    assert resize(image, (4, 5)) is image

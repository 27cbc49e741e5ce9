import pytest

from ulens.errors import DataError
from ulens.predict.spacing import find_factor, name_spacing
from ulens.resample import AS_IT_IS


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

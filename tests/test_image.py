import numpy as np
import pytest

from ulens.errors import DataError, ShapeError
from ulens.image import Image


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((2, 3, 4), "ZTYX", r"axes are 'ZTYX'; need letters of 'TCZYX' in that order, ending"),
        ((3, 4), "XY", r"axes are 'XY'; need letters of 'TCZYX' in that order, ending in 'YX'"),
        ((3, 4), "ZYX", r"data has 2 dimensions \(3, 4\), axes 'ZYX' name 3; give one letter"),
    ],
)
def test_says_how_axes_are_written(shape, axes, message):
    with pytest.raises(ShapeError, match=message):
        Image(data=np.zeros(shape), axes=axes)


@pytest.mark.parametrize("spacing_um", [0.5, (0.5, 0), (-1, 0.5), (np.nan, 1), (np.inf, 1), (1,)])
def test_says_how_pixel_sizes_are_written(spacing_um):
    with pytest.raises(DataError, match=r"spacing_um is .*; need two positive numbers, the \(y, x"):
        Image(data=np.zeros((3, 4)), axes="YX", spacing_um=spacing_um)

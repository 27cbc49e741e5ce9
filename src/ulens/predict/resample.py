"""Images brought to the pixel size that a network was trained on, and what it finds back."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from ulens.errors import DataError

Factor = tuple[float, float]
AS_IT_IS: Factor = (1.0, 1.0)
_TOLERANCE = 1.1
_LARGEST_FACTOR = 10.0


def find_factor(
    spacing_um: tuple[float, float] | None, trained_um: tuple[float, float] | None, name: str
) -> Factor:
    """Return by how much an image must be enlarged to look as those of the training.

    Parameters
    ----------
    spacing_um : (y, x) pixel size of the image in µm, or None where it is unknown
    trained_um : the same of the training images
    name : of the image, for the error

    Returns
    -------
    (y, x) factors; 1 where a pixel size is unknown, or none differs by more than a tenth

    Raises
    ------
    DataError : the pixel sizes differ so much that one of them must be wrong

    Examples
    --------
    >>> find_factor((0.25, 0.25), (0.5, 0.5), "cells.tif")
    (0.5, 0.5)
    >>> find_factor((0.25, 0.25), (0.26, 0.26), "cells.tif")
    (1.0, 1.0)
    """
    if spacing_um is None or trained_um is None:
        return AS_IT_IS
    factor = spacing_um[0] / trained_um[0], spacing_um[1] / trained_um[1]
    difference = max(max(each, 1 / each) for each in factor)
    if difference > _LARGEST_FACTOR:
        raise DataError(
            f"{name} has {name_spacing(spacing_um)} µm per pixel, the model learned at "
            f"{name_spacing(trained_um)}, more than {_LARGEST_FACTOR:.0f} times as much or as "
            "little; correct the pixel size in the file, or remove it there to use the image as "
            "it is"
        )
    # rounding in files must not decide
    return factor if difference > _TOLERANCE * (1 + 1e-6) else AS_IT_IS


def name_spacing(spacing: tuple[float, float]) -> str:
    """Return a pixel size or a factor in words, as one number where y and x agree.

    Examples
    --------
    >>> name_spacing((0.5, 0.5)), name_spacing((0.5, 0.25))
    ('0.5', '0.5×0.25')
    """
    y, x = (f"{each:.3g}" for each in spacing)
    return y if y == x else f"{y}×{x}"


def scale_size(size: tuple[int, ...], factor: Factor) -> tuple[int, int]:
    """Return the (y, x) size of an image that is enlarged by `factor`, at least a pixel."""
    y, x = (max(1, round(side * by)) for side, by in zip(size, factor, strict=True))
    return y, x


def resize(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return an image in another size, bilinearly; where it shrinks, means over the area.

    Parameters
    ----------
    image : (C, Y, X), any real numeric dtype
    size : (y, x) of the result

    Returns
    -------
    (C, y, x) float32, or float64 where the dtype holds more digits; `image` itself if it has
    that size
    """
    if image.shape[1:] == size:
        return image
    # float64 keeps the small differences of large values, as `Normalization` does
    real = image.astype(np.result_type(image.dtype, np.float32), copy=False)
    resized = interpolate(
        torch.from_numpy(np.ascontiguousarray(real))[None],
        size=size,
        mode="bilinear",
        antialias=True,
    )
    return resized[0].numpy()

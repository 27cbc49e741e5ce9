"""By how much an image must be enlarged to have the pixel size that a network was trained at."""

from ulens.errors import DataError
from ulens.resample import AS_IT_IS, Zoom

_TOLERANCE = 1.1
_LARGEST_FACTOR = 10.0


def find_factor(
    spacing_um: tuple[float, float] | None, trained_um: tuple[float, float] | None, name: str
) -> Zoom:
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


def describe_factor(
    spacing_um: tuple[float, float] | None, trained_um: tuple[float, float] | None, factor: Zoom
) -> str | None:
    """Return in words what `find_factor` returned; None where images stay as they are."""
    if factor == AS_IT_IS or spacing_um is None or trained_um is None:
        return None
    return (
        f"images with {name_spacing(spacing_um)} µm per pixel are resampled by "
        f"{name_spacing(factor)}, to the {name_spacing(trained_um)} µm at which the model learned"
    )

"""An image with what is known about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.errors import DataError, ShapeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """How far apart the slices and the frames of an image are.

    Parameters
    ----------
    z_um : from a slice to the next in µm, or None where it is unknown
    t_seconds : from a frame to the next, or None where it is unknown
    """

    z_um: float | None = None
    t_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, size in (("z_um", self.z_um), ("t_seconds", self.t_seconds)):
            if size is not None and not (np.isfinite(size) and size > 0):
                raise DataError(
                    f"{name} is {size}; need a positive number, or None where it is unknown"
                )


UNKNOWN_STEPS = Steps()


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """Pixels, the meaning of their axes and their size.

    Parameters
    ----------
    data : array of any numeric dtype, one dimension per letter of `axes`
    axes : letters from ``TCZYX`` in that order, always ending in ``YX``
    spacing_um : (y, x) pixel size in µm, or None where the file does not say
    source : the file it came from, or None
    steps : how far apart slices and frames are
    channel_names : of the channels on axis C, or nothing where the file does not say
    axes_from : how the axes were found, such as "axes CYX from the file's OME metadata"
    notes : what was guessed or changed in reading, a sentence each, for the user to know
    """

    data: np.ndarray
    axes: str
    spacing_um: tuple[float, float] | None = None
    source: Path | None = None
    steps: Steps = UNKNOWN_STEPS
    channel_names: tuple[str, ...] = ()
    axes_from: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        in_order = "".join(letter for letter in "TCZYX" if letter in self.axes)
        if self.axes != in_order or not self.axes.endswith("YX"):
            raise ShapeError(
                f"axes are {self.axes!r}; need letters of 'TCZYX' in that order, ending in 'YX'"
            )
        if self.data.ndim != len(self.axes):
            raise ShapeError(
                f"data has {self.data.ndim} dimensions {self.data.shape}, axes {self.axes!r} "
                f"name {len(self.axes)}; give one letter per dimension"
            )
        if self.spacing_um is not None and not _are_sizes(self.spacing_um):
            raise DataError(
                f"spacing_um is {self.spacing_um}; need two positive numbers, the (y, x) pixel "
                "size in µm, or None where it is unknown"
            )


def _are_sizes(spacing_um: object) -> bool:
    sizes = np.array(spacing_um)
    return sizes.shape == (2,) and bool(np.isfinite(sizes).all() and (sizes > 0).all())


def name_shape(shape: Iterable[int]) -> str:
    """Return the lengths of an array's axes for the eye.

    Examples
    --------
    >>> name_shape((3, 512, 696)), name_shape([10**15, 2])
    ('3×512×696', '1e+15×2')
    """
    return "×".join(str(each) if each < 10**12 else f"{each:.3g}" for each in shape)

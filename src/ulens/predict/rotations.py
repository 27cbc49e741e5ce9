"""An image seen at an angle, and its prediction turned back."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ulens.predict.tiles import Slices


@dataclass(frozen=True, slots=True)
class Rotation:
    """A canvas that holds every pixel of a rotated image.

    Parameters
    ----------
    shape : (Y, X) of the image in pixels
    angle : in radians, about the image's center
    """

    shape: tuple[int, int]
    angle: float

    @property
    def canvas(self) -> tuple[int, int]:
        """(Y, X) of the canvas in pixels."""
        cos, sin = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        y, x = self.shape[0] - 1, self.shape[1] - 1
        # rounded: sin(π) is not quite 0 and must not cost a pixel
        spans = round(cos * y + sin * x, 6), round(sin * y + cos * x, 6)
        return math.ceil(spans[0]) + 1, math.ceil(spans[1]) + 1

    def read(self, image: np.ndarray, window: Slices) -> np.ndarray:
        """Return a window of the canvas, whose positions may lie outside of it.

        Parameters
        ----------
        image : (C, Y, X) float32; mirrored beyond its edge, interpolated bilinearly

        Returns
        -------
        (C, y, x) float32
        """
        start = np.array([side.start for side in window])
        size = tuple(side.stop - side.start for side in window)
        matrix = self._canvas_to_image()
        offset = _center(self.shape) + matrix @ (start - _center(self.canvas))
        return _sample(image, matrix, offset, size)

    def undo(self, canvas: np.ndarray) -> np.ndarray:
        """Return the image (K, Y, X) float32 that lies rotated on a (K, Y, X) canvas."""
        matrix = self._canvas_to_image().T
        offset = _center(self.canvas) - matrix @ _center(self.shape)
        return _sample(canvas, matrix, offset, self.shape)

    def _canvas_to_image(self) -> np.ndarray:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])


def _center(shape: tuple[int, int]) -> np.ndarray:
    return (np.array(shape) - 1) / 2


def _sample(
    channels: np.ndarray, matrix: np.ndarray, offset: np.ndarray, size: tuple[int, ...]
) -> np.ndarray:
    sampled = np.empty((len(channels), *size), np.float32)
    for source, target in zip(channels, sampled, strict=True):
        # scipy's "mirror" is our mirroring: the edge pixel is not repeated
        ndimage.affine_transform(source, matrix, offset, output=target, order=1, mode="mirror")
    return sampled

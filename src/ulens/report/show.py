"""An image with the outlines of its labels, to look at in a notebook."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from ulens.errors import ShapeError
from ulens.image import Image, name_shape
from ulens.io.files import read_image, read_label_image
from ulens.labels.resize import resize_labels
from ulens.report.overlays import overlay
from ulens.report.track_pictures import fit_image

_MOST_CHANNELS = 4


def show(
    image: str | Path | np.ndarray | Image,
    labels: str | Path | np.ndarray | Image | None = None,
    *,
    truth: str | Path | np.ndarray | Image | None = None,
) -> Picture.Image:
    """Return a picture of an image; a notebook shows it, and `.save("a.png")` writes it.

    Parameters
    ----------
    image : a file, or (Y, X), (C, Y, X) or (Y, X, C), any real numeric dtype; contrast is stretched
    labels : outlined, each in a color of its own; a file, or (Y, X) integers
    truth : outlined in yellow underneath; as `labels`

    Returns
    -------
    RGB, at most 512 pixels wide and high; smaller images are enlarged

    Raises
    ------
    ShapeError : a stack; labels of another size than the image
    FileError : a file cannot be read

    Examples
    --------
    >>> show(np.eye(100), np.eye(100, dtype=int)).size
    (500, 500)
    """
    pixels = _read(image, is_label=False)
    pixels = np.moveaxis(pixels, 2, 0) if _has_channels_last(pixels) else pixels
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and len(pixels) > _MOST_CHANNELS):
        raise ShapeError(
            f"image is {name_shape(pixels.shape)}; need one plane, (Y, X), (C, Y, X) or (Y, X, C): "
            "of a stack show a part, such as stack[0]"
        )
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    picture = fit_image(pixels)
    nothing = np.zeros(pixels.shape[-2:], np.uint8)
    drawn = _fit(nothing if labels is None else labels, "labels", pixels, picture)
    below = None if truth is None else _fit(truth, "truth", pixels, picture)
    return Picture.fromarray(overlay(np.moveaxis(picture, -1, 0), drawn, truth=below))


def _read(given: str | Path | np.ndarray | Image, *, is_label: bool) -> np.ndarray:
    if isinstance(given, str | Path):
        given = (read_label_image if is_label else read_image)(Path(given))
    return given.data if isinstance(given, Image) else np.asarray(given)


def _has_channels_last(pixels: np.ndarray) -> bool:
    return pixels.ndim == 3 and pixels.shape[2] <= _MOST_CHANNELS < len(pixels)


def _fit(
    given: str | Path | np.ndarray | Image, name: str, pixels: np.ndarray, picture: np.ndarray
) -> np.ndarray:
    """Return labels in the size of the picture."""
    labels = _read(given, is_label=True)
    if labels.shape != pixels.shape[-2:]:
        raise ShapeError(
            f"{name} are {name_shape(labels.shape)}, the image is {name_shape(pixels.shape[-2:])}; "
            "give labels of the image's rows and columns"
        )
    return resize_labels(labels, picture.shape[:2])

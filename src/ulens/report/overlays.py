"""Pictures of images, labels and probabilities, ready for a page: (Y, X, 3) uint8."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import hsv_to_rgb
from skimage.segmentation import find_boundaries

from ulens.errors import ShapeError

TRUTH_COLOR = (255, 214, 10)


def overlay(
    image: np.ndarray, labels: np.ndarray, *, truth: np.ndarray | None = None
) -> np.ndarray:
    """Draw the outlines of a segmentation on its image.

    Parameters
    ----------
    image : (Y, X) or (C, Y, X) of any numeric dtype
    labels : (Y, X) of any integer dtype; 0 = background; each value has a colour of its own
    truth : (Y, X) of any integer dtype, outlined in yellow underneath: yellow that shows was missed

    Returns
    -------
    (Y, X, 3) uint8 RGB, the image dimmed a little so that the outlines stand out

    Raises
    ------
    ShapeError : image, labels or truth differ in size

    Examples
    --------
    >>> labels = np.zeros((5, 5), int)
    >>> labels[1:4, 1:4] = 1
    >>> picture = overlay(np.zeros((5, 5)), labels)
    >>> picture[2, 2].tolist(), picture[1, 1].tolist() != [0, 0, 0]
    ([0, 0, 0], True)
    """
    picture = (0.85 * stretch_contrast(image)).astype(np.uint8)
    if truth is not None:
        _require_same_size(picture, truth, "truth")
        picture[find_boundaries(truth, mode="inner")] = TRUTH_COLOR
    _require_same_size(picture, labels, "labels")
    outline = find_boundaries(labels, mode="inner")
    picture[outline] = _colors_of(labels[outline])
    return picture


def stretch_contrast(image: np.ndarray) -> np.ndarray:
    """Show an image of any range: its darkest half per cent black, its brightest white.

    Parameters
    ----------
    image : (Y, X) or (C, Y, X) of any numeric dtype; three channels are shown as red, green and
        blue, any other number as the mean of the stretched channels; NaN is black

    Returns
    -------
    (Y, X, 3) uint8 RGB

    Examples
    --------
    >>> stretch_contrast(np.array([[100.0, 300.0]]))[0, :, 0].tolist()
    [0, 255]
    """
    if image.ndim not in (2, 3):
        raise ShapeError(f"image has shape {image.shape}; give (Y, X) or (C, Y, X)")
    channels = np.atleast_3d(image.T).T.astype(np.float32)
    # Colour photographs keep their balance; fluorescence channels have unrelated ranges.
    is_photograph = len(channels) == 3 and image.dtype == np.uint8
    stretched = _stretch(channels) if is_photograph else np.stack([_stretch(c) for c in channels])
    if len(stretched) != 3:
        stretched = np.repeat(stretched.mean(axis=0, keepdims=True), 3, axis=0)
    return np.moveaxis(np.round(255 * stretched).astype(np.uint8), 0, -1)


def color_labels(labels: np.ndarray) -> np.ndarray:
    """Paint every label in the colour that `overlay` outlines it with; background is black.

    Parameters
    ----------
    labels : (Y, X) of any integer dtype

    Returns
    -------
    (Y, X, 3) uint8 RGB

    Examples
    --------
    >>> color_labels(np.array([[0, 1]]))[0, 0].tolist()
    [0, 0, 0]
    """
    picture = np.zeros((*labels.shape, 3), np.uint8)
    picture[labels != 0] = _colors_of(labels[labels != 0])
    return picture


def color_probability(probability: np.ndarray) -> np.ndarray:
    """Paint probabilities from dark blue (0) over green to yellow (1).

    Parameters
    ----------
    probability : (Y, X) float in [0, 1]

    Returns
    -------
    (Y, X, 3) uint8 RGB

    Examples
    --------
    >>> color_probability(np.array([[0.0, 1.0]])).tolist()
    [[[68, 1, 84], [253, 231, 36]]]
    """
    return colormaps["viridis"](probability.astype(np.float32), bytes=True)[..., :3]


def _stretch(channel: np.ndarray) -> np.ndarray:
    finite = channel[np.isfinite(channel)]
    if finite.size == 0:
        return np.zeros_like(channel)
    low, high = np.percentile(finite, [0.5, 99.5])
    if high <= low:  # a few bright spots on an even ground
        low, high = finite.min(), max(finite.max(), finite.min() + 1)
    return np.nan_to_num(np.clip((channel - low) / (high - low), 0, 1))


def _colors_of(values: np.ndarray) -> np.ndarray:
    """(n, 3) uint8: steps of the golden ratio keep the hues of neighbouring ids far apart."""
    ids, where = np.unique(values, return_inverse=True)
    # All round the circle from lime to orange, without the yellow of the truth; 1 is cyan.
    hues = (0.22 + 0.87 * (((ids.astype(float) - 1) * 0.618034 + 0.322) % 1)) % 1
    saturations = np.where(ids % 2 == 0, 0.5, 0.75)
    colors = hsv_to_rgb(np.stack([hues, saturations, np.ones_like(hues)], axis=-1))
    return np.round(255 * colors).astype(np.uint8)[where]


def _require_same_size(picture: np.ndarray, labels: np.ndarray, name: str) -> None:
    if labels.shape != picture.shape[:2]:
        raise ShapeError(
            f"{name} are {labels.shape}, the image is {picture.shape[:2]}; "
            "give labels of the image's rows and columns"
        )

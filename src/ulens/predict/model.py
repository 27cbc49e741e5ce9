"""A trained model, ready for use on arrays."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ulens.bundle import ModelBundle, load_bundle, save_bundle
from ulens.errors import ShapeError
from ulens.image import Image
from ulens.io.files import planes
from ulens.predict.engines import choose_device
from ulens.predict.predictor import Average
from ulens.predict.segmenter import Found, Segmenter
from ulens.predict.unlike import UnlikeTrainingWarning, in_one_line, join_planes


def segment_image(
    bundle: ModelBundle,
    image: np.ndarray | Image,
    *,
    average: Average = 1,
    segmenter: Segmenter | None = None,
) -> np.ndarray:
    """Return the labels of one image.

    Parameters
    ----------
    image : (Y, X), (C, Y, X) or (Y, X, C) with C ≤ 4, any real numeric dtype; or an Image,
        whose frames and slices are segmented one by one
    average : as in `Predictor`
    segmenter : spares the making of one for each image; it has its own `average`

    Returns
    -------
    (Y, X), or for an Image its axes without C; else as in `Found`

    Notes
    -----
    An Image that knows its pixel size is resampled, see `Segmenter`.

    Warns
    -----
    UnlikeTrainingWarning : the image is unlike those of the training, or nothing was found
    """
    segmenter = segmenter or Segmenter(bundle, average=average)
    image = _as_image(image, bundle.net.in_channels)
    factor = segmenter.find_factor(image)
    found = [segmenter.segment(plane, factor) for _, plane in planes(image)]
    _warn(found, image, stacklevel=4)  # the line that calls Model.segment
    return stack_labels([each.labels for each in found], image)


class Model:
    """A trained model, ready for use.

    Parameters
    ----------
    bundle : what training made
    device : as in `choose_device`
    """

    def __init__(self, bundle: ModelBundle, *, device: str = "auto") -> None:
        self.bundle = bundle
        self._device = str(choose_device(device))
        self._segmenters: dict[Average, Segmenter] = {}

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto") -> "Model":
        """Load the model folder that training wrote."""
        return cls(load_bundle(Path(folder)), device=device)

    def save(self, folder: str | Path) -> None:
        """Write the model folder."""
        save_bundle(self.bundle, Path(folder))

    def segment(self, image: np.ndarray | Image, *, average: Average = 1) -> np.ndarray:
        """Return the labels of an image; see `segment_image`."""
        return segment_image(self.bundle, image, segmenter=self._segmenter(average))

    def predict(self, image: np.ndarray | Image, *, average: Average = 1) -> np.ndarray:
        """Return the class probabilities of an image, or the distances that the model learned.

        Parameters
        ----------
        image, average : as in `segment_image`

        Returns
        -------
        (K, Y, X) float32 in [0, 1]; for a stack [T] K [Z] Y X

        Warns
        -----
        UnlikeTrainingWarning : as `segment_image`
        """
        segmenter = self._segmenter(average)
        image = _as_image(image, self.bundle.net.in_channels)
        factor = segmenter.find_factor(image)
        found = [segmenter.segment(plane, factor) for _, plane in planes(image)]
        _warn(found, image, stacklevel=3)
        return stack_maps([each.maps for each in found], image)

    def _segmenter(self, average: Average) -> Segmenter:
        if average not in self._segmenters:
            segmenter = Segmenter(self.bundle, device=self._device, average=average)
            self._segmenters[average] = segmenter
        return self._segmenters[average]


def _as_image(image: np.ndarray | Image, num_channels: int) -> Image:
    """Find the channels of an array; alpha is dropped, as it is from files."""
    if isinstance(image, Image):
        return image
    if image.ndim == 3 and len(image) != num_channels and image.shape[2] <= 4:
        has_alpha = image.shape[2] in (2, 4) and image.shape[2] != num_channels
        image = np.moveaxis(image[..., :-1] if has_alpha else image, 2, 0)
    if image.ndim not in (2, 3):
        raise ShapeError(
            f"image has shape {image.shape}; need (Y, X), (C, Y, X) or (Y, X, C); "
            "give a stack as ulens.Image, which names its axes"
        )
    return Image(data=image, axes="CYX"[-image.ndim :])


def _warn(found: Sequence[Found], image: Image, stacklevel: int) -> None:
    if text := in_one_line(join_planes([each.unlike for each in found])):
        name = "image" if image.source is None else str(image.source)
        warnings.warn(f"{name}: {text}", UnlikeTrainingWarning, stacklevel=stacklevel)


def stack_labels(labels: list[np.ndarray], image: Image) -> np.ndarray:
    """Return the (Y, X) labels of all planes of an image as one array of its axes, without C."""
    return np.stack(labels).reshape(*_frames(image).values(), *labels[0].shape)


def stack_maps(predicted: list[np.ndarray], image: Image) -> np.ndarray:
    """Return the (K, Y, X) maps of all planes as one array of the image's axes, K in place of C."""
    frames = _frames(image)
    stacked = np.stack(predicted).reshape(*frames.values(), *predicted[0].shape)
    # classes take the place of channels: behind T, before Z
    return np.moveaxis(stacked, len(frames), int("T" in frames))


def _frames(image: Image) -> dict[str, int]:
    """Return the lengths of the axes T and Z, as far as the image has them."""
    sizes = zip(image.axes, image.data.shape, strict=True)
    return {letter: size for letter, size in sizes if letter in "TZ"}


load = Model.load

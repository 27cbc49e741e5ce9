"""The ways from labels to what a network learns, and from its outputs back to labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ulens.encodings import boundary, contact, distance
from ulens.encodings.borders import SMOOTHING_PX, close_borders
from ulens.encodings.losses import weighted_cross_entropy, weighted_smooth_l1
from ulens.encodings.seeds import SeedDecoder
from ulens.errors import SettingError
from ulens.labels.grid import share_of
from ulens.record import show
from ulens.resample import AS_IT_IS, Zoom

Activation = Literal["softmax", "clip"]
EncodingName = Literal["classes", "membrane", "boundary", "contact", "distance"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """One way to learn labels.

    To add one, write what it maps in a file of its own and add it to `ENCODINGS` and
    `EncodingName`; its name then works in every plan, model and test of encodings.

    Parameters
    ----------
    learns : what the network learns, in words
    labels_are : the kind of labels it is for
    encode : maps (Y, X) integer labels, −1 = ignored, to the target: (Y, X) int16 classes or
        (K, Y, X) float32
    encode_at : maps such labels, a zoom, their `labels_at` and K to the (K, y, x) float32 target on
        another grid: the shares of a pixel that the classes cover, where `encode` gives classes
    outputs : their names; none = one for each class of the labels
    by_class : whether outputs are classes of pixels, so that classes and gaps can be weighed
    loss : of a (B, K, Y, X) output, a batch of targets, a (B, Y, X) weight, and the sum of the
        weights where this is a part of the batch
    activation : makes maps in [0, 1] of the outputs: 'softmax' or 'clip'
    maps : what these maps are called
    refine : what is made of the (K, Y, X) maps of a whole image before anything else, and how much
        larger than it is the image is taken for
    refined : what that does, in words
    view : the (Y, X) map to show of (K, Y, X) maps
    view_name : what it shows
    decode_classes : of classes; maps (K, Y, X) maps and the parameters in `decoding` to (Y, X)
        int32 classes
    decoder : of instances; makes the stages of the decoding of these parameters
    pixel_by_pixel : whether a pixel is decoded from its own maps alone
    sized_by : what has the size by which the network's zoom is chosen
    decoding : the parameters before they are tuned
    decoding_at : those of them that depend on the zoom
    grid : the values of each that tuning tries
    in_words : a sentence for the user with a place for each parameter of `grid`
    """

    learns: str
    labels_are: Literal["classes", "instances"] = "instances"
    encode: Callable[[np.ndarray], np.ndarray]
    encode_at: Callable[[np.ndarray, Zoom, np.ndarray, int], np.ndarray]
    outputs: tuple[str, ...] = ()
    by_class: bool = True
    loss: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
    activation: Activation = "softmax"
    maps: str = "probabilities"
    refine: Callable[[np.ndarray, Zoom], np.ndarray] = lambda maps, factor: maps
    refined: str = ""
    view: Callable[[np.ndarray], np.ndarray]
    view_name: str = "probability of foreground"
    decode_classes: Callable[..., np.ndarray] | None = None
    decoder: Callable[..., SeedDecoder] | None = None
    pixel_by_pixel: bool = False
    sized_by: Literal["membranes", "objects"] | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)
    decoding_at: Callable[[Zoom], Mapping[str, Any]] = lambda zoom: {}
    grid: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    in_words: str = ""

    def decode(self, maps: np.ndarray, **decoding: Any) -> np.ndarray:
        """Return the (Y, X) int32 classes or instances of (K, Y, X) maps."""
        if self.decoder is not None:
            return self.decoder(**decoding).decode(maps)
        assert self.decode_classes is not None
        return self.decode_classes(maps, **decoding)


def _foreground(probabilities: np.ndarray) -> np.ndarray:
    return 1 - probabilities[0]


def _encode_classes(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.int16)


def _share_classes(
    labels: np.ndarray, zoom: Zoom, coarse: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return the share of each class in what is annotated of a pixel."""
    shares = np.stack([share_of(labels, label, zoom) for label in range(num_classes)])
    return shares / np.maximum(shares.sum(0), 1e-6)


def _share_foreground(
    labels: np.ndarray, zoom: Zoom, coarse: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return the shares of background and foreground, which is nowhere where instances touch."""
    _, inside, _ = contact.encode_at(labels, zoom, coarse)
    return np.stack([1 - inside, inside])


def _close_membranes(probabilities: np.ndarray, factor: Zoom) -> np.ndarray:
    interior = close_borders(probabilities[1], (SMOOTHING_PX / factor[0], SMOOTHING_PX / factor[1]))
    return np.stack([1 - interior, interior])


ENCODINGS: Mapping[EncodingName, Encoding] = {
    "classes": Encoding(
        learns="the class of each pixel",
        labels_are="classes",
        encode=_encode_classes,
        encode_at=_share_classes,
        loss=weighted_cross_entropy,
        view=_foreground,
        decode_classes=lambda probabilities: probabilities.argmax(0).astype(np.int32),
        pixel_by_pixel=True,
    ),
    "membrane": Encoding(
        learns="cells and the membranes between them, whose breaks are closed afterwards",
        labels_are="classes",
        outputs=("membrane", "cells"),
        sized_by="membranes",
        encode=_encode_classes,
        encode_at=_share_classes,
        loss=weighted_cross_entropy,
        refine=_close_membranes,
        refined="gaps in membranes are closed",
        view=_foreground,
        decode_classes=lambda maps, *, threshold: (maps[1] > threshold).astype(np.int32),
        decoding={"threshold": 0.3},
        # lower ones merge cells now and then, which a few held-out images may not show
        grid={"threshold": (0.25, 0.3, 0.35, 0.4, 0.5)},
        in_words="a pixel counts as foreground above a probability of {threshold:g}",
    ),
    "boundary": Encoding(
        learns="objects and background, with a gap between objects that touch",
        outputs=("background", "foreground"),
        sized_by="objects",
        encode=boundary.encode,
        encode_at=_share_foreground,
        loss=weighted_cross_entropy,
        view=_foreground,
        decoding={"threshold": 0.7, "reach_threshold": 0.1},
        decoding_at=boundary.decoding_at,
        grid={
            "threshold": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98),
            "reach_threshold": (0.1, 0.2, 0.3, 0.4, 0.5),
        },
        in_words="an object starts where the probability of foreground is above {threshold:g}, and "
        "reaches as far as it is above {reach_threshold:g}",
        decoder=boundary.decoder,
    ),
    "contact": Encoding(
        learns="background, the inside of objects, and where they touch",
        outputs=contact.CLASSES,
        sized_by="objects",
        encode=contact.encode,
        encode_at=lambda labels, zoom, coarse, _: contact.encode_at(labels, zoom, coarse),
        loss=weighted_cross_entropy,
        view=lambda probabilities: probabilities[1],
        view_name="probability of interior",
        decoding={"threshold": 0.85, "reach_threshold": 0.5},
        grid={
            "threshold": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95),
            "reach_threshold": (0.2, 0.3, 0.4, 0.5),
        },
        in_words="an object starts where the probability of its interior is above {threshold:g}, "
        "and reaches as far as that of an object is above {reach_threshold:g}",
        decoder=contact.decoder,
    ),
    "distance": Encoding(
        learns="how deep each pixel lies in its object, and how near the next object is",
        outputs=("distance to the border", "nearness of the next object"),
        by_class=False,
        sized_by="objects",
        encode=distance.encode,
        encode_at=lambda labels, zoom, coarse, _: distance.encode(coarse),
        loss=weighted_smooth_l1,
        activation="clip",
        maps="distances",
        view=lambda distances: distances[0],
        view_name="cell distance",
        decoding={"seed_threshold": 0.4, "cell_threshold": distance.RIM / 2},
        grid={
            "seed_threshold": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
            "cell_threshold": (0.05, 0.1, 0.15, 0.2, 0.25),
        },
        in_words="an object starts where its distance less that to the next one is above "
        "{seed_threshold:g}, and reaches as far as its distance is above {cell_threshold:g}",
        decoder=distance.decoder,
    ),
}


_LARGEST = {"min_area_px": 1e12, "grow_px": 1e4}


def check_decoding(name: EncodingName, decoding: Mapping[str, Any]) -> None:
    """Raise SettingError unless the parameters of an encoding's `decode` are complete and in range.

    Examples
    --------
    >>> check_decoding("membrane", {"threshold": 0.3})
    """
    way = ENCODINGS[name]
    make = way.decoder or way.decode_classes
    taken = signature(make).parameters.values() if make else ()
    known = {each.name: each for each in taken if each.kind is Parameter.KEYWORD_ONLY}
    if unknown := sorted(decoding.keys() - known.keys()):
        raise SettingError(
            f"decoding: unknown entries {show(unknown)}; encoding {name!r} takes "
            f"{', '.join(known) or 'none'}"
        )
    for entry, parameter in known.items():
        value, largest = decoding.get(entry, parameter.default), _LARGEST.get(entry, 1.0)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= largest:  # NaN is in no range
            came = "missing" if value is Parameter.empty else show(value)
            raise SettingError(
                f"decoding.{entry} is {came}; it needs to be a number from 0 to {largest:g}"
            )


def decode_maps(
    name: EncodingName, maps: np.ndarray, decoding: Mapping[str, Any], factor: Zoom = AS_IT_IS
) -> tuple[np.ndarray, np.ndarray]:
    """Refine the maps of an image and decode them.

    Parameters
    ----------
    name : of the encoding
    maps : (K, Y, X) float32, on the image's grid
    decoding : parameters, in pixels of the training images
    factor : (y, x) by how much the image must be enlarged for its pixels to be as large as theirs

    Returns
    -------
    maps : (K, Y, X) float32, refined
    labels : (Y, X) int32 classes or instances
    """
    way = ENCODINGS[name]
    maps = way.refine(maps, factor)
    return maps, way.decode(maps, **in_pixels(decoding, factor))


def in_pixels(decoding: Mapping[str, Any], factor: Zoom) -> dict[str, Any]:
    """Return parameters of a decoding for images that must be enlarged by `factor`.

    Examples
    --------
    >>> in_pixels({"threshold": 0.5, "min_area_px": 10, "grow_px": 1.5}, (0.5, 0.5))
    {'threshold': 0.5, 'min_area_px': 40.0, 'grow_px': 3.0}
    """
    own = dict(decoding)
    if "min_area_px" in own:
        own["min_area_px"] /= factor[0] * factor[1]
    if "grow_px" in own:
        own["grow_px"] /= min(factor)
    return own

"""Notices images that are unlike those of the training, and says in plain words how.

A network gives labels for any image, also for one that it cannot know. What an image looks like to
it is compared with what the training images looked like; see `ulens.appearance`.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ulens.appearance import NUM_BANDS, PERCENTILES, Familiar, Look, Objects, measure_look
from ulens.bundle import ModelBundle
from ulens.resample import AS_IT_IS, Zoom, resample

PERCENTILE_TOLERANCE, ENERGY_TOLERANCE, SKEW_TOLERANCE = 1.0, 0.75, 1.5
"""By how much the numbers of an image may lie beyond those of many training images."""
DIAMETER_TOLERANCE, DENSITY_TOLERANCE = 0.5, 2.5
"""Octaves by which objects may be larger or smaller, or more, than those of many such images."""
FEW = 4.0
"""With so many training images twice as much is allowed as with very many."""
FEWEST_OBJECTS = 3
INVERTED_FITS, LEAST_STRANGE = 0.6, 1.0
ZOOMED_FITS, LEAST_ZOOMED, LEAST_OCTAVES = 0.6, 1.3, 0.5
NOTHING_ALIKE = 8
"""So many of 19 numbers are beyond those of the training."""

SMALLER, LARGER = "smaller objects", "larger objects"
FINER, COARSER = "finer structures", "coarser structures"
MORE = "far more objects than in training"
CONSTANT_ENERGY = -15.0
_TOLERANCES = np.array(
    [PERCENTILE_TOLERANCE] * len(PERCENTILES)
    + [ENERGY_TOLERANCE] * NUM_BANDS
    + [SKEW_TOLERANCE] * NUM_BANDS
)
_LEAST_SPREAD = np.array([0.1] * len(PERCENTILES) + [0.3] * NUM_BANDS + [0.15] * NUM_BANDS)
_NOISE_BANDS = 3
_OCTAVES = np.arange(-8, 9) / 5


class Unlike(NamedTuple):
    """One way in which an image, or what was found in it, is unlike those of the training.

    Parameters
    ----------
    kind : the same for all images that have this
    text : the same in words, with numbers and a way out
    """

    kind: str
    text: str


class UnlikeTrainingWarning(UserWarning):
    """An image is unlike those of the training, so that its segmentation may be wrong."""


EMPTY = Unlike("nearly empty", "nearly empty: there is little but noise")
CONSTANT = Unlike("empty", "empty: all pixels have the same grey value")
INVERTED = Unlike(
    "inverted contrast",
    "inverted contrast: what is bright in training is dark here; invert the grey values",
)
STRANGER = Unlike(
    "nothing like the training images",
    "nothing like the training images: do not trust the result; train on some images of this kind",
)
NOISIER = Unlike(
    "much noisier", "much noisier than the training images: smooth it, or train on such images too"
)
BLURRIER = Unlike(
    "much blurrier",
    "much blurrier than the training images: check the focus, or train on such images too",
)
SPOTS = Unlike(
    "far brighter spots",
    "far brighter spots than in the training images, beside which all else is dim: cut out what "
    "is dirt, or train on such images too",
)
OTHER = Unlike(
    "different from the training images",
    "different from the training images in its grey values and structures: look closely at the "
    "result, or train on such images too",
)


def find_unlike(
    familiar: Familiar,
    look: np.ndarray,
    objects: Objects,
    *,
    zoom: float = 1.0,
    grid: Zoom = AS_IT_IS,
) -> tuple[Unlike, ...]:
    """Return how an image and what was found in it are unlike those of the training.

    Parameters
    ----------
    familiar : what the training images looked like
    look : (19, C) of `measure_look`, of the image as the network takes it
    objects : found in it
    zoom : that the user asked for
    grid : pixels of the network for each pixel of the image

    Returns
    -------
    nothing of an ordinary image
    """
    appearance = _judge_look(familiar, look, zoom, grid)
    # what is found in a stranger has no size that tells anything
    if appearance is None or appearance.kind in (FINER, COARSER, BLURRIER.kind, OTHER.kind):
        appearance = _judge_objects(familiar, objects, zoom) or appearance
    if not objects.is_uniform:
        return () if appearance is None else (appearance,)
    found = "no objects found" if familiar.diameter_px[1] else "one class only"
    if appearance is not None:
        return appearance, Unlike(found, found)
    reason = (
        f"as in {familiar.num_uniform} of {familiar.num_images} training images"
        if familiar.num_uniform
        else "though it looks like the training images: look whether that is so"
    )
    return (Unlike(found, f"{found}, {reason}"),)


def _judge_look(familiar: Familiar, look: np.ndarray, zoom: float, grid: Zoom) -> Unlike | None:
    """Return the likeliest way in which an image looks unlike those of the training."""
    limits = familiar.look()
    if Look.of(look).energies.max() <= CONSTANT_ENERGY:
        return CONSTANT
    beyond = how_far_beyond(look, limits, _TOLERANCES[:, None], familiar.num_images)
    is_strange = bool(np.abs(beyond).max() > 1)
    if is_strange and _is_noise(look, grid) and not _is_noise(limits[1], grid):
        return EMPTY
    if _is_inverted(look, limits):
        return INVERTED
    octaves = _octaves_finer(look, limits, familiar.num_images)
    if octaves:
        return _other_scale(octaves, zoom)
    return _name_beyond(beyond) if is_strange else None


def _name_beyond(beyond: np.ndarray) -> Unlike:
    """Return in what an image differs.

    Parameters
    ----------
    beyond : (19, C) of `how_far_beyond`, one of them past 1
    """
    if (np.abs(beyond) > 1).any(axis=1).sum() >= NOTHING_ALIKE:
        return STRANGER
    percentiles, energies, _ = Look.of(beyond)
    finest = energies[:2].mean(axis=1)
    if energies[0].max() > 1 and energies[0].max() >= energies.max():
        return NOISIER
    if energies[:2].min() < -1 and finest.min() <= energies[2:].min():
        return BLURRIER
    if percentiles[-2:].max() > 1:
        return SPOTS
    return OTHER


def _judge_objects(familiar: Familiar, objects: Objects, zoom: float) -> Unlike | None:
    """Return whether objects are of another size than in training, or far more."""
    if familiar.diameter_px[1] == 0 or objects.num < FEWEST_OBJECTS:
        return None
    num_images = familiar.num_images
    diameter, density = (
        float(how_far_beyond(np.log2(found), np.log2(limits), tolerance, num_images))
        for found, limits, tolerance in (
            (objects.diameter_px, familiar.diameter_px, DIAMETER_TOLERANCE),
            (objects.num_per_mpx, familiar.num_per_mpx, DENSITY_TOLERANCE),
        )
    )
    if abs(diameter) > 1:
        return _other_size(objects.diameter_px / familiar.diameter_px[1], zoom)
    if density > 1:
        times = objects.num_per_mpx / familiar.num_per_mpx[1]
        text = f"{MORE}: {times:.0f} times as many in an area; look whether they are fragments"
        return Unlike(MORE, text)
    return None


def _other_size(ratio: float, zoom: float) -> Unlike:
    kind, comparative = (LARGER, "larger") if ratio > 1 else (SMALLER, "smaller")
    return Unlike(
        kind,
        f"these objects are {max(ratio, 1 / ratio):.1f} times {comparative} than those in "
        f"training: try --zoom {zoom / ratio:.2g}",
    )


def _other_scale(octaves_finer: float, zoom: float) -> Unlike:
    kind = FINER if octaves_finer > 0 else COARSER
    comparative, otherwise = ("finer", "") if octaves_finer > 0 else ("coarser", ", or the focus")
    return Unlike(
        kind,
        f"its structures are about {2 ** abs(octaves_finer):.1f} times {comparative} than those in "
        f"training: try --zoom {zoom * 2**octaves_finer:.2g}{otherwise}",
    )


def how_far_beyond(
    values: np.ndarray | float, limits: np.ndarray, tolerance: np.ndarray | float, num_images: int
) -> np.ndarray:
    """Return how far numbers lie above or below their limits; −1 to 1 is still to be expected.

    Few images tell little of how much others can differ, and very different ones little of what
    does not belong to them.
    """
    low, _, high = limits
    allowed = np.minimum((high - low) / 2, tolerance) + tolerance * (1 + FEW / num_images)
    return np.where(values > high, values - high, np.minimum(values - low, 0)) / allowed


def _is_noise(look: np.ndarray, grid: Zoom) -> bool:
    """Whether the finest details are to each other as in white noise, neither bright nor dark."""
    _, energies, skews = (numbers[:_NOISE_BANDS] for numbers in Look.of(look))
    noise = _energies_of_noise(grid)
    differ = energies - energies[0] - (noise - noise[0])
    return bool((np.abs(differ) < 1).all() and (np.abs(skews) < 1).all())


@cache
def _energies_of_noise(grid: Zoom) -> np.ndarray:
    """Return the first energies of white noise that was brought to a grid, (3, 1)."""
    y, x = (min(1024, math.ceil(256 / each)) for each in grid)
    noise = np.random.default_rng(0).normal(size=(1, y, x)).astype(np.float32)
    return Look.of(measure_look(resample(noise, grid))).energies[:_NOISE_BANDS]


def _is_inverted(look: np.ndarray, limits: np.ndarray) -> bool:
    """Whether the negative of an image fits clearly better than the image."""
    percentiles, _, skews = Look.of(look)
    negative = np.concatenate([-percentiles[::-1], -skews])
    spread, median = _spread(limits), limits[1]
    tells = np.r_[: len(PERCENTILES), -NUM_BANDS:0]
    here, there = (
        np.sqrt(np.mean(((numbers - median[tells]) / spread[tells]) ** 2))
        for numbers in (look[tells], negative)
    )
    return bool(here > LEAST_STRANGE and there < INVERTED_FITS * here)


def _octaves_finer(look: np.ndarray, limits: np.ndarray, num_images: int) -> float:
    """Return by how many octaves an image's details are finer; 0 unless that fits clearly better.

    Details of any size in it are compared with those so much larger in the training images.
    """
    _, energies, skews = Look.of(look)
    _, *medians = Look.of(limits[1])
    _, *spreads = Look.of(_spread(limits))
    bands = np.arange(NUM_BANDS)
    fits = []
    for octaves in _OCTAVES:
        in_training = bands + octaves
        is_known = (in_training >= 0) & (in_training < NUM_BANDS)
        differences = [
            (values[is_known] - _at(in_training[is_known], median))
            / _at(in_training[is_known], spread)
            for values, median, spread in zip((energies, skews), medians, spreads, strict=True)
        ]
        fits.append(float(np.sqrt(np.mean(np.square(differences)))))
    best, as_it_is = int(np.argmin(fits)), fits[len(fits) // 2]
    is_strange = as_it_is > LEAST_ZOOMED * (1 + FEW / 2 / num_images)
    fits_better = is_strange and fits[best] < ZOOMED_FITS * as_it_is
    octaves = float(_OCTAVES[best])
    return octaves if fits_better and abs(octaves) >= LEAST_OCTAVES else 0.0


def _at(bands: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return (6, C) values between the bands."""
    low = np.minimum(bands.astype(int), len(values) - 2)
    share = (bands - low)[:, None]
    return (1 - share) * values[low] + share * values[low + 1]


def _spread(limits: np.ndarray) -> np.ndarray:
    return np.maximum((limits[2] - limits[0]) / 2, _LEAST_SPREAD[:, None])


def join_planes(planes: Sequence[tuple[Unlike, ...]]) -> tuple[Unlike, ...]:
    """Return how the planes of an image are unlike those of the training, each kind once.

    Examples
    --------
    >>> join_planes([(Unlike("empty", "empty: all grey"),), ()])
    (Unlike(kind='empty', text='empty: all grey (1 of 2 planes)'),)
    """
    texts: dict[str, str] = {}
    for unlike in planes:
        for kind, text in unlike:
            texts.setdefault(kind, text)
    if len(planes) == 1:
        return planes[0]
    counts = {kind: sum(kind in dict(unlike) for unlike in planes) for kind in texts}
    return tuple(
        Unlike(kind, f"{text} ({counts[kind]} of {len(planes)} planes)")
        for kind, text in texts.items()
    )


def in_one_line(unlike: Sequence[Unlike]) -> str:
    """Return it as one line, which is empty of an ordinary image."""
    return "; ".join(each.text for each in unlike)


def find_caveats(bundle: ModelBundle) -> list[str]:
    """Return what a user of a model should know, a sentence each."""
    found = []
    if bundle.hardly_trained:
        found.append(f"expect little of this model: {bundle.hardly_trained}")
    if bundle.familiar is None:
        found.append(
            "this model does not know what its training images looked like, so ulens cannot warn "
            "of images unlike these"
        )
    return found

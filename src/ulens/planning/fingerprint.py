"""What the annotated images are like: the numbers the plan is made from."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import skimage as ski

from ulens.annotated.samples import Annotated, Sample
from ulens.encodings import boundary
from ulens.labels.nearest import two_nearest

MEMBRANE_PX = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """Numbers that describe a set of annotated images.

    Parameters
    ----------
    num_images, num_channels : counts
    sizes : smallest and largest (Y, X), pixels
    dtype : of the image files
    pixel_aspect : height of a pixel divided by its width; 1 where the files do not say
    intensity_percentiles : 0.5th, 50th and 99.5th percentile of each channel
    labels_are : 'classes' or 'instances'
    num_classes : classes the network tells apart, background included
    class_fractions : share of annotated pixels of each class
    ignored_fraction : share of pixels that are not annotated
    num_instances : connected objects or instance ids over all images
    median_area_px : median area of an instance, 0 where there is none
    diameter_px : diameter of a circle of the area of an instance, their median; of classes that of
        the region that holds the middle pixel when regions are put in order of their size; 0 where
        there is none
    wall_px : median width of the gaps that `membrane_fraction` counts, 0 where there is none
    touching_fraction : share of instances that touch another one
    contact_fraction : share of annotated pixels that have a pixel of another instance beside them
    membrane_fraction : share of the background that lies in gaps of at most `MEMBRANE_PX` between
        two parts of the foreground; 0 with more than two classes
    """

    num_images: int
    num_channels: int
    sizes: tuple[tuple[int, int], tuple[int, int]]
    dtype: str
    intensity_percentiles: tuple[tuple[float, float, float], ...]
    labels_are: str
    num_classes: int
    class_fractions: tuple[float, ...]
    ignored_fraction: float
    num_instances: int
    median_area_px: float
    touching_fraction: float
    contact_fraction: float
    membrane_fraction: float
    pixel_aspect: float = 1.0
    diameter_px: float = 0.0
    wall_px: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, strings and lists."""
        return asdict(self)


def take_fingerprint(annotated: Annotated) -> Fingerprint:
    """Measure annotated images."""
    samples = annotated.samples
    is_instances = annotated.labels_are == "instances"
    num_classes = 2 if is_instances else len(annotated.class_values)
    counts = np.zeros(num_classes)
    for sample in samples:
        classes = np.minimum(sample.label, 1) if is_instances else sample.label
        counts += np.bincount(classes[classes >= 0], minlength=num_classes)
    areas, num_touching = _instances(samples) if is_instances else (np.array([]), 0)
    num_contact = sum(_contact_px(sample.label) for sample in samples) if is_instances else 0
    heights = [sample.label.shape[0] for sample in samples]
    widths = [sample.label.shape[1] for sample in samples]
    num_pixels = sum(sample.label.size for sample in samples)
    membrane_fraction, wall_px = _walls(samples) if num_classes == 2 else (0.0, 0.0)
    return Fingerprint(
        num_images=len(samples),
        num_channels=samples[0].image.shape[0],
        sizes=((min(heights), min(widths)), (max(heights), max(widths))),
        dtype=str(samples[0].image.dtype),
        pixel_aspect=annotated.spacing_um[0] / annotated.spacing_um[1]
        if annotated.spacing_um
        else 1.0,
        intensity_percentiles=_percentiles(samples),
        labels_are=annotated.labels_are,
        num_classes=num_classes,
        class_fractions=tuple(float(share) for share in counts / counts.sum()),
        ignored_fraction=float(1 - counts.sum() / num_pixels),
        num_instances=len(areas),
        median_area_px=float(np.median(areas)) if len(areas) else 0.0,
        touching_fraction=num_touching / max(1, len(areas)),
        contact_fraction=num_contact / float(counts.sum()),
        membrane_fraction=membrane_fraction,
        diameter_px=_diameter(np.median(areas) if len(areas) else 0.0)
        if is_instances
        else _diameter(_region_px(samples)),
        wall_px=wall_px,
    )


def _percentiles(samples: Sequence[Sample]) -> tuple[tuple[float, float, float], ...]:
    # every 7th pixel of every image is plenty for a percentile
    pixels = [sample.image.reshape(sample.image.shape[0], -1)[:, ::7] for sample in samples]
    low, middle, high = np.percentile(np.concatenate(pixels, axis=1), [0.5, 50, 99.5], axis=1)
    return tuple((float(a), float(b), float(c)) for a, b, c in zip(low, middle, high, strict=True))


def _walls(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return the share of the background that lies in narrow gaps, and their median width."""
    num_background = 0
    widths: list[np.ndarray] = []
    for sample in samples:
        cells = ski.measure.label(sample.label > 0, connectivity=1)
        nearest, second, _ = two_nearest(cells, reach_px=MEMBRANE_PX)
        is_background = sample.label == 0
        across = (nearest + second)[is_background]
        widths.append(across[across <= MEMBRANE_PX])
        num_background += int(is_background.sum())
    found = np.concatenate(widths)
    # from pixel to pixel: the gap itself is one less
    wall_px = float(np.median(found)) - 1 if len(found) else 0.0
    return len(found) / max(1, num_background), wall_px


def _region_px(samples: Sequence[Sample]) -> float:
    """Return the area of the region that holds the middle pixel of all that are no background."""
    areas = np.concatenate(
        [
            np.bincount(ski.measure.label(sample.label.clip(0), connectivity=1).ravel())[1:]
            for sample in samples
        ]
    )
    areas.sort()
    total = areas.cumsum()
    return float(areas[np.searchsorted(total, total[-1] / 2)]) if len(areas) else 0.0


def _diameter(area_px: float) -> float:
    return math.sqrt(4 * area_px / math.pi)


def _contact_px(label: np.ndarray) -> int:
    return int(((label > 0) & (boundary.encode(label) == 0)).sum())


def _instances(samples: Sequence[Sample]) -> tuple[np.ndarray, int]:
    areas: list[float] = []
    num_touching = 0
    for sample in samples:
        labels = np.maximum(sample.label, 0)
        areas += [region.area for region in ski.measure.regionprops(labels)]
        pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
        touching = [
            np.concatenate([a[contact], b[contact]])
            for a, b in pairs
            if (contact := (a != b) & (a > 0) & (b > 0)).any()
        ]
        num_touching += len(np.unique(np.concatenate(touching))) if touching else 0
    return np.array(areas), num_touching

"""Windows of annotated images, by which engines are judged."""

from typing import NamedTuple

import numpy as np

from ulens.annotated.samples import Sample
from ulens.labels.meaning import IGNORED
from ulens.normalize import Normalization, measure_statistics
from ulens.planning.plan import Plan
from ulens.predict.tiles import read_mirrored
from ulens.resample import resample

EXAMPLE_PX = 388


class Example(NamedTuple):
    """A window of an annotated image.

    Parameters
    ----------
    image : (C, Y, X) float32, normalised, on the network's grid, mirrored where the window reaches
        beyond the image
    label : (Y, X) int32, of what the network makes of it, which lacks a margin, on the image's
        grid; −1 beyond the image
    """

    image: np.ndarray
    label: np.ndarray


def cut_example(
    plan: Plan, normalization: Normalization, sample: Sample, output_px: int = EXAMPLE_PX
) -> Example:
    """Return the window around the middle of the annotated pixels.

    Parameters
    ----------
    output_px : least side of what the network makes of it, in its pixels
    """
    zoom = plan.tiles.zoom
    geometry = plan.network_geometry
    side = geometry.input_size(output_px)
    is_annotated = sample.label != IGNORED
    middles = [_median(is_annotated.sum(axis=other)) for other in (1, 0)]
    starts = [round(middle * by) - side // 2 for middle, by in zip(middles, zoom, strict=True)]
    rows, columns = (slice(start, start + side) for start in starts)
    output = side - 2 * geometry.margin
    label = np.full([max(1, round(output / by)) for by in zoom], IGNORED, np.int32)
    place, source = [], []
    for start, by, length, wanted in zip(
        starts, zoom, sample.label.shape, label.shape, strict=True
    ):
        first = round((start + geometry.margin) / by)
        low, high = max(0, first), min(length, first + wanted)
        place.append(slice(low - first, high - first))
        source.append(slice(low, high))
    label[*place] = sample.label[*source]
    statistics = measure_statistics(sample.image)
    whole = resample(normalization.apply(sample.image, statistics), zoom)
    return Example(read_mirrored(whole, (rows, columns)), label)


def _median(counts: np.ndarray) -> int:
    """Return the place before which half of what is counted lies."""
    return 1 + int(np.searchsorted(counts.cumsum(), counts.sum() / 2))

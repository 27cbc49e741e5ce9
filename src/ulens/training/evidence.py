"""What a score rests on: how many images, objects and pixels, and how far it may be off."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import skimage as ski
from scipy import ndimage

from ulens.bundle import ModelBundle
from ulens.labels.meaning import IGNORED, LabelsAre
from ulens.metrics.instance import IOU_THRESHOLDS, count_by_part
from ulens.metrics.intervals import Interval, bootstrap_interval
from ulens.record import read_record
from ulens.training.validate import Prediction, measures_for, score_membranes

NUM_TILES = 16

Ingredients = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]
"""What a score is made of, by image or tile, and what makes scores of means of this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the scores of a model rest on.

    Parameters
    ----------
    num_images : with held-out annotations
    num_objects : in these; of classes the connected regions that are no background
    num_pixels : annotated
    num_tiles : over which the intervals go where they do not go over images: tiles of a single
        image, or parts of images that were held out one after the other
    intervals : 95 % interval of each score that has one, by name
    """

    num_images: int
    num_objects: int
    num_pixels: int
    num_tiles: int = 0
    intervals: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return an entry for a model's provenance."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Evidence":
        """Read what `to_json` wrote; raises as `read_record`."""
        return read_record(cls, entry, "scores_rest_on")

    def in_words(self) -> str:
        """Return a sentence for the user.

        Examples
        --------
        >>> Evidence(
        ...     num_images=3, num_objects=41, num_pixels=9000, intervals={"Dice": (0.8, 0.9)}
        ... ).in_words()
        'from 3 images with 41 objects in 9,000 pixels; intervals (95 %) over these images'
        """
        images = "1 image" if self.num_images == 1 else f"{self.num_images} images"
        words = f"from {images} with {self.num_objects:,} objects in {self.num_pixels:,} pixels"
        if not self.num_objects:
            return f"{words}: without any object, they do not tell how well objects are found"
        if not self.intervals:
            return f"{words}, too little for an interval"
        if not self.num_tiles:
            return f"{words}; intervals (95 %) over these images"
        of = "it" if self.num_images == 1 else "them"
        return (
            f"{words}; intervals (95 %) over {self.num_tiles} tiles of {of}, which do not tell how "
            "images differ"
        )


def find_evidence(bundle: ModelBundle) -> Evidence | None:
    """Return what a model's scores rest on; None where it has none, or is of an older version."""
    entry = bundle.provenance.get("scores_rest_on")
    return Evidence.from_json(entry) if entry else None


def name_scores(bundle: ModelBundle) -> list[str]:
    """Return each score of a model with its interval, in words."""
    evidence = find_evidence(bundle)
    intervals = evidence.intervals if evidence else {}
    return [
        f"{name} {value:.4f}"
        + (" ({:.2f} to {:.2f})".format(*intervals[name]) if name in intervals else "")
        for name, value in bundle.scores.items()
    ]


def name_grounds(bundle: ModelBundle) -> list[str]:
    """Return sentences: what the scores of a model rest on, and why they may not hold."""
    evidence, reason = find_evidence(bundle), bundle.provenance.get("not_independent")
    sentences = [evidence.in_words()] if evidence else []
    return sentences + ([f"not independent: {reason}"] if reason else [])


def gather_evidence(
    predictions: Sequence[Prediction], labels_are: LabelsAre, scores: Mapping[str, float]
) -> Evidence:
    """Count what scores rest on, and find their intervals.

    Parameters
    ----------
    scores : as `score_held_out` gives them
    """
    tiles = cut_tiles(predictions[0].sample.label) if len(predictions) == 1 else None
    intervals = {}
    for name, (units, statistic) in ingredients(predictions, labels_are, tiles).items():
        if name in scores and (found := bootstrap_interval(scores[name], units, statistic)):
            intervals[name] = found
    labels = [prediction.sample.label for prediction in predictions]
    num_images = len({id(prediction.sample.image) for prediction in predictions})
    num_units = len(_used(tiles, labels[0])) if tiles is not None else len(predictions)
    return Evidence(
        num_images=num_images,
        num_objects=sum(_count_objects(label, labels_are) for label in labels),
        num_pixels=sum(int((label != IGNORED).sum()) for label in labels),
        num_tiles=num_units if intervals and num_units > num_images else 0,
        intervals=intervals,
    )


def ingredients(
    predictions: Sequence[Prediction], labels_are: LabelsAre, tiles: np.ndarray | None
) -> dict[str, Ingredients]:
    """Return by the name of a score what it is made of in each image, or in each tile."""
    if labels_are == "instances":
        return _of_instances(predictions, tiles)
    found = _of_classes(predictions, tiles)
    if "isbi2012" in measures_for(predictions, labels_are):
        parts = predictions if tiles is None else _crop(predictions[0], tiles)
        each = [values for part in parts if (values := score_membranes([part]))]
        for name in each[0] if each else ():
            found[name] = np.array([values[name] for values in each]), lambda means: means
    return found


def _of_instances(
    predictions: Sequence[Prediction], tiles: np.ndarray | None
) -> dict[str, Ingredients]:
    counted = [
        count_by_part(each.sample.label, each.labels, _parts(each, tiles)) for each in predictions
    ]
    # the score is the mean over images; over tiles objects are counted together
    if tiles is None:
        units, precision = _precision(np.concatenate(counted)), lambda means: means
    else:
        units, precision = counted[0][_used(tiles, predictions[0].sample.label)], _precision
    half = IOU_THRESHOLDS.index(0.5)
    return {
        "AP@0.5": (units, lambda means: precision(means)[:, half]),
        "mean AP": (units, lambda means: precision(means).mean(1)),
    }


def _precision(counts: np.ndarray) -> np.ndarray:
    """Return average precisions of (…, 3) counts; 1 where there is nothing."""
    total = counts.sum(-1)
    return np.where(total > 0, counts[..., 0] / np.where(total > 0, total, 1), 1.0)


def _of_classes(
    predictions: Sequence[Prediction], tiles: np.ndarray | None
) -> dict[str, Ingredients]:
    num = len(predictions[0].maps)
    confusions = []
    for each in predictions:
        truth, part = each.sample.label, _parts(each, tiles)
        is_valid = truth != IGNORED
        key = (part.astype(np.int64) * num + truth) * num + each.labels
        counts = np.bincount(key[is_valid], minlength=(int(part.max()) + 1) * num**2)
        confusions.append(counts.reshape(-1, num, num)[_used(part, truth)])
    units = np.concatenate(confusions)

    def shares(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = np.diagonal(means, axis1=1, axis2=2)
        return both, means.sum(1) + means.sum(2)

    def mean_iou(means: np.ndarray) -> np.ndarray:
        both, total = shares(means)
        occurs = total > 0
        iou = np.where(occurs, both / np.where(occurs, total - both, 1), 0)
        return iou.sum(1) / occurs.sum(1)

    def dice(means: np.ndarray) -> np.ndarray:
        both, total = shares(means)
        return 2 * both[:, 1] / np.maximum(total[:, 1], 1e-9)

    return {"mean IoU": (units, mean_iou), "Dice": (units, dice)}


def _parts(prediction: Prediction, tiles: np.ndarray | None) -> np.ndarray:
    """Return the number of the tile of each pixel; of a whole image 0."""
    return np.zeros(prediction.labels.shape, np.int64) if tiles is None else tiles


def _used(parts: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the numbers of those parts that have annotated pixels."""
    return np.unique(parts[label != IGNORED])


def cut_tiles(label: np.ndarray) -> np.ndarray:
    """Cut the box of the annotated pixels into about `NUM_TILES`; return their numbers."""
    box = ndimage.find_objects((label != IGNORED).astype(np.uint8))[0]
    lengths = [side.stop - side.start for side in box]
    side = math.sqrt(lengths[0] * lengths[1] / NUM_TILES)
    numbers = [max(1, round(length / side)) for length in lengths]
    y, x = (
        ((np.arange(size) - where.start) * number // length).clip(0, number - 1)
        for size, where, number, length in zip(label.shape, box, numbers, lengths, strict=True)
    )
    return y[:, None] * numbers[1] + x


def _crop(prediction: Prediction, tiles: np.ndarray) -> list[Prediction]:
    boxes = [box for box in ndimage.find_objects(tiles + 1) if box is not None]
    return [
        replace(
            prediction,
            sample=replace(prediction.sample, label=prediction.sample.label[box]),
            maps=prediction.maps[:, *box],
            labels=prediction.labels[box],
        )
        for box in boxes
    ]


def _count_objects(label: np.ndarray, labels_are: LabelsAre) -> int:
    labels = label.clip(0)
    if labels_are == "classes":
        labels = ski.measure.label(labels, connectivity=1)
    return len(np.unique(labels[labels > 0]))

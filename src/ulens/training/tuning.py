"""The thresholds of the decoding, tuned on what is held out."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from ulens.annotated.blocks import Block, divide, find_block, objects_between
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.labels.meaning import IGNORED, LabelsAre
from ulens.training.validate import Prediction, score, score_membranes

CLEARLY_BETTER = 0.02
WORTH_OF_AN_OBJECT = 0.5


def tune_thresholds(
    predictions: Sequence[Prediction], encoding: EncodingName, decoding: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the decoding whose thresholds score best on held-out images.

    Parameters
    ----------
    decoding : where the search starts: one threshold after the other is varied

    Notes
    -----
    Best is the highest mean AP of instances, and for membranes the highest mean of V_Rand and
    V_Info. Few held-out objects tell little, so a value has to be better than the one where the
    search starts by `CLEARLY_BETTER`, and by more than half of what a single object is worth.
    """
    way = ENCODINGS[encoding]
    annotated = [_annotated_part(prediction) for prediction in predictions]
    clearly_better = CLEARLY_BETTER
    if way.labels_are == "instances":
        num_objects = sum(len(np.unique(each.sample.label.clip(0))) - 1 for each in annotated)
        clearly_better = max(clearly_better, WORTH_OF_AN_OBJECT / max(1, num_objects))
    chosen = dict(decoding)
    for name, values in way.grid.items():
        first = decoding[name]

        def reached(value: float, name: str = name) -> float:
            return _goodness(decode_with(annotated, encoding, {**chosen, name: value}), encoding)

        goodness = {value: reached(value) for value in {first, *values}}
        # the nearest of the best wins a tie
        best = max(goodness, key=lambda value: (goodness[value], -abs(value - first)))
        # nothing found at all is no evidence for where the search starts
        if goodness[first] == 0 or goodness[best] >= goodness[first] + clearly_better:
            chosen[name] = best
    return chosen


def _goodness(predictions: Sequence[Prediction], encoding: EncodingName) -> float:
    if ENCODINGS[encoding].labels_are == "instances":
        return score(predictions, "instances")["mean AP"]
    masks = [
        replace(each, maps=np.stack([each.labels != 1, each.labels == 1])) for each in predictions
    ]
    measured = score_membranes(masks)
    return (measured["V_Rand"] + measured["V_Info"]) / 2 if measured else 0.0


def decode_with(
    predictions: Sequence[Prediction], encoding: EncodingName, decoding: Mapping[str, Any]
) -> list[Prediction]:
    """Return predictions decoded otherwise."""
    decode = ENCODINGS[encoding].decode
    return [replace(each, labels=decode(each.maps, **decoding)) for each in predictions]


def _annotated_part(prediction: Prediction) -> Prediction:
    """Cut out the box of the annotated pixels: of held-out blocks a fifth of the image."""
    box = ndimage.find_objects((prediction.sample.label != IGNORED).astype(np.uint8))[0]
    sample = replace(prediction.sample, label=prediction.sample.label[box])
    return replace(prediction, sample=sample, maps=prediction.maps[:, *box])


def decode_across(
    predictions: Sequence[Prediction], encoding: EncodingName, decoding: Mapping[str, Any]
) -> list[Prediction]:
    """Decode each half of the held-out annotations with thresholds tuned on the other half.

    What is scored then has had no say in how it is decoded.

    Parameters
    ----------
    predictions : halves are the first and the last of them; of a single one the first and the
        last half of its annotated pixels, where an object goes to its centroid's side
    decoding : where the search starts, as in `tune_thresholds`; it stays where the other half has
        nothing to tune on
    """
    if not ENCODINGS[encoding].grid:
        return list(predictions)
    middle = len(predictions) // 2
    if middle:
        halves = predictions[:middle], predictions[middle:]
        first, last = (_tune(half, encoding, decoding) for half in halves)
        return decode_with(halves[0], encoding, last) + decode_with(halves[1], encoding, first)
    (only,) = predictions
    labels_are = ENCODINGS[encoding].labels_are
    block = find_block([only.sample.label], 0.5)
    parts = divide(only.sample, block, labels_are)
    first, last = (_tune([replace(only, sample=part)], encoding, decoding) for part in parts)
    decoded = [decode_with([only], encoding, each)[0].labels for each in (last, first)]
    return [replace(only, labels=join_halves(decoded[0], decoded[1], block, labels_are))]


def _tune(
    half: Sequence[Prediction], encoding: EncodingName, decoding: Mapping[str, Any]
) -> dict[str, Any]:
    if not any((each.sample.label > 0).any() for each in half):
        return dict(decoding)
    annotated = [each for each in half if (each.sample.label != IGNORED).any()]
    return tune_thresholds(annotated, encoding, decoding)


def join_halves(
    first: np.ndarray, last: np.ndarray, block: Block, labels_are: LabelsAre
) -> np.ndarray:
    """Take one segmentation before the start of a block, and another from there on."""
    lines = np.arange(first.shape[block.axis]).reshape((-1, 1) if block.axis == 0 else (1, -1))
    if labels_are == "classes":
        return np.where(lines < block.start, first, last)
    if np.array_equal(first, last):
        return first
    ends = 0, block.start, first.shape[block.axis]
    sides = [
        np.where(objects_between(labels, block.axis, start, end), labels, 0)
        for labels, (start, end) in zip((first, last), itertools.pairwise(ends), strict=True)
    ]
    sides[1] = np.where(sides[1] > 0, sides[1] + sides[0].max(initial=0), 0)
    return np.where(sides[0] > 0, sides[0], sides[1])

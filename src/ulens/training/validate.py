"""Scores on held-out images, by the predictor that users get."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np

from ulens.annotated.samples import Sample
from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS, EncodingName, decode_maps
from ulens.labels.meaning import LabelsAre
from ulens.metrics.by_measure import Measure, fitting_measures
from ulens.metrics.ctc import seg_scores
from ulens.metrics.instance import instance_scores
from ulens.metrics.membrane import isbi2012
from ulens.metrics.semantic import semantic_scores
from ulens.predict.predictor import Average, Predictor
from ulens.resample import AS_IT_IS, Zoom


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A held-out image with what the network makes of it.

    Parameters
    ----------
    sample : image and truth; −1 in the label where pixels do not count
    maps : (K, Y, X) float32 in [0, 1], class probabilities or distances
    labels : (Y, X) int32 class indices or instances
    """

    sample: Sample
    maps: np.ndarray
    labels: np.ndarray


def predict_unseen(
    bundle: ModelBundle, samples: Sequence[Sample], device: str, *, average: Average = 1
) -> list[Prediction]:
    """Predict images with a model, and decode as it was tuned.

    Parameters
    ----------
    average : as in `Predictor`
    """
    activation = ENCODINGS[bundle.encoding].activation
    predictor = Predictor(bundle.net, activation=activation, device=device, average=average)
    predictions = []
    for sample in samples:
        maps = predictor.predict(bundle.normalization.apply(sample.image), bundle.zoom)
        maps, labels = decode_maps(bundle.encoding, maps, bundle.decoding)
        predictions.append(Prediction(sample=sample, maps=maps, labels=labels))
    return predictions


def score_unseen(
    predictions: Sequence[Prediction], labels_are: LabelsAre, *, field_of_interest_px: int = 0
) -> dict[str, float]:
    """Return the scores that the labels allow, by name.

    Parameters
    ----------
    field_of_interest_px : as `ulens.metrics.ctc.seg_scores`; for instances

    Returns
    -------
    SEG and average precisions of instances; the ISBI 2012 measures of two classes, mean IoU and
    Dice; mean IoU of more classes
    """
    found = score(predictions, labels_are)
    measures = measures_for(predictions, labels_are)
    if "instances" in measures:
        return {**score_cells(predictions, field_of_interest_px=field_of_interest_px), **found}
    if "isbi2012" in measures:
        return {**score_membranes(predictions), **found}
    return found


def score_held_out(predictions: Sequence[Prediction], labels_are: LabelsAre) -> dict[str, float]:
    """Return the headline score, and of two classes the ISBI 2012 measures behind it."""
    found = score(predictions, labels_are)
    if "isbi2012" in measures_for(predictions, labels_are):
        found |= score_membranes(predictions)
    return found


def measures_for(predictions: Sequence[Prediction], labels_are: LabelsAre) -> tuple[Measure, ...]:
    """Return the measures that fit predictions; see `fitting_measures`."""
    return fitting_measures(labels_are, num_classes=len(predictions[0].maps))


def score(predictions: Sequence[Prediction], labels_are: LabelsAre) -> dict[str, float]:
    """Return the headline score of held-out images.

    Returns
    -------
    AP@0.5 and its mean over the thresholds up to 0.95 for instances; mean IoU, and Dice of the
    foreground where there are two classes
    """
    truth = [prediction.sample.label for prediction in predictions]
    found = [prediction.labels for prediction in predictions]
    measures = measures_for(predictions, labels_are)
    if "instances" in measures:
        instances = instance_scores(truth, found)
        return {
            "AP@0.5": instances.average_precision[0.5],
            "mean AP": instances.mean_average_precision,
        }
    semantic = semantic_scores(truth, found)
    scores = {"mean IoU": semantic.mean_iou}
    if "isbi2012" in measures:
        scores["Dice"] = semantic.dice.get(1, 0.0)
    return scores


def score_membranes(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return the ISBI 2012 measures of two-class predictions, foreground = cell interior.

    They are not defined for an image without foreground; with such a one none is returned.
    """
    truth = [prediction.sample.label for prediction in predictions]
    if not all((label == 1).any() for label in truth):
        return {}
    measured = isbi2012(truth, [prediction.maps[1] for prediction in predictions])
    return {
        "V_Rand": measured.v_rand,
        "V_Info": measured.v_info,
        "Rand error": measured.rand_error,
        "pixel error": measured.pixel_error,
        "warping error": measured.warping_error,
    }


def counts_for_seg(samples: Sequence[Sample]) -> list[bool]:
    """Return of which images SEG is taken: those with gold truth, all where there is none."""
    has_gold = not all(sample.is_silver for sample in samples)
    return [not (has_gold and sample.is_silver) for sample in samples]


def score_cells(
    predictions: Sequence[Prediction], *, field_of_interest_px: int = 0
) -> dict[str, float]:
    """Return SEG of the Cell Tracking Challenge, of gold truth where there is some.

    Parameters
    ----------
    predictions : of instances
    field_of_interest_px : as in `seg_scores`
    """
    counted = compress(predictions, counts_for_seg([each.sample for each in predictions]))
    pairs = ((each.sample.label.clip(0), each.labels) for each in counted)
    return {"SEG": seg_scores(pairs, field_of_interest_px=field_of_interest_px).seg}


def first_decoding(
    training: Sequence[Sample], encoding: EncodingName, zoom: Zoom = AS_IT_IS
) -> dict[str, Any]:
    """Return how outputs are decoded before the thresholds are tuned, in pixels of the image.

    Nothing below half the smallest annotated instance counts (smallest: the first percentile).
    """
    way = ENCODINGS[encoding]
    if way.labels_are == "classes":
        return dict(way.decoding)
    areas = np.concatenate(
        [np.bincount(np.maximum(sample.label, 0).ravel())[1:] for sample in training]
    )
    smallest = float(np.percentile(areas[areas > 0], 1)) if areas.any() else 0.0
    return {**way.decoding, "min_area_px": int(smallest / 2), **way.decoding_at(zoom)}


def quality(prediction: Prediction, labels_are: LabelsAre) -> float:
    """Return one image's score, for sorting the pictures of the report."""
    return next(iter(score([prediction], labels_are).values()))

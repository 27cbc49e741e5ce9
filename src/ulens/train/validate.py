"""Scores on held-out images, by the predictor that users get."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from ulens.bundle import LabelsAre
from ulens.instances import boundary
from ulens.io.annotations import Sample
from ulens.losses import IGNORED
from ulens.metrics.instance import instance_scores
from ulens.metrics.membrane import isbi2012
from ulens.metrics.semantic import semantic_scores
from ulens.normalize import Normalization
from ulens.predict.predictor import Average, Predictor

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
REACH_THRESHOLDS = (0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A held-out image with what the network makes of it.

    Parameters
    ----------
    sample : image and truth; −1 in the label where pixels do not count
    probabilities : (K, Y, X) float32
    labels : (Y, X) int32 class indices or instances
    """

    sample: Sample
    probabilities: np.ndarray
    labels: np.ndarray


def predict_held_out(
    net: nn.Module,
    held_out: Sequence[Sample],
    normalization: Normalization,
    *,
    labels_are: LabelsAre,
    decoding: dict[str, Any],
    device: str,
    average: Average = 1,
) -> list[Prediction]:
    """Run a network over held-out images, with the views of `Predictor` averaged."""
    predictor = Predictor(net, device=device, average=average)
    probabilities = [predictor.predict(normalization.apply(sample.image)) for sample in held_out]
    return [
        Prediction(sample=sample, probabilities=found, labels=decode(found, labels_are, decoding))
        for sample, found in zip(held_out, probabilities, strict=True)
    ]


def decode(
    probabilities: np.ndarray, labels_are: LabelsAre, decoding: dict[str, Any]
) -> np.ndarray:
    """Turn (K, Y, X) probabilities into (Y, X) int32 class indices or instances."""
    if labels_are == "instances":
        return boundary.decode(probabilities[1], **decoding)
    return probabilities.argmax(0).astype(np.int32)


def score(predictions: Sequence[Prediction], labels_are: LabelsAre) -> dict[str, float]:
    """Return the headline score of held-out images.

    Returns
    -------
    AP@0.5 and its mean over the thresholds up to 0.95 for instances; mean IoU, and Dice of the
    foreground where there are two classes
    """
    truth = [prediction.sample.label for prediction in predictions]
    found = [prediction.labels for prediction in predictions]
    if labels_are == "instances":
        instances = instance_scores(truth, found)
        return {
            "AP@0.5": instances.average_precision[0.5],
            "mean AP": instances.mean_average_precision,
        }
    semantic = semantic_scores(truth, found)
    scores = {"mean IoU": semantic.mean_iou}
    if predictions[0].probabilities.shape[0] == 2:
        scores["Dice"] = semantic.dice.get(1, 0.0)
    return scores


def score_membranes(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return the ISBI 2012 measures of two-class predictions, foreground = cell interior.

    They are not defined for an image without foreground; with such a one none is returned.
    """
    truth = [prediction.sample.label for prediction in predictions]
    if not all((label == 1).any() for label in truth):
        return {}
    measured = isbi2012(
        truth, [prediction.probabilities[1] for prediction in predictions], ignore=IGNORED
    )
    return {
        "V_Rand": measured.v_rand,
        "V_Info": measured.v_info,
        "Rand error": measured.rand_error,
        "pixel error": measured.pixel_error,
    }


def tune_thresholds(
    predictions: Sequence[Prediction], decoding: dict[str, Any]
) -> tuple[list[Prediction], dict[str, Any]]:
    """Choose the decoding thresholds with the best mean AP on held-out images.

    Returns
    -------
    the predictions decoded with them, and the decoding
    """
    best: tuple[float, list[Prediction], dict[str, Any]] | None = None
    # the middle first, so that it wins a tie
    for threshold in sorted(THRESHOLDS, key=lambda value: abs(value - 0.5)):
        for reach in (value for value in REACH_THRESHOLDS if value <= threshold):
            tried = {**decoding, "threshold": threshold, "reach_threshold": reach}
            decoded = [
                replace(each, labels=boundary.decode(each.probabilities[1], **tried))
                for each in predictions
            ]
            value = score(decoded, "instances")["mean AP"]
            if best is None or value > best[0]:
                best = value, decoded, tried
    assert best is not None
    return best[1], best[2]


def quality(prediction: Prediction, labels_are: LabelsAre) -> float:
    """Return one image's score, for sorting the pictures of the report."""
    return next(iter(score([prediction], labels_are).values()))

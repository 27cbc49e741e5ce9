"""Prediction and scores of images that no training has seen."""

from collections.abc import Sequence

from ulens.annotated.samples import Sample
from ulens.bundle import ModelBundle
from ulens.labels.meaning import LabelsAre
from ulens.predict.predictor import Average
from ulens.training.validate import (
    Prediction,
    predict_held_out,
    score,
    score_cells,
    score_membranes,
)


def predict_unseen(
    bundle: ModelBundle, samples: Sequence[Sample], device: str, *, average: Average = 1
) -> list[Prediction]:
    """Predict images with a model, decoded as it was tuned.

    Parameters
    ----------
    average : as `ulens.predict.predictor.Predictor`
    """
    return predict_held_out(
        bundle.net,
        samples,
        bundle.normalization,
        encoding=bundle.encoding,
        decoding=bundle.decoding,
        device=device,
        zoom=bundle.zoom,
        average=average,
    )


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
    if labels_are == "instances":
        return {**score_cells(predictions, field_of_interest_px=field_of_interest_px), **found}
    if len(predictions[0].maps) == 2:
        return {**score_membranes(predictions), **found}
    return found

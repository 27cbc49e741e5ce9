"""Dice and IoU of class masks, pooled over the pixels of all images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ulens.errors import DataError
from ulens.labels.meaning import IGNORED
from ulens.labels.overlap import contingency

NOTHING_ANNOTATED = (
    f"no pixels to compare: all carry the ignored value {IGNORED}; give annotated images"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticScores:
    """Agreement of two sets of class masks.

    Parameters
    ----------
    dice, iou : score in [0, 1] of every class that occurs in the truth or in the prediction
    mean_iou : mean of `iou` over these classes, background included
    """

    dice: dict[int, float]
    iou: dict[int, float]
    mean_iou: float


def semantic_scores(truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> SemanticScores:
    """Score class masks, all images counted as one.

    Parameters
    ----------
    truth, predicted : as many integer arrays each, pairwise of one shape; class ids, 0 =
        background, −1 in the truth = not annotated, left out

    Raises
    ------
    ShapeError : the shapes of a pair differ
    LabelError : class ids are negative or not whole numbers
    DataError : no pixel is annotated

    Examples
    --------
    >>> semantic_scores([np.array([0, 0, 1, 1])], [np.array([0, 1, 1, 1])]).dice[1]
    0.8
    """
    confusion = _count_pairs(truth, predicted)
    if not confusion:
        raise DataError(NOTHING_ANNOTATED)
    classes = sorted({each for pair in confusion for each in pair})
    dice, iou = {}, {}
    for each in classes:
        num_both = confusion.get((each, each), 0)
        num_truth = sum(num for (true, _), num in confusion.items() if true == each)
        num_predicted = sum(num for (_, guess), num in confusion.items() if guess == each)
        dice[each] = 2 * num_both / (num_truth + num_predicted)
        iou[each] = num_both / (num_truth + num_predicted - num_both)
    return SemanticScores(dice=dice, iou=iou, mean_iou=sum(iou.values()) / len(iou))


def _count_pairs(
    truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]
) -> dict[tuple[int, int], int]:
    """Count the pixels of every pair (true class, predicted class) over all images."""
    confusion: dict[tuple[int, int], int] = {}
    for true, guess in zip(truth, predicted, strict=True):
        table = contingency(true, guess, valid=true != IGNORED)
        pairs = zip(table.truth.tolist(), table.predicted.tolist(), strict=True)
        for pair, num in zip(pairs, table.num_pixels.tolist(), strict=True):
            confusion[pair] = confusion.get(pair, 0) + num
    return confusion

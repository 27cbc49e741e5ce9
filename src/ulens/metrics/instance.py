"""Average precision and panoptic quality of instance segmentations."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ulens.errors import DataError
from ulens.labels.meaning import IGNORED
from ulens.labels.overlap import IouMatrix, contingency, iou_matrix, match

# Written as quotients, so that an IoU of exactly 3/5 reaches the threshold 0.6.
IOU_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))

_ABOVE_HALF = float(np.nextafter(0.5, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchCounts:
    """Objects of one image or of several at one IoU threshold."""

    num_matched: int
    num_missed: int
    num_extra: int

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN); 1 where there is neither truth nor prediction."""
        total = self.num_matched + self.num_missed + self.num_extra
        return self.num_matched / total if total else 1.0

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where there is neither truth nor prediction."""
        total = 2 * self.num_matched + self.num_missed + self.num_extra
        return 2 * self.num_matched / total if total else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PanopticScores:
    """How well objects are found and outlined, over the objects of all images.

    Parameters
    ----------
    segmentation : SQ, mean IoU of the matched pairs; 0 where none are matched
    recognition : RQ, F1 of the matching
    """

    segmentation: float
    recognition: float

    @property
    def quality(self) -> float:
        """PQ = SQ × RQ."""
        return self.segmentation * self.recognition


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceScores:
    """Scores of a set of images at each IoU threshold.

    Parameters
    ----------
    average_precision, f1 : by threshold, mean over images
    mean_average_precision : mean of `average_precision` over the thresholds
    counts : by threshold, objects of all images
    panoptic : panoptic quality and its factors
    count_agreement : fewer / more of the numbers of true and predicted objects, mean over images;
        1 where there is neither truth nor prediction
    per_image : counts by threshold for each image
    """

    average_precision: dict[float, float]
    f1: dict[float, float]
    mean_average_precision: float
    counts: dict[float, MatchCounts]
    panoptic: PanopticScores
    count_agreement: float
    per_image: tuple[dict[float, MatchCounts], ...]


def instance_scores(truth: Iterable[np.ndarray], predicted: Iterable[np.ndarray]) -> InstanceScores:
    """Score instance segmentations image by image and average over images.

    Parameters
    ----------
    truth, predicted : as many integer label images each, pairwise of one shape; 0 = background,
        −1 in the truth = not annotated: such pixels are left out, and so are predicted objects
        that lie more than half in them

    Raises
    ------
    ShapeError : the shapes of a pair differ
    LabelError : labels are negative or not whole numbers
    DataError : there are no images

    Notes
    -----
    Objects are matched one to one where IoU >= threshold; for the panoptic quality where IoU > 0.5
    (Kirillov et al. 2019, Panoptic Segmentation, https://arxiv.org/abs/1801.00868).

    Examples
    --------
    >>> instance_scores([np.array([1, 1, 0, 2])], [np.array([7, 7, 0, 0])]).average_precision[0.5]
    0.5
    """
    overlaps = [_overlap(true, guess) for true, guess in zip(truth, predicted, strict=True)]
    per_image = tuple(count_matches(iou) for iou in overlaps)
    if not per_image:
        raise DataError("no images to compare; give at least one label image and its prediction")
    precision, f1, counts = {}, {}, {}
    for t in IOU_THRESHOLDS:
        at_t = [each[t] for each in per_image]
        precision[t] = _mean([each.average_precision for each in at_t])
        f1[t] = _mean([each.f1 for each in at_t])
        counts[t] = _total(at_t)
    return InstanceScores(
        average_precision=precision,
        f1=f1,
        mean_average_precision=_mean(list(precision.values())),
        counts=counts,
        panoptic=panoptic_scores(overlaps),
        count_agreement=_mean([_agreement(*iou.values.shape) for iou in overlaps]),
        per_image=per_image,
    )


def count_matches(iou: IouMatrix) -> dict[float, MatchCounts]:
    """Count matched, missed and extra objects of one image at each IoU threshold.

    Examples
    --------
    >>> table = contingency(np.array([1, 1, 0, 2]), np.array([7, 7, 0, 0]))
    >>> count_matches(iou_matrix(table))[0.5]
    MatchCounts(num_matched=1, num_missed=1, num_extra=0)
    """
    num_true, num_predicted = iou.values.shape
    counts = {}
    for threshold in IOU_THRESHOLDS:
        num_matched = len(match(iou.values, threshold=threshold)[0])
        counts[threshold] = MatchCounts(
            num_matched=num_matched,
            num_missed=num_true - num_matched,
            num_extra=num_predicted - num_matched,
        )
    return counts


def count_by_part(truth: np.ndarray, predicted: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Count matched, missed and extra objects of each part of an image.

    Parameters
    ----------
    truth, predicted : as in `instance_scores`, of one image
    part : (Y, X) integers from 0 up; an object belongs to that of its first pixel, a matched one
        to that of the true object's

    Returns
    -------
    (parts, thresholds, 3) int64

    Examples
    --------
    >>> count_by_part(np.array([[1, 0, 2]]), np.array([[7, 0, 0]]), np.array([[0, 0, 1]]))[:, 0]
    array([[1, 0, 0],
           [0, 1, 0]])
    """
    iou = _overlap(truth, predicted)
    homes = []
    for labels, numbers in ((truth, iou.truth), (predicted, iou.predicted)):
        found, first = np.unique(labels, return_index=True)
        homes.append(part.ravel()[first[np.searchsorted(found, numbers)]])
    num_parts = int(part.max()) + 1
    counts = np.zeros((num_parts, len(IOU_THRESHOLDS), 3), np.int64)
    for place, threshold in enumerate(IOU_THRESHOLDS):
        rows, columns = match(iou.values, threshold=threshold)
        kinds = homes[0][rows], np.delete(homes[0], rows), np.delete(homes[1], columns)
        for kind, each in enumerate(kinds):
            counts[:, place, kind] = np.bincount(each, minlength=num_parts)
    return counts


def panoptic_scores(overlaps: Iterable[IouMatrix]) -> PanopticScores:
    """Compute the panoptic quality over the objects of all images.

    Examples
    --------
    >>> table = contingency(np.array([1, 1, 1, 0, 2]), np.array([7, 7, 0, 0, 0]))
    >>> panoptic_scores([iou_matrix(table)])
    PanopticScores(segmentation=0.6666666666666666, recognition=0.6666666666666666)
    """
    matched: list[float] = []
    num_objects = 0
    for iou in overlaps:
        matched += iou.values[match(iou.values, threshold=_ABOVE_HALF)].tolist()
        num_objects += sum(iou.values.shape)
    if not num_objects:
        return PanopticScores(segmentation=1.0, recognition=1.0)
    return PanopticScores(
        segmentation=_mean(matched) if matched else 0.0,
        recognition=2 * len(matched) / num_objects,
    )


def _agreement(num_true: int, num_predicted: int) -> float:
    more = max(num_true, num_predicted)
    return min(num_true, num_predicted) / more if more else 1.0


def _overlap(truth: np.ndarray, predicted: np.ndarray) -> IouMatrix:
    valid = truth != IGNORED
    unseen = _mostly_ignored(valid, predicted)
    seen = np.where(np.isin(predicted, unseen), 0, predicted) if unseen.size else predicted
    return iou_matrix(contingency(truth, seen, valid=valid))


def _mostly_ignored(valid: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the predicted labels that lie more than half in ignored pixels."""
    table = contingency(valid, predicted)
    labels, inverse = np.unique(table.predicted, return_inverse=True)
    num_all = np.bincount(inverse, weights=table.num_pixels)
    num_ignored = np.bincount(inverse, weights=np.where(table.truth == 0, table.num_pixels, 0))
    return labels[2 * num_ignored > num_all]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _total(counts: list[MatchCounts]) -> MatchCounts:
    return MatchCounts(
        num_matched=sum(each.num_matched for each in counts),
        num_missed=sum(each.num_missed for each in counts),
        num_extra=sum(each.num_extra for each in counts),
    )

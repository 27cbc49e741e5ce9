"""The measures of the Cell Tracking Challenge: SEG, DET, TRA, LNK.

Definitions: Maška et al., Bioinformatics 30 (2014) 1609; Matula et al., PLoS ONE 10 (2015)
e0144959 (acyclic oriented graphs); https://celltrackingchallenge.net/evaluation-methodology/.

A reference object R is matched by the result object S that covers more than half of it,
|R∩S| > 0.5·|R|; there is at most one, but one S may match several R.
"""

from dataclasses import dataclass

import numpy as np

from ulens.errors import DataError
from ulens.metrics.ctc_graph import LinkCounts, MatchedFrame, Pairs, compare_links, match_frames
from ulens.tracking.lineage import Lineage

_SPLIT, _MISSED, _EXTRA = 5.0, 10.0, 1.0
_REDUNDANT_LINK, _MISSING_LINK, _WRONG_LINK = 1.0, 1.5, 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SegScores:
    """Overlap with the reference objects.

    Parameters
    ----------
    seg : mean Jaccard index over all reference objects, 0 for those without match
    num_objects, num_matched : reference objects, and those with a match
    per_pair : the same mean for each pair of images; None where the reference is empty
    num_outside_field : result objects that were dropped, outside the field of interest
    """

    seg: float
    num_objects: int
    num_matched: int
    per_pair: tuple[float | None, ...]
    num_outside_field: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionScores:
    """What it takes to correct the objects.

    Parameters
    ----------
    det : 1 - cost of correcting them / cost of creating them
    num_objects : reference objects, the vertices of the reference graph
    num_splits : NS, cuts needed where one result object matches several reference objects
    num_missed : FN, reference objects without match
    num_extra : FP, result objects that match none
    num_outside_field : result objects that were dropped, outside the field of interest
    """

    det: float
    num_objects: int
    num_splits: int
    num_missed: int
    num_extra: int
    num_outside_field: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingScores:
    """What it takes to correct objects and links.

    Parameters
    ----------
    tra : 1 - cost of correcting objects and links / cost of creating them
    lnk : the same for links alone; None where the reference has none
    detection, links : the corrections of objects and of links
    """

    tra: float
    lnk: float | None
    detection: DetectionScores
    links: LinkCounts


def seg_scores(pairs: Pairs, *, field_of_interest_px: int = 0) -> SegScores:
    """Compute SEG over the annotated images.

    Parameters
    ----------
    pairs : (reference, result) label images, integers, (Y, X) or (Z, Y, X), 0 = background;
        taken one by one, so they may be read as they are needed
    field_of_interest_px : width of the border where result objects are dropped (px), see
        `ulens.tracking.field_of_interest`

    Raises
    ------
    DataError : no reference objects at all
    ShapeError, LabelError : as `ulens.labels.overlap.contingency`

    Examples
    --------
    >>> seg_scores([(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 0, 0]]))]).seg
    0.3333333333333333
    """
    sums, num_objects, num_matched, num_outside_field = [], [], 0, 0
    for frame in match_frames(pairs, field_of_interest_px=field_of_interest_px):
        sums.append(float(frame.jaccard.sum()))
        num_objects.append(frame.reference.size)
        num_matched += frame.jaccard.size
        num_outside_field += frame.num_outside_field
    _require_objects(sum(num_objects), len(num_objects))
    per_pair = (total / num if num else None for total, num in zip(sums, num_objects, strict=True))
    return SegScores(
        seg=sum(sums) / sum(num_objects),
        num_objects=sum(num_objects),
        num_matched=num_matched,
        per_pair=tuple(per_pair),
        num_outside_field=num_outside_field,
    )


def detection_scores(pairs: Pairs, *, field_of_interest_px: int = 0) -> DetectionScores:
    """Compute DET over consecutive frames or any others.

    Parameters, exceptions as `seg_scores`.

    Examples
    --------
    >>> detection_scores([(np.array([[1, 2, 0]]), np.array([[1, 1, 3]]))]).det
    0.7
    """
    return _detection(list(match_frames(pairs, field_of_interest_px=field_of_interest_px)))


def tracking_scores(
    pairs: Pairs,
    reference: Lineage,
    result: Lineage,
    *,
    first_frame: int = 0,
    field_of_interest_px: int = 0,
) -> TrackingScores:
    """Compute DET, TRA and LNK over consecutive frames.

    Parameters
    ----------
    pairs : (reference, result) label images of all frames in order, as in `seg_scores`
    reference, result : the tracks in these images
    first_frame : number of the first pair; links from earlier frames do not count
    field_of_interest_px : as in `seg_scores`

    Raises
    ------
    DataError, ShapeError, LabelError : as `seg_scores`

    Notes
    -----
    Objects of one label in consecutive frames are linked; lineages add the links from parent
    to child. The images are let go as soon as they are matched: a few numbers per object are kept.
    """
    frames = list(match_frames(pairs, field_of_interest_px=field_of_interest_px))
    detection = _detection(frames)
    links = compare_links(frames, reference, result, first_frame=first_frame)
    creating_links = _MISSING_LINK * links.num_links
    creating = _MISSED * detection.num_objects + creating_links
    cost = _object_cost(detection.num_splits, detection.num_missed, detection.num_extra)
    return TrackingScores(
        tra=_score(cost + _link_cost(links), creating),
        lnk=_score(_link_cost(links), creating_links) if links.num_links else None,
        detection=detection,
        links=links,
    )


def op_csb(seg: float, det: float) -> float:
    """Return the overall performance in the Cell Segmentation Benchmark."""
    return (seg + det) / 2


def op_ctb(seg: float, tra: float) -> float:
    """Return the overall performance in the Cell Tracking Benchmark."""
    return (seg + tra) / 2


def _require_objects(num_objects: int, num_images: int) -> None:
    if not num_objects:
        raise DataError(
            f"no reference objects in {num_images} images; the measures of the Cell Tracking "
            "Challenge need at least one; is this the right reference?"
        )


def _detection(frames: list[MatchedFrame]) -> DetectionScores:
    num_objects = sum(frame.reference.size for frame in frames)
    _require_objects(num_objects, len(frames))
    num_matched = sum(frame.matched_reference.size for frame in frames)
    num_used = sum(np.unique(frame.matched_result).size for frame in frames)
    num_splits, num_missed = num_matched - num_used, num_objects - num_matched
    num_extra = sum(frame.result.size for frame in frames) - num_used
    return DetectionScores(
        det=_score(_object_cost(num_splits, num_missed, num_extra), _MISSED * num_objects),
        num_objects=num_objects,
        num_splits=num_splits,
        num_missed=num_missed,
        num_extra=num_extra,
        num_outside_field=sum(frame.num_outside_field for frame in frames),
    )


def _object_cost(num_splits: int, num_missed: int, num_extra: int) -> float:
    return _SPLIT * num_splits + _MISSED * num_missed + _EXTRA * num_extra


def _link_cost(links: LinkCounts) -> float:
    return (
        _REDUNDANT_LINK * links.num_redundant
        + _MISSING_LINK * links.num_missing
        + _WRONG_LINK * links.num_wrong
    )


def _score(cost: float, cost_of_creating: float) -> float:
    return 1 - min(cost, cost_of_creating) / cost_of_creating

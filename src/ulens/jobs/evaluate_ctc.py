"""Score a result folder of the Cell Tracking Challenge: the measure ``ctc`` of evaluation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.annotated.ctc import (
    Annotation,
    Result,
    Truth,
    find_result,
    find_truth,
    read_labels,
    read_lineage,
)
from ulens.annotated.selection import parse_frames
from ulens.errors import DataError, FileError, LabelError, ShapeError
from ulens.image import name_shape
from ulens.io.files import name_some
from ulens.io.frames import raise_all
from ulens.metrics.ctc import (
    DetectionScores,
    TrackingScores,
    detection_scores,
    op_csb,
    op_ctb,
    seg_scores,
    tracking_scores,
)
from ulens.tracking.field_of_interest import FIELD_OF_INTEREST_PX
from ulens.tracking.lineage import Lineage, check_result, name_frames


@dataclass(frozen=True, kw_only=True, slots=True)
class CtcEvaluation:
    """What a result scores.

    Parameters
    ----------
    num_frames : compared frames
    scores : SEG, DET, TRA, LNK, OP_CSB, OP_CTB as far as the folders allow, and counts
    per_image : SEG by file of the truth
    notes : what was left out and why
    """

    num_frames: int
    scores: dict[str, float]
    per_image: dict[str, dict[str, float]]
    notes: list[str]


def is_ctc_truth(folder: Path) -> bool:
    """Tell whether a folder is one such as 01_GT or 01_ST."""
    truth = find_truth(folder)
    return bool(truth.segmentation or truth.markers)


def evaluate_ctc(
    truth: Path, predicted: Path, *, frames: str | None, field_of_interest_px: int | None = None
) -> CtcEvaluation:
    """Score a result as the Cell Tracking Challenge does.

    Parameters
    ----------
    truth : a folder such as 01_GT or 01_ST
    predicted : a folder such as 01_RES
    frames : frames to compare, such as ``0-9,12``; None for all
    field_of_interest_px : border within which objects of the result do not count; None for that of
        the data set that the folder of the truth is called as

    Raises
    ------
    FileError, DataError : no masks, or none of a frame that the truth annotates
    ShapeError : a truth and its mask differ in size (both files are named)
    DataError : several files are bad (all are named)
    LabelError : label values or the truth's tracks make no sense
    SettingError : `frames` that are not there
    """
    wanted = _select(truth, find_truth(truth), frames)
    result = _find_masks(predicted, wanted, truth)
    data_set = truth.absolute().parent.name
    border_px = field_of_interest_px
    if border_px is None:
        border_px = FIELD_OF_INTEREST_PX.get(data_set, 0)
    notes: list[str] = []
    try:
        scores, per_image = _score(wanted, result, truth, predicted, border_px, notes)
    except (DataError, ShapeError):
        _check_all(wanted, result)
        raise
    if num_outside := int(scores.pop("num_outside_field")):
        by_name = f" of {data_set}" if field_of_interest_px is None else ""
        notes.append(
            f"{num_outside} objects of the result lie outside the field of interest{by_name}, "
            f"wholly within {border_px} px of the border, and were left out; leave them out of "
            "what you submit too"
        )
        if by_name:
            notes.append(
                "the field of interest was chosen by the folder's name; field_of_interest_px "
                "(--field-of-interest-px) overrules it"
            )
    return CtcEvaluation(
        num_frames=len(_frames(wanted)),
        scores=_in_order(scores),
        per_image=per_image,
        notes=notes,
    )


def _frames(truth: Truth) -> set[int]:
    return {each.frame for each in truth.segmentation} | set(truth.markers)


def _select(folder: Path, truth: Truth, frames: str | None) -> Truth:
    annotated = sorted(_frames(truth))
    if frames is None:
        return truth
    chosen = set(parse_frames(frames, annotated[-1] + 1))
    if not chosen & set(annotated):
        raise DataError(
            f"frames {frames!r} select none that {folder} annotates; choose of "
            f"{name_frames(annotated)}"
        )
    return Truth(
        segmentation=[each for each in truth.segmentation if each.frame in chosen],
        markers={frame: path for frame, path in truth.markers.items() if frame in chosen},
        lineage=truth.lineage,
    )


def _find_masks(folder: Path, wanted: Truth, truth: Path) -> Result:
    """Return the result, which has a mask of every wanted frame."""
    result = find_result(folder)
    if not result.masks:
        held = name_some(sorted(folder.iterdir())) if folder.is_dir() else "nothing"
        raise FileError(
            f"{folder} has no masks; {truth} is truth of the Cell Tracking Challenge, which needs "
            f"files named mask000.tif and so on; the folder holds {held}"
        )
    without = sorted(_frames(wanted) - set(result.masks))
    if without:
        raise DataError(
            f"{folder} has no mask of {name_frames(without)}, which {truth} annotates; write a "
            "mask for every frame, or choose others with frames"
        )
    return result


def _read_pair(each: Annotation, result: Result) -> tuple[np.ndarray, np.ndarray]:
    mask_file = result.masks[each.frame]
    reference, mask = read_labels(each.path), read_labels(mask_file)
    if each.z is not None and mask.ndim == 3 and each.z < len(mask):
        mask = mask[each.z]
    if reference.shape != mask.shape:
        raise ShapeError(
            f"{each.path} is {name_shape(reference.shape)}, {mask_file} {name_shape(mask.shape)}; "
            "both need the same size"
        )
    return reference, mask


def _check_all(wanted: Truth, result: Result) -> None:
    """Raise what is wrong with any pair of files: a score without one would be another score."""
    annotations = [*wanted.segmentation, *_markers(wanted)]
    errors: dict[str, DataError | ShapeError] = {}
    for each in annotations:
        try:
            _read_pair(each, result)
        except (DataError, ShapeError) as error:
            errors.setdefault(str(error), error)
    raise_all(
        list(errors.values()),
        f"problems in the files of {len(annotations)} annotations",
        "a score without a frame would be another score; mend what is bad, or choose other frames",
    )


def _markers(wanted: Truth) -> list[Annotation]:
    return [Annotation(frame, None, path) for frame, path in wanted.markers.items()]


def _score(
    wanted: Truth, result: Result, truth: Path, predicted: Path, border_px: int, notes: list[str]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return what the truth allows, over all annotations and by file; say what it does not."""
    scores: dict[str, float] = {}
    per_image: dict[str, dict[str, float]] = {}
    if wanted.segmentation:
        scores, per_image = _score_segmentation(wanted, result, border_px)
    else:
        notes.append(f"SEG not computed: {truth} has no SEG/man_seg*.tif of these frames")
    if wanted.markers:
        scores |= _score_markers(wanted, result, predicted, border_px, notes)
    else:
        notes.append(
            f"DET, TRA, LNK not computed: {truth} has no TRA/man_track*.tif of these frames"
        )
    return scores, per_image


def _score_segmentation(
    wanted: Truth, result: Result, border_px: int
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Return SEG, over all annotations and by file."""
    pairs = (_read_pair(each, result) for each in wanted.segmentation)
    found = seg_scores(pairs, field_of_interest_px=border_px)
    scores = {
        "SEG": found.seg,
        "num_seg_objects": found.num_objects,
        "num_outside_field": found.num_outside_field,
    }
    by_file = zip(wanted.segmentation, found.per_pair, strict=True)
    per_image = {each.path.stem: {} if seg is None else {"SEG": seg} for each, seg in by_file}
    return scores, per_image


def _score_markers(
    wanted: Truth, result: Result, predicted: Path, border_px: int, notes: list[str]
) -> dict[str, float]:
    """Return DET, and TRA and LNK or a note why not."""
    pairs = (_read_pair(each, result) for each in _markers(wanted))
    tracks = _read_tracks(wanted, result, predicted)
    if isinstance(tracks, str):
        notes.append(f"TRA, LNK not computed: {tracks}")
        return _name_detection(detection_scores(pairs, field_of_interest_px=border_px))
    found = tracking_scores(
        pairs, *tracks, first_frame=min(wanted.markers), field_of_interest_px=border_px
    )
    if found.lnk is None:
        notes.append("LNK not computed: the truth links no objects of these frames")
    return _name_tracking(found)


def _read_tracks(wanted: Truth, result: Result, predicted: Path) -> tuple[Lineage, Lineage] | str:
    """Return the tracks of truth and result, or why they cannot be compared."""
    if wanted.lineage is None:
        return "the truth has no TRA/man_track.txt"
    if result.lineage is None:
        return f"{predicted} has no res_track.txt"
    if max(wanted.markers) - min(wanted.markers) + 1 != len(wanted.markers):
        return "the frames are not consecutive"
    try:
        tracks = read_lineage(result.lineage)
    except LabelError as error:
        return str(error)
    masks = ((frame, read_labels(path)) for frame, path in result.masks.items())
    problems = check_result(masks, tracks)
    if problems:
        shown = 3
        more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
        return f"{result.lineage} and the masks disagree: {'; '.join(problems[:shown])}{more}"
    return read_lineage(wanted.lineage), tracks


def _name_detection(found: DetectionScores) -> dict[str, float]:
    return {
        "DET": found.det,
        "num_objects": found.num_objects,
        "NS": found.num_splits,
        "FN": found.num_missed,
        "FP": found.num_extra,
        "num_outside_field": found.num_outside_field,
    }


def _name_tracking(found: TrackingScores) -> dict[str, float]:
    return {
        **_name_detection(found.detection),
        "TRA": found.tra,
        **({} if found.lnk is None else {"LNK": found.lnk}),
        "num_links": found.links.num_links,
        "ED": found.links.num_redundant,
        "EA": found.links.num_missing,
        "EC": found.links.num_wrong,
    }


def _in_order(scores: dict[str, float]) -> dict[str, float]:
    """Add the overall performances; measures come first, then counts."""
    if "SEG" in scores and "DET" in scores:
        scores["OP_CSB"] = op_csb(scores["SEG"], scores["DET"])
    if "SEG" in scores and "TRA" in scores:
        scores["OP_CTB"] = op_ctb(scores["SEG"], scores["TRA"])
    measures = [each for each in ("SEG", "DET", "TRA", "LNK", "OP_CSB", "OP_CTB") if each in scores]
    return {name: float(scores[name]) for name in dict.fromkeys([*measures, *scores])}

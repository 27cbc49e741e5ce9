"""Score predictions against the truth: the job behind ``ulens evaluate``."""

import json
from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Annotated as With
from typing import Any, get_args

from cyclopts import Parameter

from ulens.annotated.compared_values import Reading, read_values
from ulens.annotated.comparisons import Comparison, read_comparisons
from ulens.errors import DataError, SettingError
from ulens.io.atomic import write_file
from ulens.io.axes import check_axes
from ulens.io.writable import check_parent, check_writable
from ulens.jobs.evaluate_ctc import evaluate_ctc, is_ctc_truth
from ulens.jobs.options import FROM_PYTHON_ALONE
from ulens.labels.meaning import LabelsAre
from ulens.metrics.by_measure import Measure, Scores, fitting_measures, score_by

MEASURES = Parameter(negative="", consume_multiple=True)


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """What a user asks of an evaluation; `ulens evaluate` has an option for each.

    Parameters
    ----------
    truth
        label file, stack, or folder; 01_GT of the Cell Tracking Challenge
    predicted
        what ulens segment wrote, or any label images of the same names; with
        ``<name>_probabilities.tif`` beside one, its class probabilities count
    measures
        isbi2012, semantic, instances or ctc; all that the folders allow without it
    frames
        which images of the truth to score, counted from 0, such as 15-19
    ignore
        value in the truth of pixels that are not annotated
    labels_are
        how to read truth and predictions, where ulens cannot tell or reads them wrongly
    axes
        what the axes of truth and prediction are, such as ZYX, where the files do not say or say
        so wrongly
    field_of_interest_px
        of the Cell Tracking Challenge: objects of the result that lie wholly within this many
        pixels of the border do not count; without it, the name of the data set's folder decides
    json
        file for the scores; `ulens evaluate --json` writes them with what it tells besides
    """

    truth: Path
    predicted: Path
    _: KW_ONLY
    measures: With[Sequence[Measure] | None, MEASURES] = None
    frames: str | None = None
    ignore: int | None = None
    labels_are: LabelsAre | None = None
    axes: str | None = None
    field_of_interest_px: int | None = None
    json: With[Path | None, FROM_PYTHON_ALONE] = None

    def __post_init__(self) -> None:
        if self.axes is not None:
            check_axes(self.axes)
        known = get_args(Measure)
        for measure in self.measures or ():
            if measure not in known:
                raise SettingError(f"measure {measure!r} is unknown; choose of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a prediction scores.

    Parameters
    ----------
    num_images : compared 2-D images
    scores : by measure and name, over all images
    per_image : by image, measure and name, for the measures that have a value for one image;
        those of isbi2012 hold at the thresholds of the whole stack
    notes : how the files were read, what was left out and which measures they do not allow
    errors : why a file could not be compared, for each; the scores are of all others
    """

    num_images: int
    scores: dict[str, Scores]
    per_image: dict[str, dict[str, Scores]]
    notes: list[str]
    errors: list[str]

    def to_json(self) -> str:
        """Return all fields as a JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def evaluate(truth: str | Path, predicted: str | Path, **options: Any) -> Evaluation:
    """Compare predictions with label images by the measures they allow.

    Parameters
    ----------
    truth, predicted, options : as in `EvaluateSettings`

    Raises
    ------
    UlensError : as `run_evaluation`
    """
    return run_evaluation(EvaluateSettings(Path(truth), Path(predicted), **options))


def run_evaluation(settings: EvaluateSettings) -> Evaluation:
    """Compare predictions with label images by the measures they allow.

    Raises
    ------
    PairingError, FileError, DataError : files that are missing, unreadable or do not belong
        together; a measure that was asked for and that they do not allow
    ShapeError : a truth and its prediction differ in size (both files are named)
    LabelError : label values make no sense
    SettingError : an unknown measure, or `frames` that are not there
    OutputError : the file for the scores may not be written
    """
    if settings.json is not None:
        check_writable(settings.json, "file of scores", replaces=None)
        check_parent(settings.json, "the scores")
    is_ctc = is_ctc_truth(settings.truth)
    evaluation = _evaluate_ctc(settings) if is_ctc else _evaluate_images(settings)
    if settings.json is not None:
        # names that the system could not decode have no letters in UTF-8, but JSON's \u for them
        write_file(settings.json, evaluation.to_json().encode(errors="backslashreplace"))
    return evaluation


def _evaluate_images(settings: EvaluateSettings) -> Evaluation:
    ignore, asked = settings.ignore, settings.measures
    if settings.field_of_interest_px is not None:
        raise SettingError(
            f"field_of_interest_px is {settings.field_of_interest_px}, but {settings.truth} is no "
            "folder of the Cell Tracking Challenge such as 01_GT; leave it out"
        )
    if asked is not None and "ctc" in asked:
        raise DataError(
            "ctc cannot be computed: the truth must be a folder such as 01_GT that holds SEG or TRA"
        )
    found = read_comparisons(
        settings.truth,
        settings.predicted,
        frames=settings.frames,
        ignore=ignore,
        axes=settings.axes,
    )
    reading, compared = read_values(found.compared, settings.labels_are, ignore)
    notes = [*found.notes, *reading.notes]
    chosen = _choose(asked, _objections(compared, reading, asked), notes)
    scores: dict[str, Scores] = {}
    per_image: dict[str, dict[str, Scores]] = {each.name: {} for each in compared}
    for measure in chosen:
        scores[measure], by_image = score_by(measure, compared, reading, notes)
        for each, own_scores in zip(compared, by_image, strict=True):
            per_image[each.name][measure] = own_scores
    return Evaluation(
        num_images=len(compared),
        scores=scores,
        per_image=per_image,
        notes=notes,
        errors=found.errors,
    )


def _evaluate_ctc(settings: EvaluateSettings) -> Evaluation:
    truth = settings.truth
    others = [measure for measure in settings.measures or () if measure != "ctc"]
    if others:
        raise DataError(
            f"{', '.join(others)} cannot be computed: {truth} is a folder of the Cell Tracking "
            f"Challenge; ask for ctc, or give one of its folders, such as {truth / 'SEG'}"
        )
    if settings.ignore is not None:
        raise SettingError(
            f"ignore is {settings.ignore}, but in the truth of the Cell Tracking Challenge every "
            "value is an object; leave it out"
        )
    if settings.axes is not None:
        raise SettingError(
            f"axes are {settings.axes!r}, but masks of the Cell Tracking Challenge are planes or "
            "stacks without channels; leave it out"
        )
    found = evaluate_ctc(
        truth,
        settings.predicted,
        frames=settings.frames,
        field_of_interest_px=settings.field_of_interest_px,
    )
    return Evaluation(
        num_images=found.num_frames,
        scores={"ctc": found.scores},
        per_image={name: {"ctc": scores} for name, scores in found.per_image.items()},
        notes=found.notes,
        errors=[],
    )


def _objections(
    compared: list[Comparison], reading: Reading, asked: Sequence[Measure] | None
) -> dict[str, str]:
    """Say for each measure that is not to be computed why not."""
    fitting = fitting_measures(reading.labels_are, len(reading.values))
    objections = {}
    without_cells = [
        each.name for each in compared if not (each.truth == len(reading.values) - 1).any()
    ]
    if "isbi2012" not in fitting:
        objections["isbi2012"] = "the truth must hold two classes, membrane and cell interior"
    elif without_cells:
        objections["isbi2012"] = f"the truth of {', '.join(without_cells)} holds no cell interior"
    if asked is None and "semantic" not in fitting:
        objections["semantic"] = (
            "the truth holds instances; ask for it to compare foreground with background"
        )
    if asked is None and "instances" not in fitting:
        objections["instances"] = (
            "the truth holds classes; ask for it to compare their connected regions"
        )
    return objections


def _choose(
    asked: Sequence[Measure] | None, objections: dict[str, str], notes: list[str]
) -> list[Measure]:
    """Return the measures to compute; note those that the files do not allow."""
    for measure in asked or ():
        if measure in objections:
            raise DataError(f"{measure} cannot be computed: {objections[measure]}")
    if asked is None:
        notes += [f"{measure} not computed: {why}" for measure, why in objections.items()]
    known: tuple[Measure, ...] = get_args(Measure)
    wanted = [each for each in known if each != "ctc"] if asked is None else asked
    return [each for each in known if each in wanted and each not in objections]

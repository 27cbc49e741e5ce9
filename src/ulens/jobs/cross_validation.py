"""The trainings of a cross-validation: what they hold out, and the score that comes of them."""

import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ulens.annotated.folds import split_folds, undivided
from ulens.annotated.holdout import HeldOut, Split, leave_gap, split_as
from ulens.annotated.samples import Annotated, hash_samples
from ulens.description import check_provenance
from ulens.encodings.table import check_decoding
from ulens.errors import SettingError, TrainingError
from ulens.io.writable import make_folder
from ulens.jobs.planning import TrainSettings, balance_classes
from ulens.jobs.steps import Message, TrainEvent, take_steps
from ulens.planning.plan import Plan, read_plan
from ulens.record import read_json, read_record
from ulens.training.model_folder import HELD_OUT, PLAN, STATE
from ulens.training.scored import Scored, load_scored, score_decoded
from ulens.training.session import Session

FOLDS = Path("training") / "folds"
RECORD = FOLDS / "folds.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """The folds of a training.

    Parameters
    ----------
    splits : what each of them trains on and holds out
    start_from : model folder that each of them starts from, or None
    decoding : where the search for the thresholds of the model that is kept starts
    """

    splits: list[Split]
    start_from: Path | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)

    @property
    def undivided(self) -> Split:
        """All annotations, for the model that is kept."""
        return undivided(self.splits)

    def with_gap(self, reach_px: tuple[int, int], labels_are: str) -> "Folds":
        """Return them with a gap beside held-out blocks; see `leave_gap`."""
        splits = [leave_gap(split, reach_px, labels_are=labels_are) for split in self.splits]
        return replace(self, splits=splits)

    def begin(self, session: Session, start_from: Path | None) -> "Folds":
        """Return them for a training that begins; its folder then holds what resuming needs.

        Parameters
        ----------
        session : of the model that is kept
        start_from : model folder that it starts from, or None
        """
        record = _Record(
            data_sha256=session.samples.data_sha256,
            start_from=None if start_from is None else str(start_from.absolute()),
            decoding=dict(session.decoding),
            folds=tuple(split.chosen.to_json() for split in self.splits),
        )
        make_folder(session.folder.path / FOLDS)
        session.folder.write({str(RECORD): json.dumps(asdict(record), indent=2).encode()})
        return replace(self, start_from=start_from, decoding=session.decoding)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """What resuming needs of the folds; `folds` are of `HeldOut.to_json`."""

    data_sha256: str
    start_from: str | None
    decoding: dict[str, Any]
    folds: tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        for entries in self.folds:
            check_provenance(entries)


def make_folds(num: int, annotated: Annotated, seen: list[str] | None) -> Folds:
    """Divide annotations into folds; see `split_folds`."""
    return Folds(splits=split_folds(annotated.samples, num, annotated.labels_are, seen=seen))


def has_folds(folder: Path) -> bool:
    """Whether the training that a folder holds was begun with folds."""
    return (folder / RECORD).is_file()


def resume_folds(settings: TrainSettings, annotated: Annotated) -> Folds | None:
    """Return the folds of the training that is resumed; None where it has none.

    Raises
    ------
    SettingError : another number of folds is asked for
    TrainingError : the training was on other images or labels
    """
    asked, record = settings.folds, _read_folds(settings.out)
    num = len(record.folds) if record else 0
    if asked is not None and asked != num:
        begun = f"in {num} folds" if num else "without folds"
        raise SettingError(
            f"folds is {asked}, the training in {settings.out} was begun {begun}; leave folds out, "
            "or start a new training"
        )
    if record is None:
        return None
    if record.data_sha256 != hash_samples(annotated.samples):
        raise TrainingError(
            f"the training in {settings.out} was on other images or labels; resume it with those "
            "it was started with, or start a new one with --overwrite"
        )
    chosen = [HeldOut.from_json(entry) for entry in record.folds]
    start = record.start_from
    return Folds(
        splits=[split_as(annotated.samples, e, labels_are=annotated.labels_are) for e in chosen],
        start_from=None if start is None else Path(start),
        decoding=record.decoding,
    )


def _read_folds(folder: Path) -> _Record | None:
    """Return the folds that the training in a folder was begun with; None = with none."""
    if not has_folds(folder):
        return None
    path = folder / RECORD
    try:
        return read_record(_Record, read_json(path.read_bytes(), path.name), path.name)
    except (OSError, SettingError) as error:
        raise TrainingError(f"{path} is damaged ({error}); train anew, without --resume") from error


def forget_folds(folder: Path) -> None:
    """Remove the folds of a training whose model is being replaced."""
    shutil.rmtree(folder / FOLDS, ignore_errors=True)


def cross_validate(session: Session, folds: Folds, stop: threading.Event) -> Iterator[TrainEvent]:
    """Train once without each fold, as the model of the session was, and score that.

    The session takes the score: of the folds that are done, where the training is stopped.
    """
    check_decoding(session.plan.encoding.name, folds.decoding)
    done: list[Scored] = []
    num, labels_are = len(folds.splits), session.samples.annotated.labels_are
    for number, split in enumerate(folds.splits, 1):
        folder = session.folder.path / FOLDS / str(number)
        plan = _plan_without(split, session.plan, labels_are)
        if not _is_done(folder, plan) and not stop.is_set():
            yield Message(f"fold {number} of {num}: {split.description}")
            make_folder(folder)
            fold = Session(
                folder, session.samples.annotated, split, plan, device=session.trainer.device,
                start_from=folds.start_from, pace=replace(session.trainer.pace, scored_at=1.0),
            )  # fmt: skip
            yield from _train_and_score(fold, stop)
        if _is_done(folder, plan):
            done.append(load_scored(folder / HELD_OUT, split.held_out, plan.encoding.name))
    if len(done) < num:
        yield Message(f"{len(done)} of {num} folds are done; --resume does the others")
    if done:
        session.take_score(_join(session, folds, done))


def _is_done(folder: Path, plan: Plan) -> bool:
    """Whether a fold was trained and scored, for as long as the plan says."""
    is_scored = (folder / HELD_OUT).is_file()
    return is_scored and read_plan(folder / PLAN).to_json() == plan.to_json()


def _train_and_score(fold: Session, stop: threading.Event) -> Iterator[TrainEvent]:
    (fold.folder.path / HELD_OUT).unlink(missing_ok=True)  # of a shorter training
    if (fold.folder.path / STATE).is_file():
        fold.resume()
    else:
        fold.start(planning_seconds=0.0)
    yield from take_steps(fold, stop)
    if not stop.is_set():
        yield fold.score_held_out()


def _plan_without(split: Split, plan: Plan, labels_are: str) -> Plan:
    """Return the plan of a fold: where it balances classes, by what the fold trains on."""
    weights = plan.encoding.class_weights
    if len(set(weights)) < 2 or weights != balance_classes(split.whole, len(weights), labels_are):
        return plan
    weights = balance_classes(split.training, len(weights), labels_are)
    return replace(plan, encoding=replace(plan.encoding, class_weights=weights))


def _join(session: Session, folds: Folds, done: list[Scored]) -> Scored:
    """Return the score of all that was held out, each image by the fold that held it out."""
    return score_decoded(
        [prediction for scored in done for prediction in scored.predictions],
        session.plan.encoding.name,
        folds.decoding,
        session.trainer.clock.step,
        folds=[_describe(scored) for scored in done],
    )


def _describe(scored: Scored) -> Mapping[str, Any]:
    names = [prediction.sample.name for prediction in scored.predictions]
    return {"held_out": names, "scores": scored.scores}

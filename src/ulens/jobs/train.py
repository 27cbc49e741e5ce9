"""The story of a training: read, plan, train, keep, score, report."""

import threading
import time as clock
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch

from ulens.annotated.holdout import HeldOut, Split, leave_gap, split_as, split_samples
from ulens.annotated.samples import Annotated, hash_samples
from ulens.bundle import ModelBundle, find_model, load_bundle
from ulens.errors import SettingError, Stopped, TrainingError
from ulens.io.lock import check_free, hold
from ulens.io.reading import as_texts
from ulens.io.writable import check_writable
from ulens.jobs.cross_validation import (
    Folds,
    cross_validate,
    forget_folds,
    has_folds,
    make_folds,
    resume_folds,
)
from ulens.jobs.inspect import check_contrast, describe_read, read_asked
from ulens.jobs.notebook import notebook_progress
from ulens.jobs.planning import NOISE, TrainSettings, choose_plan, choose_start, describe_plan
from ulens.jobs.steps import Message, Trained, TrainEvent, score_if_due, take_steps
from ulens.labels.meaning import LabelsAre
from ulens.planning.durations import parse_duration
from ulens.planning.fingerprint import Fingerprint, take_fingerprint
from ulens.planning.plan import Plan, Recipe
from ulens.predict.engines import choose_device
from ulens.predict.model import Model
from ulens.training.begin import images_seen, reach_px
from ulens.training.clock import USUAL, Pace
from ulens.training.model_folder import (
    PLAN,
    REPORT,
    STATE,
    ModelFolder,
    is_leftover,
    is_ours,
    read_begun,
    read_log,
)
from ulens.training.need import check_training_memory
from ulens.training.ranks import Ranks, join_ranks
from ulens.training.session import Session
from ulens.training.state import load_record

WORTH_INT8_SECONDS = 300.0
"""Preparing a model for 8-bit integers takes up to half a minute, too long for a short training."""


def run_training(
    settings: TrainSettings,
    stop: threading.Event | None = None,
    *,
    pace: Pace = USUAL,
    between: Callable[[Session], None] | None = None,
) -> Iterator[TrainEvent]:
    """Train a model, event by event; the folder `settings.out` is usable from the first save on.

    Parameters
    ----------
    stop : once it is set, the training ends after the current step and keeps what it has
    pace : how often it is scored and saved
    between : as in `take_steps`

    Yields
    ------
    how the data were read, messages, a StepLog per step, validations, and at last `Trained`

    Raises
    ------
    Stopped : `stop` was set before the first step
    UlensError : with what to do
    """
    started, stop = clock.perf_counter(), stop or threading.Event()
    ranks, device = join_ranks(choose_device(settings.device))
    if ranks.num > 1:
        _refuse_folds(settings)
    if ranks.rank > 0:
        _train_along(settings, ranks, device)
        return
    _check_folder(settings)
    with hold(settings.out) as taken_over:
        if taken_over:
            yield Message(taken_over)
        yield from _train_alone(settings, stop, ranks, device, pace, started, between)


def _train_alone(
    settings: TrainSettings,
    stop: threading.Event,
    ranks: Ranks,
    device: torch.device,
    pace: Pace,
    started: float,
    between: Callable[[Session], None] | None,
) -> Iterator[TrainEvent]:
    """Do all that `run_training` tells of, while no other process uses the folder."""
    annotated = read_asked(settings)
    read = describe_read(annotated, settings.images)
    yield read
    for line in read.lines:
        yield Message(line)
    check_contrast(annotated)
    split, folds = _split(settings, annotated)
    fingerprint = take_fingerprint(annotated)
    is_chosen = settings.start_from is None
    settings = replace(settings, start_from=choose_start(settings, fingerprint))
    if is_chosen and settings.start_from is not None:
        yield Message(
            "starting from the model that comes with ulens, which has seen cells of many kinds; "
            "--from noise starts from random weights"
        )
    plan = ranks.from_first(choose_plan(settings, fingerprint, annotated, split, device))
    check_training_memory(plan, fingerprint.num_channels, device)
    split, folds = _leave_gap(split, folds, settings, plan, annotated)
    yield Message(split.description)
    if split.chosen.not_independent:
        yield Message(f"the score will not be independent: {split.chosen.not_independent}")
    yield Message(describe_plan(plan, device))
    if folds is not None:
        yield Message(f"  {len(folds.splits) + 1} trainings as long: the model's, and each fold's")
    if stop.is_set():
        raise Stopped("the training was stopped before its first step; nothing was written")
    if settings.plan_only:
        path = settings.out / PLAN
        ModelFolder(settings.out).write({PLAN: plan.to_bytes()})
        yield Message(f"wrote the plan {path}; change it and train with --plan {path}")
        return
    session = Session(
        settings.out, annotated, split, plan, device=device, start_from=settings.start_from,
        ranks=ranks, pace=pace,
    )  # fmt: skip
    if settings.resume:
        session.resume()
        yield Message(f"resumed at step {session.trainer.clock.step}")
        yield from score_if_due(session)
    else:
        forget_folds(settings.out)
        if folds is not None:
            folds = folds.begin(session, settings.start_from)
        session.start(planning_seconds=clock.perf_counter() - started)
    yield from take_steps(session, stop, between)
    if folds is not None:
        yield from cross_validate(session, folds, stop)
    bundle = yield from _finish(session, settings, fingerprint)
    yield Trained(bundle=bundle, stopped=stop.is_set())


def _finish(
    session: Session, settings: TrainSettings, fingerprint: Fingerprint
) -> Generator[Message, None, ModelBundle]:
    """Save the model with its score, its report and, where that is worth it, its 8-bit integers."""
    if session.is_unscored:
        yield Message("scoring what was held out …")
    bundle, predictions = session.finish()
    # here, since it draws charts, whose library takes a while to load
    from ulens.report.training import write_training_report

    write_training_report(
        settings.out / REPORT,
        bundle=bundle,
        plan=session.plan,
        fingerprint=fingerprint,
        held_out=session.samples.split.description,
        predictions=predictions,
        log=read_log(settings.out),
    )
    seconds = session.plan.length.seconds
    if settings.int8 and (seconds is None or seconds >= WORTH_INT8_SECONDS):
        yield Message("preparing the model for faster segmentation …")
        try:
            bundle = session.prepare_int8(bundle)
        except KeyboardInterrupt:
            yield Message("left that out; the model is complete without it")
    return bundle


def _train_along(settings: TrainSettings, ranks: Ranks, device: torch.device) -> None:
    """Train with process 0, which has the plan, and alone speaks and writes."""
    annotated = read_asked(settings)
    split, _ = _split(settings, annotated)
    plan = ranks.from_first(cast(Plan, None))
    if settings.plan_only:
        return
    split, _ = _leave_gap(split, None, settings, plan, annotated)
    session = Session(settings.out, annotated, split, plan, device=device, ranks=ranks)
    for _ in session.trainer:
        pass


def _split(settings: TrainSettings, annotated: Annotated) -> tuple[Split, Folds | None]:
    """Hold annotations out, once or in folds; where a training goes on, those that were."""
    if settings.resume:
        folds = resume_folds(settings, annotated)
        if folds is not None:
            return folds.undivided, folds
        before = read_begun(settings.out, load_record(settings.out / STATE)).provenance
        is_same = before.get("data_sha256") == hash_samples(annotated.samples)
        if is_same and "held_out_blocks" in before:
            chosen = HeldOut.from_json(before)
            return split_as(annotated.samples, chosen, labels_are=annotated.labels_are), None
    start = settings.start_from
    path = None if start in (None, NOISE) else find_model(start)
    seen = images_seen(None if path is None else load_bundle(path), path)
    if settings.folds is not None:
        folds = make_folds(settings.folds, annotated, seen)
        return folds.undivided, folds
    return split_samples(annotated.samples, labels_are=annotated.labels_are, seen=seen), None


def _leave_gap(
    split: Split, folds: Folds | None, settings: TrainSettings, plan: Plan, annotated: Annotated
) -> tuple[Split, Folds | None]:
    """Leave a gap beside held-out blocks; where a training goes on, it is there."""
    if settings.resume:
        return split, folds
    if folds is not None:
        folds = folds.with_gap(reach_px(plan), annotated.labels_are)
        return folds.undivided, folds
    return leave_gap(split, reach_px(plan), labels_are=annotated.labels_are), None


def _refuse_folds(settings: TrainSettings) -> None:
    """Raise SettingError where several processes are to cross-validate."""
    if settings.folds is not None or (settings.resume and has_folds(settings.out)):
        raise SettingError(
            "several processes train one network together, but cannot cross-validate; leave out "
            "folds, or train in one process"
        )


def train(
    images: str | Path,
    labels: str | Path | None = None,
    *,
    out: str | Path | None = None,
    time: str | None = None,
    steps: int | None = None,
    recipe: Recipe = "default",
    plan: str | Path | None = None,
    start_from: str | Path | None = None,
    folds: int | None = None,
    frames: str | None = None,
    labels_are: LabelsAre | None = None,
    ignore: int | None = None,
    axes: str | None = None,
    scene: str | None = None,
    channel: str | int | Sequence[str | int] = (),
    width: int | None = None,
    zoom: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    int8: bool = True,
    progress: Callable[[TrainEvent], None] | None = None,
    stop: threading.Event | None = None,
) -> Model:
    """Train a model.

    Parameters
    ----------
    images, labels : files or folders
    out : folder of the model; without it the model lives in memory, until `Model.save`
    time : such as '20min'
    steps, recipe, plan, start_from, folds, frames, labels_are, ignore, axes, scene, channel, width,
        zoom, seed, device, resume, overwrite, int8 : as in `TrainSettings`
    progress : called with every event of the training, as `run_training` yields them; without it
        a notebook shows how far it is
    stop : as in `run_training`

    Returns
    -------
    the trained model; ``model.bundle.scores`` holds its scores on held-out annotations

    Raises
    ------
    UlensError : with what to do
    """
    progress = progress or notebook_progress()
    with TemporaryDirectory() as temporary:
        settings = TrainSettings(
            images=Path(images),
            labels=None if labels is None else Path(labels),
            out=Path(temporary) / "model" if out is None else Path(out),
            seconds=None if time is None else parse_duration(time),
            steps=steps,
            recipe=recipe,
            plan=None if plan is None else Path(plan),
            start_from=None if start_from is None else Path(start_from),
            folds=folds,
            frames=frames,
            labels_are=labels_are,
            ignore=ignore,
            axes=axes,
            scene=scene,
            channel=as_texts(channel),
            width=width,
            zoom=zoom,
            seed=seed,
            device=device,
            resume=resume,
            overwrite=overwrite,
            int8=int8,
        )
        for event in run_training(settings, stop):
            if progress is not None:
                progress(event)
    assert isinstance(event, Trained)
    return Model(event.bundle, device=device)


def _check_folder(settings: TrainSettings) -> None:
    """Raise OutputError or TrainingError where no model may be written, or none can be resumed."""
    out, plan = settings.out, settings.plan
    check_free(out)
    is_training = (out / STATE).is_file()
    if settings.resume:
        if not is_training:
            raise TrainingError(f"there is no training to resume in {out}; leave out --resume")
        return
    names = (
        {each.name for each in out.iterdir() if not is_leftover(each)} if out.is_dir() else set()
    )
    if names == {PLAN} and plan is not None and plan.exists() and plan.samefile(out / PLAN):
        return  # a plan made with plan_only, and followed
    by_plan = f"train by its plan with --plan {out / PLAN}" if names == {PLAN} else None
    check_writable(
        out,
        "model",
        is_folder=True,
        # a training that goes on would go by that plan
        replaces=None if settings.plan_only and is_training else "the old one",
        overwrite=settings.overwrite,
        is_no=None if is_ours(out) else "ulens model",
        instead="continue it with --resume" if is_training else by_plan,
        is_left=is_leftover,
    )

"""The story of a training: read, plan, train, keep, score, report."""

import signal
import threading
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ulens.bundle import LabelsAre, ModelBundle, load_bundle
from ulens.data.dataset import encode_target
from ulens.data.fingerprint import Fingerprint, take_fingerprint
from ulens.data.holdout import Split, split_samples
from ulens.data.plan import Plan, Recipe, read_plan
from ulens.data.recipes import DEPTH, make_plan, parse_duration
from ulens.errors import OutputError, SettingError, TrainingError
from ulens.instances.boundary import class_balance
from ulens.io.annotations import Annotated, read_annotated
from ulens.jobs.segment import Model
from ulens.jobs.training_report import write_training_report
from ulens.predict.predictor import choose_device, has_fast_bf16
from ulens.train.session import PLAN, STATE, Session, Validation, read_log
from ulens.train.speed import steps_per_second
from ulens.train.trainer import StepLog

DEFAULT_SECONDS = 20 * 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """What a user asks of a training.

    Parameters
    ----------
    images, labels : files or folders as `read_annotated` takes them
    out : model folder
    seconds, steps : length of the training; at most one of them, 20 minutes without either
    recipe : 'default' or 'paper'
    plan : plan.json that replaces the recipe; `seconds`, `steps` and `seed` replace its own
    start_from : model folder whose weights the training starts from
    frames, labels_are, ignore : as `read_annotated`
    width : channels of the network's first level; None = the recipe's choice
    seed : all random draws depend on it; None = the plan's, else 0
    device : 'auto', 'cpu', 'cuda', 'mps'
    resume : continue the training in `out`, for longer where `seconds` or `steps` say so
    overwrite : replace the model in `out`
    """

    images: Path
    labels: Path | None = None
    out: Path
    seconds: float | None = None
    steps: int | None = None
    recipe: Recipe = "default"
    plan: Path | None = None
    start_from: Path | None = None
    frames: str | None = None
    labels_are: LabelsAre | None = None
    ignore: int | None = None
    width: int | None = None
    seed: int | None = None
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seconds is not None and self.steps is not None:
            raise SettingError(
                f"time ({self.seconds:.0f} s) and steps ({self.steps}) are both "
                "given; give one of them"
            )
        if self.resume and self.overwrite:
            raise SettingError(
                "resume and overwrite are both given; resume continues the "
                "training in the folder, overwrite throws it away"
            )
        for name, lowest in (("width", 1), ("steps", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise SettingError(f"{name} is {value}; it needs to be at least {lowest}")


@dataclass(frozen=True, slots=True)
class Message:
    """Something the user should read."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The last event: the finished model."""

    bundle: ModelBundle
    stopped: bool


TrainEvent = Message | Validation | StepLog | Trained


def run_training(settings: TrainSettings) -> Iterator[TrainEvent]:
    """Train a model, event by event; the folder `settings.out` is usable from the first save on.

    Yields
    ------
    messages, a StepLog per step, validations, and at last `Trained`. Ctrl-C ends the training
    after the current step and keeps what it has.

    Raises
    ------
    UlensError : with what to do
    """
    started = clock.perf_counter()
    device = choose_device(settings.device)
    _prepare_folder(settings)
    annotated = read_annotated(
        settings.images,
        settings.labels,
        frames=settings.frames,
        labels_are=settings.labels_are,
        ignore=settings.ignore,
    )
    yield Message(annotated.reading)
    if annotated.unpaired:
        names = ", ".join(path.name for path in annotated.unpaired)
        yield Message(f"left out, having no partner: {names}")
    split = split_samples(annotated.samples, labels_are=annotated.labels_are)
    yield Message(split.description)
    fingerprint = take_fingerprint(annotated)
    plan = _plan(settings, fingerprint, annotated, split, device)
    yield Message(_describe(plan, device))

    session = Session(
        settings.out, annotated, split, plan, device=device, start_from=settings.start_from
    )
    if settings.resume:
        session.resume()
        yield Message(f"resumed at step {session.trainer.step}")
    else:
        session.start(planning_seconds=clock.perf_counter() - started)
    with _stop_on_interrupt() as interrupted:
        for log in session.trainer:
            session.write_log(log)
            yield log
            if session.validation_is_due():
                yield session.validate()
            if session.save_is_due():
                session.save()
            if interrupted.is_set():
                yield Message(f"stopped at step {log.step}; scoring and keeping what there is")
                break
    bundle, predictions = session.finish()
    write_training_report(
        settings.out / "report.html",
        bundle=bundle,
        plan=plan,
        fingerprint=fingerprint,
        held_out=split.description,
        predictions=predictions,
        log=read_log(settings.out),
    )
    yield Trained(bundle=bundle, stopped=interrupted.is_set())


def train(
    images: str | Path,
    labels: str | Path | None = None,
    *,
    out: str | Path | None = None,
    time: str | None = None,
    **settings: Any,
) -> Model:
    """Train a model.

    Parameters
    ----------
    images, labels : files or folders
    out : folder of the model; without it the model lives in memory, until `Model.save`
    time : such as '20min'
    settings : anything else in `TrainSettings`, such as ``steps=500`` or ``recipe="paper"``;
        paths may be strings

    Returns
    -------
    the trained model; ``model.bundle.scores`` holds its scores on held-out annotations
    """
    for name in ("plan", "start_from"):
        if settings.get(name) is not None:
            settings[name] = Path(settings[name])
    with TemporaryDirectory() as temporary:
        asked = TrainSettings(
            images=Path(images),
            labels=None if labels is None else Path(labels),
            out=Path(temporary) / "model" if out is None else Path(out),
            seconds=None if time is None else parse_duration(time),
            **settings,
        )
        *_, trained = run_training(asked)
    assert isinstance(trained, Trained)
    return Model(trained.bundle, device=asked.device)


def _prepare_folder(settings: TrainSettings) -> None:
    out = settings.out
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder for the model")
    content = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    is_model = "model.json" in content or PLAN in content
    if settings.resume:
        if not (out / STATE).is_file():
            raise TrainingError(f"there is no training to resume in {out}; leave out --resume")
        return
    if content and not (settings.overwrite and is_model):
        advice = (
            "continue it with --resume, replace it with --overwrite, or choose another name"
            if is_model
            else "it is no ulens model, so ulens will not write into it; choose another name"
        )
        raise OutputError(f"{out} exists and holds {', '.join(content[:5])}; {advice}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror}; choose another name") from error


def _plan(
    settings: TrainSettings,
    fingerprint: Fingerprint,
    annotated: Annotated,
    split: Split,
    device: torch.device,
) -> Plan:
    if settings.resume:
        plan = read_plan(settings.out / PLAN)
        _refuse_others(settings, plan, ("width", "seed"))
        return _with_length(plan, settings)
    if settings.plan is not None:
        plan = read_plan(settings.plan)
        _refuse_others(settings, plan, ("width",))
        if settings.seed is not None:
            plan = replace(plan, seed=settings.seed)
        if len(plan.class_weights) != fingerprint.num_classes:
            raise SettingError(
                f"{settings.plan} has {len(plan.class_weights)} class_weights, the labels have "
                f"{fingerprint.num_classes} classes; give one weight per class"
            )
        return _with_length(plan, settings)
    targets = [encode_target(sample, annotated.labels_are) for sample in split.training]
    # a model that is started from brings its own width and depth
    start = load_bundle(settings.start_from).net if settings.start_from else None
    seconds = settings.seconds
    if seconds is None and settings.steps is None:
        seconds = DEFAULT_SECONDS
    return make_plan(
        fingerprint,
        recipe=settings.recipe,
        steps=settings.steps,
        seconds=seconds,
        width=settings.width or (start.width if start else None),
        depth=start.depth if start else DEPTH,
        class_weights=class_balance(targets, fingerprint.num_classes),
        precision="bf16" if has_fast_bf16(device) else "fp32",
        seed=settings.seed or 0,
        measure=partial(steps_per_second, in_channels=fingerprint.num_channels, device=device),
    )


def _with_length(plan: Plan, settings: TrainSettings) -> Plan:
    if settings.seconds is None and settings.steps is None:
        return plan
    return replace(plan, seconds=settings.seconds, steps=settings.steps)


def _refuse_others(settings: TrainSettings, plan: Plan, names: tuple[str, ...]) -> None:
    """Raise SettingError where the user asks for other values than those of a plan that stands."""
    for name in names:
        asked, planned = getattr(settings, name), getattr(plan, name)
        if asked is not None and asked != planned:
            raise SettingError(
                f"{name} is {asked}, the plan's is {planned}; leave it out or start a new training "
                "with a changed plan"
            )
    if settings.recipe not in ("default", plan.recipe):
        raise SettingError(
            f"recipe is {settings.recipe}, the plan's is {plan.recipe}; leave it out or start a "
            "new training without that plan"
        )


def _describe(plan: Plan, device: torch.device) -> str:
    length = f"{plan.steps} steps" if plan.steps else f"{(plan.seconds or 0) / 60:.3g} minutes"
    return (
        f"plan ({plan.recipe} recipe): U-Net of width {plan.width} and depth {plan.depth}, tiles "
        f"of {plan.crop} px, {length} on {device}"
    )


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event; a second one interrupts as usual."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread may handle signals
        return

    def stop(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)

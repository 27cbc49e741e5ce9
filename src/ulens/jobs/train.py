"""The story of a training: read, plan, train, keep, score, report."""

import hashlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ulens.bundle import LabelsAre, ModelBundle, load_bundle, save_bundle
from ulens.data.dataset import encode_target, prepare
from ulens.data.fingerprint import Fingerprint, take_fingerprint
from ulens.data.holdout import Split, split_samples
from ulens.data.plan import Plan, Recipe, read_plan
from ulens.data.recipes import make_plan, parse_duration
from ulens.errors import ModelError, OutputError, SettingError
from ulens.instances.boundary import class_balance
from ulens.io.annotations import Annotated, read_annotated
from ulens.io.atomic import replace_files
from ulens.jobs.segment import Model
from ulens.jobs.training_report import write_training_report
from ulens.nets.unet import UNet
from ulens.normalize import fit_normalization
from ulens.predict.predictor import choose_device
from ulens.train.speed import steps_per_second
from ulens.train.state import load_state, save_state
from ulens.train.trainer import StepLog, Trainer
from ulens.train.validate import (
    Prediction,
    predict_held_out,
    score,
    score_membranes,
    tune_threshold,
)

PLAN, LOG, STATE = "plan.json", "log.jsonl", Path("training") / "state.safetensors"
SAVE_SECONDS = 60.0
NUM_VALIDATIONS = 10
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
    plan : plan.json that replaces the recipe
    start_from : model folder whose weights the training starts from
    frames, labels_are, ignore : as `read_annotated`
    width : channels of the network's first level; None = the recipe's choice
    seed : all random draws depend on it
    device : 'auto', 'cpu', 'cuda', 'mps'
    resume : continue the training in `out`
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
    seed: int = 0
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


@dataclass(frozen=True, slots=True)
class Message:
    """Something the user should read."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Scores on held-out images during training."""

    step: int
    scores: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The last event: the finished model."""

    bundle: ModelBundle
    scores: dict[str, float]
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
    yield Message("measuring this machine and planning …")
    plan = _plan(settings, fingerprint, annotated, split, device)
    yield Message(_describe(plan, device))

    run = _Run(settings, annotated, split, plan, fingerprint, device)
    if settings.resume:
        run.trainer.restore(*load_state(settings.out / STATE))
        yield Message(f"resumed at step {run.trainer.step}")
    run.start()
    with _stop_on_interrupt() as interrupted:
        for log in run.trainer:
            run.write_log(log)
            yield log
            if run.validation_is_due(log):
                yield run.validate()
            if run.save_is_due():
                run.save()
            if interrupted.is_set():
                yield Message(f"stopped at step {log.step}; keeping what there is")
                break
    yield Message("scoring the held-out images …")
    yield run.finish(stopped=interrupted.is_set())


class _Run:
    """What one training holds on to."""

    def __init__(
        self,
        settings: TrainSettings,
        annotated: Annotated,
        split: Split,
        plan: Plan,
        fingerprint: Fingerprint,
        device: torch.device,
    ) -> None:
        self.settings, self.annotated, self.split = settings, annotated, split
        self.plan, self.fingerprint = plan, fingerprint
        self.normalization = fit_normalization(sample.image for sample in split.training)
        images = prepare(
            split.training,
            self.normalization,
            labels_are=annotated.labels_are,
            plan=plan,
            device=device,
        )
        self.decoding = _decoding(annotated)
        self.data_sha256 = _hash(annotated)
        self.trainer = Trainer(_network(settings, fingerprint, plan), images, plan)
        self.saved_at = self.trainer.seconds
        self.num_validated = 0

    def start(self) -> None:
        """Write the plan, cut the log to the step that is resumed from, save a first model."""
        out = self.settings.out
        replace_files(out, {PLAN: json.dumps(self.plan.to_json(), indent=2).encode()})
        kept = [row for row in read_log(out) if row["step"] <= self.trainer.step]
        lines = "".join(json.dumps(row) + "\n" for row in kept if self.settings.resume)
        replace_files(out, {LOG: lines.encode()})
        self.num_validated = int(self.trainer.progress * NUM_VALIDATIONS)
        if not self.settings.resume:
            self.save()

    def write_log(self, log: StepLog) -> None:
        self._append(asdict(log))

    def validation_is_due(self, log: StepLog) -> bool:
        # the last validation is the final score
        return self.num_validated + 1 <= log.progress * NUM_VALIDATIONS < NUM_VALIDATIONS

    def validate(self) -> Validation:
        started = time.perf_counter()
        self.num_validated = int(self.trainer.progress * NUM_VALIDATIONS)
        predictions = self._predict()
        scores = score(predictions, self.annotated.labels_are)
        self._append({"step": self.trainer.step, "seconds": self.trainer.seconds, "score": scores})
        self._count(started)
        return Validation(step=self.trainer.step, scores=scores)

    def save_is_due(self) -> bool:
        # a state on the disk is a snapshot, so that a resumed training repeats it exactly
        is_new = self.trainer.snapshot[1]["step"] == self.trainer.step
        return is_new and self.trainer.seconds - self.saved_at >= SAVE_SECONDS

    def save(self) -> None:
        """Save the state to resume from and the model as it is now."""
        started = time.perf_counter()
        save_state(self.settings.out / STATE, *self.trainer.snapshot)
        save_bundle(self._bundle({}), self.settings.out)
        self._count(started)
        self.saved_at = self.trainer.seconds

    def finish(self, *, stopped: bool) -> Trained:
        """Score the held-out images, keep the model, write the report."""
        predictions = self._predict()
        if self.annotated.labels_are == "instances":
            predictions, self.decoding = tune_threshold(predictions, self.decoding)
        scores = score(predictions, self.annotated.labels_are)
        if _are_membranes(predictions, self.annotated):
            scores |= score_membranes(predictions)
        bundle = self._bundle(scores)
        if stopped:
            save_state(self.settings.out / STATE, *self.trainer.snapshot)
        save_bundle(bundle, self.settings.out)
        write_training_report(
            self.settings.out / "report.html",
            bundle=bundle,
            plan=self.plan,
            fingerprint=self.fingerprint,
            held_out=self.split.description,
            predictions=predictions,
            log=read_log(self.settings.out),
        )
        return Trained(bundle=bundle, scores=scores, stopped=stopped)

    def _predict(self) -> list[Prediction]:
        return predict_held_out(
            self._net(),
            self.split.held_out,
            self.normalization,
            labels_are=self.annotated.labels_are,
            decoding=self.decoding,
            device=str(self.trainer.device),
        )

    def _net(self) -> UNet:
        net = _empty_network(self.fingerprint, self.plan)
        net.load_state_dict(self.trainer.weights())
        return net.eval()

    def _bundle(self, scores: dict[str, float]) -> ModelBundle:
        return ModelBundle(
            net=self._net(),
            normalization=self.normalization,
            labels_are=self.annotated.labels_are,
            class_values=self.annotated.class_values,
            decoding=self.decoding,
            spacing_um=self.annotated.spacing_um,
            plan=self.plan.to_json(),
            scores=scores,
            provenance={
                "ulens": version("ulens"),
                "torch": torch.__version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "data_sha256": self.data_sha256,
                "num_images": len(self.annotated.samples),
                "held_out": [sample.name for sample in self.split.held_out],
                "steps": self.trainer.step,
                "training_seconds": round(self.trainer.seconds, 1),
            },
        )

    def _append(self, row: dict[str, Any]) -> None:
        with (self.settings.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _count(self, started: float) -> None:
        """Count time that is not training against the budget of a timed training."""
        if self.plan.seconds is not None:
            self.trainer.seconds += time.perf_counter() - started


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
    settings : anything else in `TrainSettings`, such as ``steps=500`` or ``recipe="paper"``

    Returns
    -------
    the trained model; ``model.bundle.scores`` holds its scores on held-out annotations
    """
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


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's log; a last line cut off by a kill is left out."""
    path = folder / LOG
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _prepare_folder(settings: TrainSettings) -> None:
    out = settings.out
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder for the model")
    content = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    is_model = "model.json" in content or PLAN in content
    if settings.resume:
        if not (out / STATE).is_file():
            load_state(out / STATE)
        return
    if content and not (settings.overwrite and is_model):
        advice = (
            "continue it with --resume, replace it with --overwrite, or choose another name"
            if is_model
            else "it is no ulens model, so ulens will not write into it; choose another name"
        )
        raise OutputError(f"{out} exists and holds {', '.join(content[:5])}; {advice}")
    if content:
        shutil.rmtree(out / STATE.parent, ignore_errors=True)
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
        return read_plan(settings.out / PLAN)
    if settings.plan is not None:
        plan = read_plan(settings.plan)
        if len(plan.class_weights) != fingerprint.num_classes:
            raise SettingError(
                f"{settings.plan} has {len(plan.class_weights)} class_weights, the labels have "
                f"{fingerprint.num_classes} classes; give one weight per class"
            )
        return plan
    targets = [encode_target(sample, annotated.labels_are) for sample in split.training]
    start = load_bundle(settings.start_from) if settings.start_from else None
    if start and settings.width not in (None, start.net.width):
        raise SettingError(
            f"width is {settings.width}, the model {settings.start_from} has {start.net.width}; "
            "leave width out to continue from it"
        )
    seconds = settings.seconds
    if seconds is None and settings.steps is None:
        seconds = DEFAULT_SECONDS
    plan = make_plan(
        fingerprint,
        recipe=settings.recipe,
        steps=settings.steps,
        seconds=seconds,
        width=start.net.width if start else settings.width,
        class_weights=class_balance(targets, fingerprint.num_classes),
        seed=settings.seed,
        measure=partial(steps_per_second, in_channels=fingerprint.num_channels, device=device),
    )
    return replace(plan, depth=start.net.depth) if start else plan


def _describe(plan: Plan, device: torch.device) -> str:
    length = f"{plan.steps} steps" if plan.steps else f"{(plan.seconds or 0) / 60:.3g} minutes"
    return (
        f"plan ({plan.recipe} recipe): U-Net of width {plan.width} and depth {plan.depth}, tiles "
        f"of {plan.crop} px, {length} on {device}"
    )


def _empty_network(fingerprint: Fingerprint, plan: Plan) -> UNet:
    return UNet(
        fingerprint.num_channels,
        fingerprint.num_classes,
        width=plan.width,
        depth=plan.depth,
        dropout=plan.dropout,
    )


def _network(settings: TrainSettings, fingerprint: Fingerprint, plan: Plan) -> UNet:
    """Draw a network from the seed, or start from a trained one."""
    torch.manual_seed(plan.seed)
    net = _empty_network(fingerprint, plan)
    if settings.start_from is None:
        return net
    weights = load_bundle(settings.start_from).net.state_dict()
    own = net.state_dict()
    if weights["down.0.0.weight"].shape != own["down.0.0.weight"].shape:
        raise ModelError(
            f"{settings.start_from} takes {weights['down.0.0.weight'].shape[1]} channels, these "
            f"images have {fingerprint.num_channels}; start from a model of such images"
        )
    # a head for other classes has to be learned anew
    fitting = {name: value for name, value in weights.items() if value.shape == own[name].shape}
    net.load_state_dict({**own, **fitting})
    return net


def _decoding(annotated: Annotated) -> dict[str, Any]:
    if annotated.labels_are == "classes":
        return {}
    areas = np.concatenate(
        [np.bincount(np.maximum(sample.label, 0).ravel())[1:] for sample in annotated.samples]
    )
    smallest = float(np.percentile(areas[areas > 0], 1))
    return {"threshold": 0.5, "min_area_px": int(smallest / 2), "grow_px": 1.5}


def _are_membranes(predictions: list[Prediction], annotated: Annotated) -> bool:
    """Whether the ISBI measures make sense: two classes, all of each image annotated."""
    return (
        annotated.labels_are == "classes"
        and len(annotated.class_values) == 2
        and all((prediction.sample.label >= 0).all() for prediction in predictions)
        and len({prediction.sample.label.shape for prediction in predictions}) == 1
    )


def _hash(annotated: Annotated) -> str:
    digest = hashlib.sha256()
    for sample in annotated.samples:
        for array in (sample.image, sample.label):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


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

"""One training with its folder: what is logged, validated, saved and scored."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ulens.annotated.holdout import Split, split_as
from ulens.annotated.samples import Annotated, Sample, hash_samples
from ulens.bundle import START, ModelBundle, load_bundle, save_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import DataError, OutputError, TrainingError
from ulens.io.atomic import replace_files
from ulens.nets.build import Network, undo_balance
from ulens.nets.properties import count_multiplications
from ulens.nets.unet import UNet
from ulens.normalize import fit_normalization
from ulens.planning.plan import Plan
from ulens.resample import size_at
from ulens.training.begin import begin_network
from ulens.training.examples import cut_example
from ulens.training.quantization import prepare_int8
from ulens.training.ranks import ALONE, Ranks
from ulens.training.state import load_state, save_state
from ulens.training.tensors import TrainingImage, class_frequencies, prepare
from ulens.training.trainer import StepLog, Trainer
from ulens.training.validate import (
    Prediction,
    first_decoding,
    predict_held_out,
    score,
    score_membranes,
    tune_thresholds,
)

PLAN, LOG, STATE = "plan.json", "log.jsonl", Path("training") / "state.safetensors"
HELD_OUT = Path("training") / "held_out.safetensors"
SAVE_SECONDS = 60.0
NUM_VALIDATIONS = 10
VALIDATION_SHARE = 0.05  # the scoring at `SCORED_AT` takes about as much again
SCORED_AT = 0.7
NUM_EXAMPLES = 8
NUM_WINDOWS, WINDOW_PX = 2, 196
WORTH_MULTIPLICATIONS = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Scores on held-out annotations during training."""

    step: int
    scores: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What the network made of the held-out annotations when it had not been trained on them.

    Parameters
    ----------
    predictions : of these
    decoding : as tuned on them
    scores : by name
    step : steps done then
    """

    predictions: list[Prediction]
    decoding: dict[str, Any]
    scores: dict[str, float]
    step: int


class Session:
    """A trainer and the model folder it fills.

    Parameters
    ----------
    folder : of the model
    annotated, split : the images, and which of them are held out
    plan : all choices
    device : where the network is trained
    start_from : model folder to take the first weights and thresholds from, or None
    ranks : as in `Trainer`

    Notes
    -----
    The held-out annotations are scored when `SCORED_AT` of the training is done; the rest is on
    all images. So the score is honest, and none of the few annotations is lost for the network.
    """

    def __init__(
        self,
        folder: Path,
        annotated: Annotated,
        split: Split,
        plan: Plan,
        *,
        device: torch.device,
        start_from: Path | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.folder, self.annotated, self.split, self.plan = folder, annotated, split, plan
        self.normalization = fit_normalization(sample.image for sample in split.training)
        self.decoding = first_decoding(split.training, plan.encoding, plan.zoom)
        start = load_bundle(start_from) if start_from is not None else None
        if start is not None and start.encoding == plan.encoding and start_from != START:
            grid = ENCODINGS[plan.encoding].grid
            self.decoding |= {name: start.decoding[name] for name in grid if name in start.decoding}
        self.data_sha256 = hash_samples(annotated.samples)
        shown = (split.held_out or split.training)[:NUM_EXAMPLES]
        self.examples = [cut_example(plan, self.normalization, sample) for sample in shown]
        self._device = device
        self._prepared: dict[int, tuple[Sample, TrainingImage]] = {}
        images, all_images = self._prepare(split)
        self.trainer = Trainer(
            begin_network(plan, self._num_channels, start, start_from),
            images,
            plan,
            all_images=all_images,
            is_trained=start_from is not None,
            ranks=ranks,
        )
        self._scored: Scored | None = None
        self._num_validated = 0
        self._validating_seconds = 0.0
        self._last_validation_seconds: float | None = None
        self._saved_at = 0.0

    def add(self, samples: Sequence[Sample]) -> None:
        """Train on more annotated images, or on changed labels, from the next step on.

        What is held out stays so. Of new images one in ten is held out, too, as long as nothing is
        scored. Normalisation and decoding stay those of the images that were there at first.

        Parameters
        ----------
        samples : of the same kind of labels and channels; one of a name that is known takes the
            place of that image

        Raises
        ------
        DataError : an image has other channels
        """
        for sample in samples:
            if len(sample.image) != self._num_channels:
                raise DataError(
                    f"{sample.name} has {len(sample.image)} channels, the training is on images "
                    f"with {self._num_channels}; give it the same channels"
                )
        changed = {sample.name: sample for sample in samples}
        every = [changed.pop(sample.name, sample) for sample in self.annotated.samples]
        every += changed.values()
        split = split_as(
            every,
            {sample.name for sample in self.split.held_out},
            blocks=self.split.blocks,
            new=() if self._scored else changed,
            labels_are=self.annotated.labels_are,
        )
        self.trainer.images, self.trainer.all_images = self._prepare(split)
        self.split = split
        self.annotated = replace(self.annotated, samples=every)
        self.data_sha256 = hash_samples(self.annotated.samples)

    def _prepare(self, split: Split) -> tuple[list[TrainingImage], list[TrainingImage]]:
        """Return the images to train on before and after the score; what is ready is kept."""
        used = {id(sample): sample for sample in (*split.training, *split.whole)}
        ready = {key: self._prepared[key] for key in used.keys() & self._prepared.keys()}
        new = [sample for key, sample in used.items() if key not in ready]
        if new:
            images = prepare(new, self.normalization, plan=self.plan, device=self._device)
            ready |= {id(sample): (sample, each) for sample, each in zip(new, images, strict=True)}
        self._prepared = ready
        before, after = (
            [ready[id(sample)][1] for sample in side] for side in (split.training, split.whole)
        )
        return before, after

    def start(self, *, planning_seconds: float) -> None:
        """Write the plan and a first model; planning counts against a time budget."""
        if self.plan.seconds is not None:
            # at least half of the budget is for training, however short it is
            self.trainer.seconds = min(planning_seconds, self.plan.seconds / 2)
        self._write({PLAN: self.plan.to_bytes(), LOG: b""})
        self.save()

    def resume(self) -> None:
        """Continue the training that the folder holds.

        Raises
        ------
        TrainingError : there is none, or it was on other images
        """
        self.trainer.restore(*load_state(self.folder / STATE))
        saved = load_bundle(self.folder)
        begun_on, self.decoding = saved.provenance.get("data_sha256"), saved.decoding
        if begun_on != self.data_sha256:
            raise TrainingError(
                f"the training in {self.folder} was on other images or labels; resume it with "
                "those it was started with, or start a new one with --overwrite"
            )
        if self.trainer.uses_all:
            self._scored = self._read_scored()
            self.decoding = self._scored.decoding
        log = self._log_up_to(self.trainer.step)
        # the plan too: it may now be longer than the one the training was started with
        self._write({PLAN: self.plan.to_bytes(), LOG: log})
        self._num_validated = int(self.trainer.progress * NUM_VALIDATIONS)
        self._saved_at = self.trainer.seconds

    def write_log(self, log: StepLog) -> None:
        """Append a step to the log; after a roll-back, without the steps that did not count."""
        if log.skipped is not None:
            self._write({LOG: self._log_up_to(log.step)})
        self._append(asdict(log))

    def validation_is_due(self) -> bool:
        """Whether a tenth of the training has passed, of the part before `scoring_is_due`.

        Not during the warm-up of the learning rate and as long again, when there is nothing to see
        yet. Of a time budget no more than a share is spent on it.
        """
        if self._scored or self.trainer.step < 2 * self.plan.warmup_steps:
            return False
        passed = self.trainer.progress * NUM_VALIDATIONS
        if not self._num_validated + 1 <= passed < NUM_VALIDATIONS:
            return False
        spent = self._validating_seconds + self._seconds_of_a_validation()
        return self.plan.seconds is None or spent <= VALIDATION_SHARE * self.trainer.seconds

    def _seconds_of_a_validation(self) -> float:
        """Return what the last one took; before there was one, what training on as much takes."""
        if self._last_validation_seconds is not None:
            return self._last_validation_seconds
        margin = self.plan.network_geometry.margin
        sizes = [size_at(sample.label.shape, self.plan.zoom) for sample in self.split.held_out]
        num_pixels = sum((y + 2 * margin) * (x + 2 * margin) for y, x in sizes)
        seconds_per_step = self.trainer.seconds / max(1, self.trainer.step)
        return seconds_per_step * num_pixels / (self.plan.batch * self.plan.crop**2)

    def validate(self) -> Validation:
        """Score the held-out annotations."""
        started = time.perf_counter()
        self._num_validated = int(self.trainer.progress * NUM_VALIDATIONS)
        scores = score(self._predict(), self.annotated.labels_are)
        self._append({"step": self.trainer.step, "seconds": self.trainer.seconds, "score": scores})
        self._last_validation_seconds = time.perf_counter() - started
        self._validating_seconds += self._last_validation_seconds
        self._count(started)
        return Validation(step=self.trainer.step, scores=scores)

    @property
    def is_unscored(self) -> bool:
        """Whether `finish` has to score."""
        return self._scored is None

    def scoring_is_due(self) -> bool:
        """Whether it is time to score the held-out annotations, and to train on them then."""
        return self._scored is None and SCORED_AT <= self.trainer.progress < 1

    def score_held_out(self) -> Validation:
        """Score the held-out annotations, tune the decoding, and train on all images from now."""
        started = time.perf_counter()
        scored = self._score()
        tensors = {
            str(number): torch.from_numpy(prediction.maps)
            for number, prediction in enumerate(scored.predictions)
        }
        record = {"decoding": scored.decoding, "scores": scored.scores, "step": scored.step}
        save_state(self.folder / HELD_OUT, tensors, record)
        self._scored, self.decoding = scored, scored.decoding
        row = {"step": scored.step, "seconds": self.trainer.seconds, "score": scored.scores}
        self._append(row)
        self.trainer.use_all()
        self._count(started)
        return Validation(step=scored.step, scores=scored.scores)

    def save_is_due(self) -> bool:
        """Whether a minute has passed; only a snapshot is saved, so that resuming is exact."""
        is_snapshot = self.trainer.snapshot[1]["step"] == self.trainer.step
        return is_snapshot and self.trainer.seconds - self._saved_at >= SAVE_SECONDS

    def save(self) -> None:
        """Save the state to resume from, and the model as it is now."""
        started = time.perf_counter()
        save_state(self.folder / STATE, *self.trainer.snapshot)
        save_bundle(self._bundle(self._scored.scores if self._scored else {}), self.folder)
        self._count(started)
        self._saved_at = self.trainer.seconds

    def save_end(self) -> None:
        """Save what there is when training ends, before scoring, which may take long or fail."""
        if self.plan.seconds is not None:
            # a timed training promises no exact repetition: nothing done is given up
            self.trainer.take_snapshot()
        self.save()

    def finish(self) -> tuple[ModelBundle, list[Prediction]]:
        """Save the model; where training ended too soon, score it first."""
        if self._scored is None:
            self._scored = self._score()
            self.decoding = self._scored.decoding
        bundle = self._bundle(self._scored.scores)
        save_bundle(bundle, self.folder)
        return bundle, self._scored.predictions

    def _score(self) -> Scored:
        predictions, decoding = self._predict(), self.decoding
        if ENCODINGS[self.plan.encoding].grid:
            predictions, decoding = tune_thresholds(predictions, self.plan.encoding, decoding)
        scores = score(predictions, self.annotated.labels_are)
        if self.annotated.labels_are == "classes" and len(self.annotated.class_values) == 2:
            scores |= score_membranes(predictions)
        return Scored(
            predictions=predictions, decoding=decoding, scores=scores, step=self.trainer.step
        )

    def prepare_int8(self, bundle: ModelBundle) -> ModelBundle:
        """Find the convolutions that 8-bit integers compute well enough, and save them.

        Well enough: the maps of up to `NUM_EXAMPLES` held-out windows differ little, and so does
        their score.
        """
        size = self.examples[0].image.shape[-2:]
        if (
            not isinstance(bundle.net, UNet)
            or count_multiplications(bundle.net, (size[0], size[1])) < WORTH_MULTIPLICATIONS
        ):
            return bundle
        windows = [
            cut_example(self.plan, self.normalization, sample, WINDOW_PX).image
            for sample in self.split.training[:NUM_WINDOWS]
        ]
        net, int8 = prepare_int8(
            bundle.net, windows, self.examples, encoding=bundle.encoding, decoding=bundle.decoding,
            zoom=bundle.zoom,
        )  # fmt: skip
        bundle = replace(bundle, net=net, int8=int8)
        save_bundle(bundle, self.folder)
        return bundle

    def _read_scored(self) -> Scored:
        tensors, record = load_state(self.folder / HELD_OUT)
        way = ENCODINGS[self.plan.encoding]
        predictions = []
        for number, sample in enumerate(self.split.held_out):
            maps = tensors[str(number)].numpy()
            labels = way.decode(maps, **record["decoding"])
            predictions.append(Prediction(sample=sample, maps=maps, labels=labels))
        return Scored(predictions=predictions, **record)

    def _predict(self) -> list[Prediction]:
        return predict_held_out(
            self._trained_network(),
            self.split.held_out,
            self.normalization,
            encoding=self.plan.encoding,
            decoding=self.decoding,
            device=str(self.trainer.device),
            zoom=self.plan.zoom,
        )

    @property
    def _num_channels(self) -> int:
        return len(self.annotated.samples[0].image)

    def _network(self, weights: dict[str, torch.Tensor] | None = None) -> Network:
        net = self.plan.make_network(self._num_channels)
        if weights is not None:
            net.load_state_dict(weights)
        return net

    def _trained_network(self) -> Network:
        net = self._network(self.trainer.weights())
        if self.plan.balanced:
            shares = class_frequencies(self.trainer.images, len(self.plan.class_weights))
            undo_balance(net, shares.clip(1e-6))
        return net

    def _bundle(self, scores: dict[str, float]) -> ModelBundle:
        return ModelBundle(
            net=self._trained_network().eval(),
            normalization=self.normalization,
            encoding=self.plan.encoding,
            class_values=self.annotated.class_values,
            decoding=self.decoding,
            spacing_um=self.annotated.spacing_um,
            zoom=self.plan.zoom,
            plan=self.plan.to_json(),
            scores=scores,
            provenance={
                "ulens": version("ulens"),
                "torch": torch.__version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "data_sha256": self.data_sha256,
                "num_images": len(self.annotated.samples),
                "held_out": [sample.name for sample in self.split.held_out],
                "held_out_blocks": {name: list(b) for name, b in self.split.blocks.items()},
                "scored_at_step": self._scored.step if self._scored else None,
                "steps": self.trainer.step,
                "training_seconds": round(self.trainer.seconds, 1),
            },
            example=self.examples[0].image,
            example_label=self.examples[0].label,
        )

    def _write(self, files: dict[str, bytes]) -> None:
        try:
            replace_files(self.folder, files)
        except OSError as error:
            raise self._unwritable(error) from error

    def _append(self, row: dict[str, Any]) -> None:
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _log_up_to(self, step: int) -> bytes:
        rows = [row for row in read_log(self.folder) if row["step"] <= step]
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.folder} cannot be written: {error.strerror or error}; the model saved before "
            "is kept; free some space and continue with --resume"
        )

    def _count(self, started: float) -> None:
        """Count time that is not training against the budget of a timed training."""
        if self.plan.seconds is not None:
            self.trainer.seconds += time.perf_counter() - started


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

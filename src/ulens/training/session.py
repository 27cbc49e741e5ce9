"""One training with its folder: what is logged, validated, saved and scored."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ulens.annotated.holdout import Split
from ulens.annotated.samples import Annotated, Sample
from ulens.bundle import START, ModelBundle, load_bundle, save_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import TrainingError
from ulens.nets.build import undo_balance
from ulens.nets.network import Network
from ulens.nets.properties import count_multiplications
from ulens.nets.unet import UNet
from ulens.planning.plan import Plan
from ulens.predict.engine_choice import ALLOWED, Tolerance
from ulens.predict.engines import torch_engine
from ulens.predict.segmenter import Found, Segmenter
from ulens.predict.tiles import Slices
from ulens.training.begin import begin_network, images_seen, reach_px
from ulens.training.calendar import Calendar
from ulens.training.clock import USUAL, Pace
from ulens.training.examples import cut_example
from ulens.training.model_folder import (
    BEGUN,
    HELD_OUT,
    LOG,
    PLAN,
    STATE,
    ModelFolder,
    hash_plan,
    read_begun,
)
from ulens.training.quantization import prepare_int8
from ulens.training.ranks import ALONE, Ranks
from ulens.training.scored import Scored, load_scored, score_predictions
from ulens.training.state import load_state, save_state
from ulens.training.tensors import class_frequencies
from ulens.training.trainer import StepLog, Trainer
from ulens.training.training_set import TrainingSet
from ulens.training.validate import Prediction, first_decoding, predict_unseen, score

NUM_EXAMPLES, NUM_WINDOWS, WINDOW_PX = 8, 2, 196
WORTH_MULTIPLICATIONS = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Scores on held-out annotations during training."""

    step: int
    scores: dict[str, float]


class Session:
    """A trainer and the model folder it fills.

    Parameters
    ----------
    folder : of the model
    annotated, split : the images, and which of them are held out
    plan : all choices
    device : where the network is trained
    start_from : model folder to take the first weights and thresholds from, or None
    ranks, pace : as in `Trainer`

    Notes
    -----
    The held-out annotations are scored when `Pace.scored_at` of the training is done; the rest is
    on all images. So the score is honest, and none of the few annotations is lost for the network.
    Where none are held out, the score comes from elsewhere: `take_score`.
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
        pace: Pace = USUAL,
    ) -> None:
        self.folder, self.plan = ModelFolder(folder), plan
        self.samples = TrainingSet(annotated, split, plan, device)
        self.decoding = first_decoding(split.training, plan.encoding.name, plan.tiles.zoom)
        start = load_bundle(start_from) if start_from is not None else None
        self._seen_before = images_seen(start, start_from)
        if start is not None and start.encoding == plan.encoding.name and start_from != START:
            grid = ENCODINGS[plan.encoding.name].grid
            self.decoding |= {name: start.decoding[name] for name in grid if name in start.decoding}
        shown = (split.held_out or split.training)[:NUM_EXAMPLES]
        normalization = self.samples.normalization
        self.examples = [cut_example(plan, normalization, sample) for sample in shown]
        self.trainer = Trainer(
            begin_network(plan, self.samples.num_channels, start, start_from),
            self.samples.images,
            plan,
            all_images=self.samples.all_images,
            is_trained=start_from is not None,
            ranks=ranks,
            pace=pace,
        )
        self._calendar = Calendar(plan, self.trainer)
        self._scored: Scored | None = None

    def add(self, samples: Sequence[Sample], order: Sequence[str] = ()) -> None:
        """Train on more annotated images, or on changed labels, from the next step on.

        What is held out stays so. Of new images one in ten is held out, too, as long as nothing is
        scored and the model that training started from has not seen them. Normalisation and
        decoding stay those of the images that were there at first.

        Parameters
        ----------
        samples : of the same kind of labels and channels; one of a name that is known takes the
            place of that image
        order : names of images as they will be read when the training is resumed; else new ones
            come last

        Raises
        ------
        DataError : an image has other channels
        """
        seen = self._seen_before or ()
        self.samples.add(samples, hold_out=self.is_unscored, seen=seen, order=order)
        self.trainer.tiles.images, self.trainer.tiles.all_images = (
            self.samples.images,
            self.samples.all_images,
        )

    def start(self, *, planning_seconds: float) -> None:
        """Write the plan and a first model; planning counts against a time budget.

        Notes
        -----
        The first state is the moment at which a new training replaces an old one: a kill before it
        leaves the old one, a kill after it the new one, see `begun_plan`. The old model stays
        until the new one is whole.
        """
        if self.plan.length.seconds is not None:
            # at least half of the budget is for training, however short it is
            self.trainer.clock.seconds = min(planning_seconds, self.plan.length.seconds / 2)
        self.folder.announce(self.plan.to_bytes())
        self._save_state()
        self.folder.write({PLAN: self.plan.to_bytes(), LOG: b""})
        self.save()

    def resume(self) -> None:
        """Continue the training that the folder holds.

        Raises
        ------
        TrainingError : there is none, or it was on other images
        """
        tensors, record = load_state(self.folder.path / STATE)
        begun = read_begun(self.folder.path, record, self.plan.encoding.name)
        self.trainer.restore(tensors, {k: v for k, v in record.items() if k not in BEGUN})
        begun_on, self.decoding = begun.provenance.get("data_sha256"), begun.decoding
        self._seen_before = begun.provenance.get("seen")
        if begun_on != self.samples.data_sha256:
            raise TrainingError(
                f"the training in {self.folder.path} was on other images or labels; resume it with "
                "those it was started with, or start a new one with --overwrite"
            )
        if self.trainer.tiles.uses_all:
            self._scored = load_scored(
                self.folder.path / HELD_OUT,
                self.samples.split.held_out,
                self.plan.encoding.name,
            )
            self.decoding = self._scored.decoding
        log = self.folder.log_up_to(self.trainer.clock.step)
        # the plan too: it may now be longer than the one the training was started with
        self.folder.write({PLAN: self.plan.to_bytes(), LOG: log})
        self._calendar.resume()

    def write_log(self, log: StepLog) -> None:
        """Append a step to the log; after a roll-back, without the steps that did not count."""
        if log.skipped is not None:
            self.folder.write({LOG: self.folder.log_up_to(log.step)})
        self.folder.append_to_log(asdict(log))

    @property
    def is_unscored(self) -> bool:
        """Whether anything is held out that has not been scored yet."""
        return self._scored is None and bool(self.samples.split.held_out)

    def validation_is_due(self) -> bool:
        """Whether it is time for `validate`."""
        held_out = self.samples.split.held_out
        return self.is_unscored and self._calendar.validation_is_due(held_out)

    def scoring_is_due(self) -> bool:
        """Whether it is time for `score_held_out`."""
        return self.is_unscored and self._calendar.scoring_is_due()

    def save_is_due(self) -> bool:
        """Whether it is time for `save`."""
        return self._calendar.save_is_due()

    def validate(self) -> Validation:
        """Score the held-out annotations."""
        with self._calendar.validating():
            scores = score(self._predict(), self.samples.annotated.labels_are)
            self._log_scores(scores)
        return Validation(step=self.trainer.clock.step, scores=scores)

    def score_held_out(self) -> Validation:
        """Score the held-out annotations, tune the decoding, and train on all images from now."""
        with self._calendar.counting():
            scored = self._score()
            scored.save(self.folder.path / HELD_OUT)
            self.take_score(scored)
            self._log_scores(scored.scores)
            self.trainer.use_all()
        return Validation(step=scored.step, scores=scored.scores)

    def show(self, image: np.ndarray, window: Slices) -> Found:
        """Return what the network finds in a part of an image by now; the time is training's.

        Parameters
        ----------
        image : (C, Y, X) with the channels of the training images
        window : (y, x) slices of the part; what is around it is seen as far as the network looks
        """
        with self._calendar.counting():
            device = self.trainer.device
            segmenter = Segmenter(self._bundle(), device=str(device), engine=torch_engine(device))
            return segmenter.segment_part(image, window, reach_px(self.plan))

    def save(self) -> None:
        """Save the state to resume from, and the model as it is now."""
        with self._calendar.saving():
            self._save_state()
            save_bundle(self._bundle(), self.folder.path)

    def _save_state(self) -> None:
        tensors, record = self.trainer.snapshot
        begun = {
            "plan_sha256": hash_plan(self.plan.to_bytes()),
            "provenance": self._provenance(),
            "decoding": self.decoding,
        }
        save_state(self.folder.path / STATE, tensors, record | begun)

    def save_end(self) -> None:
        """Save what there is when training ends, before scoring, which may take long or fail."""
        if self.plan.length.seconds is not None:
            # a timed training promises no exact repetition: nothing done is given up
            self.trainer.take_snapshot()
        self.save()

    def take_score(self, scored: Scored) -> None:
        """Take a score and the decoding tuned with it; the model is saved with them from now on."""
        self._scored, self.decoding = scored, scored.decoding

    def finish(self) -> tuple[ModelBundle, list[Prediction]]:
        """Save the model; where training ended too soon, score it first."""
        if self.is_unscored:
            self.take_score(self._score())
        bundle = self._bundle()
        save_bundle(bundle, self.folder.path)
        return bundle, self._scored.predictions if self._scored else []

    def prepare_int8(
        self,
        bundle: ModelBundle,
        *,
        worth_multiplications: int = WORTH_MULTIPLICATIONS,
        allowed: Tolerance = ALLOWED,
    ) -> ModelBundle:
        """Find the convolutions that 8-bit integers compute well enough, and save them.

        Well enough: the maps of up to `NUM_EXAMPLES` held-out windows differ little, and so does
        their score.

        Parameters
        ----------
        bundle : as `finish` returns it
        worth_multiplications : a network that needs fewer for an example stays as it is
        allowed : by how much maps and score may differ
        """
        size = self.examples[0].image.shape[-2:]
        if (
            not isinstance(bundle.net, UNet)
            or count_multiplications(bundle.net, (size[0], size[1])) < worth_multiplications
        ):
            return bundle
        windows = [
            cut_example(self.plan, self.samples.normalization, sample, WINDOW_PX).image
            for sample in self.samples.split.training[:NUM_WINDOWS]
        ]
        net, int8 = prepare_int8(
            bundle.net, windows, self.examples, encoding=bundle.encoding, decoding=bundle.decoding,
            zoom=bundle.zoom, allowed=allowed,
        )  # fmt: skip
        bundle = replace(bundle, net=net, int8=int8)
        save_bundle(bundle, self.folder.path)
        return bundle

    def _log_scores(self, scores: dict[str, float]) -> None:
        clock = self.trainer.clock
        self.folder.append_to_log({"step": clock.step, "seconds": clock.seconds, "score": scores})

    def _score(self) -> Scored:
        step = self.trainer.clock.step
        return score_predictions(self._predict(), self.plan.encoding.name, self.decoding, step=step)

    def _predict(self) -> list[Prediction]:
        return predict_unseen(self._bundle(), self.samples.split.held_out, str(self.trainer.device))

    def _trained_network(self) -> Network:
        net = self.plan.make_network(self.samples.num_channels)
        net.load_state_dict(self.trainer.weights())
        if self.plan.tiles.balanced:
            shares = class_frequencies(self.samples.images, len(self.plan.encoding.class_weights))
            undo_balance(net, shares.clip(1e-6))
        return net

    def _seen(self) -> list[str] | None:
        """Return the hashes of all images that the model or those before it have seen."""
        before = self._seen_before
        return None if before is None else sorted({*before, *self.samples.hashes})

    def _provenance(self) -> dict[str, Any]:
        scored = self._scored
        return {
            "ulens": version("ulens"),
            "torch": torch.__version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "data_sha256": self.samples.data_sha256,
            "num_images": len(self.samples.annotated.samples),
            "channels": list(self.samples.annotated.channels),
            **self.samples.split.chosen.to_json(),
            "seen": self._seen(),
            "scored_at_step": scored.step if scored else None,
            "folds": list(scored.folds) if scored else [],
            "scores_rest_on": scored.evidence.to_json() if scored and scored.evidence else None,
            "steps": self.trainer.clock.step,
            "training_seconds": round(self.trainer.clock.seconds, 1),
            "progress": round(self.trainer.clock.progress, 4),
        }

    def _bundle(self) -> ModelBundle:
        annotated, scored = self.samples.annotated, self._scored
        return ModelBundle(
            net=self._trained_network().eval(),
            normalization=self.samples.normalization,
            encoding=self.plan.encoding.name,
            class_values=annotated.class_values,
            decoding=self.decoding,
            spacing_um=annotated.spacing_um,
            zoom=self.plan.tiles.zoom,
            plan=self.plan.to_json(),
            scores=scored.scores if scored else {},
            provenance=self._provenance(),
            example=self.examples[0].image,
            example_label=self.examples[0].label,
            familiar=self.samples.familiar,
        )

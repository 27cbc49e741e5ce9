"""Training: one pass of the loop per yielded StepLog."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.encodings.losses import counted_weight
from ulens.encodings.table import ENCODINGS
from ulens.errors import TrainingError
from ulens.nets.draws import own_draws
from ulens.nets.normalized import Moments, adopt, fold, freeze, measure_outputs, normalize
from ulens.nets.unet import UNet
from ulens.planning.plan import Plan
from ulens.training.optimizers import Optimizer
from ulens.training.ranks import ALONE, Ranks
from ulens.training.schedule import learning_rate
from ulens.training.tensors import TrainingImage, cut, draw

SNAPSHOT_STEPS = 50
SNAPSHOT_SECONDS = 30.0
MAX_BAD_DRAWS = 3
DENSE_AVERAGE_STEPS, AVERAGE_EVERY = 100, 4
NUM_PLAIN_TILES, PLAIN_OUTPUT_PX, MAX_PLAIN_DRAWS = 10, 196, 100
CONSTANT_SD = 1e-3  # whole images have 1
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLog:
    """What one step did.

    Parameters
    ----------
    step : steps done, this one included
    seconds : training time so far
    loss : of this step's tiles
    learning_rate : of this step
    progress : done part of the training, 0 to 1
    skipped : None, or the name of the image whose draw gave no finite loss; the weights are
        then back at the last snapshot and `step` with them
    """

    step: int
    seconds: float
    loss: float
    learning_rate: float
    progress: float
    skipped: str | None = None


class Trainer:
    """Trains a network as a plan says.

    Parameters
    ----------
    net : any network with a `geometry` and (B, C, Y, X) → (B, K, …) outputs; it becomes the
        trainer's own
    images : the training images, on the device of the network
    plan : all choices
    all_images : these and the held-out ones, for the time after `use_all`
    is_trained : whether the network is that of a model; its function is kept, then, where the plan
        wants batch normalisation
    ranks : the processes that train together; each takes its part of `plan.batch` tiles times
        their number, and a step is that of one process with so large a batch

    Notes
    -----
    Iterate to train; stop whenever you like. All random numbers depend on the plan's seed and
    the step alone. Every 50 steps, in a slow training by time also in between, a snapshot of
    the whole state is taken: `snapshot` is what is saved to disk and what a loss that is not
    finite rolls back to. So a resumed training by steps repeats exactly what the uninterrupted
    one would have done.

    Where the plan wants batch normalisation, a tile is normalised by its own moments until
    `frozen_at` of the time from the first step on has passed, and then by moments that stay, as at
    prediction.
    """

    def __init__(
        self,
        net: nn.Module,
        images: Sequence[TrainingImage],
        plan: Plan,
        *,
        all_images: Sequence[TrainingImage] = (),
        is_trained: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.images, self.plan, self.ranks = images, plan, ranks
        self.all_images, self.uses_all = all_images, False
        self.device = images[0].image.device
        self.net, self._is_trained = net, is_trained
        if plan.batch_norm:
            normalize(cast(UNet, net))
        self._memory_format = MEMORY_FORMATS[plan.memory_format]
        self.net.to(self.device).to(memory_format=self._memory_format)  # type: ignore[call-overload]
        self.moments: dict[str, Moments] = {}  # that are frozen
        self.step = 0
        if plan.batch_norm and is_trained:
            adopt(cast(UNet, self.net), self._plain_tiles())
        self._shared_net = ranks.share_gradients(self.net)
        self.average = {name: value.detach().clone() for name, value in net.named_parameters()}
        self.optimizer = Optimizer(
            plan.optimizer,
            net.parameters(),
            weight_decay=plan.weight_decay,
            momentum=plan.momentum,
        )
        self.seconds = self.begun_at = 0.0
        self.rate_factor = 1.0
        self.skipped: list[int] = []
        self._is_stopped = False
        self.take_snapshot()

    @property
    def progress(self) -> float:
        """Done part of the training, 0 to 1."""
        if self.plan.steps is not None:
            return min(1.0, self.step / self.plan.steps)
        assert self.plan.seconds is not None
        return min(1.0, self.seconds / self.plan.seconds)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to keep, of a plain network: the running average, or the last ones."""
        kept = self.average if self.plan.averaging > 0 else dict(self.net.named_parameters())
        if self.plan.batch_norm:
            kept = fold(kept, self.moments or self._measure_moments(kept))
        return {name: value.detach().clone() for name, value in kept.items()}

    def _measure_moments(self, weights: Mapping[str, Tensor]) -> dict[str, Moments]:
        with self._precision():
            return measure_outputs(cast(UNet, self.net), weights, self._plain_tiles())

    def _freezing_is_due(self) -> bool:
        begun = self.begun_at / self.plan.seconds if self.plan.seconds is not None else 0.0
        frozen_at = begun + self.plan.frozen_at * (1 - begun)
        return self.plan.batch_norm and self.progress >= frozen_at

    @torch.no_grad()
    def _freeze(self) -> None:
        """Go on from the averaged weights, and normalise by the moments that they have."""
        if self.plan.averaging > 0:
            for name, value in self.net.named_parameters():
                value.copy_(self.average[name])
        own = self._measure_moments(dict(self.net.named_parameters()))
        self._use_moments(self.ranks.from_first(own))

    def _use_moments(self, moments: Mapping[str, Moments]) -> None:
        self.moments = {
            name: (mean.to(self.device), variance.to(self.device))
            for name, (mean, variance) in moments.items()
        }
        freeze(cast(UNet, self.net), self.moments)

    def _plain_tiles(self) -> Tensor:
        """Return (B, C, Y, X) tiles as they are, of as many images as there are, not constant."""
        images = self._images()
        largest = max(max(each.weight.shape) for each in images)
        plan = replace(
            self.plan,
            crop=self.plan.network_geometry.input_size(min(largest, PLAIN_OUTPUT_PX)),
            geometry=GeometrySettings(elastic_sd_px=0, rotation_deg=0, mirror=False),
            intensity=IntensitySettings(slope=(1, 1), offset_sd=0),
        )
        tiles = (cut(images, plan, draw(images, plan, i))[0] for i in range(MAX_PLAIN_DRAWS))
        varied = (tile for tile in tiles if float(tile.std()) > CONSTANT_SD)
        # weights that have learned nothing are not worth waiting for
        has_learned = self.step or self._is_trained or self.plan.frozen_at == 0
        chosen = list(islice(varied, NUM_PLAIN_TILES if has_learned else 1))
        return torch.stack(chosen or [cut(images, plan, draw(images, plan, 0))[0]])

    def _precision(self) -> torch.autocast:
        is_mixed = self.plan.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_mixed)

    def use_all(self) -> None:
        """Train on all images from the next step on, in all processes."""
        self.uses_all = True

    def stop(self) -> None:
        """End the training before the next step, in all processes."""
        self._is_stopped = True

    def __iter__(self) -> Iterator[StepLog]:
        if self.ranks.num > 1:
            self.take_snapshot()
            self.restore(*self.ranks.from_first(self.snapshot))
        while self._goes_on():
            started = time.perf_counter()
            if self.step == 0:
                self.begun_at = self.seconds
            if not self.moments and self._freezing_is_due():
                self._freeze()
            rate = self.rate_factor * learning_rate(self.plan, self.step, self.progress)
            visits = self._visits()
            loss = self._loss(visits)
            value = float(self.ranks.sum(loss.detach()))
            skipped = None
            if math.isfinite(value) and self._update(loss, rate):
                self.step += 1
                self.seconds += time.perf_counter() - started
                if self._snapshot_is_due():
                    self.take_snapshot()
            else:
                skipped = self._roll_back(visits, value)
            yield StepLog(
                step=self.step,
                seconds=self.seconds,
                loss=value,
                learning_rate=rate,
                progress=self.progress,
                skipped=skipped,
            )
        self.take_snapshot()

    def _goes_on(self) -> bool:
        # what the first process knows counts for all
        self.seconds, self.uses_all, self._is_stopped = self.ranks.from_first(
            (self.seconds, self.uses_all, self._is_stopped)
        )
        return self.progress < 1 and not self._is_stopped

    def _snapshot_is_due(self) -> bool:
        """Whether 50 steps have passed; on a slow machine half a minute, if time is the measure."""
        since = self.seconds - self.snapshot[1]["seconds"]
        is_timed = self.plan.seconds is not None
        return self.step % SNAPSHOT_STEPS == 0 or (is_timed and since >= SNAPSHOT_SECONDS)

    def restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Return to a snapshot."""
        try:
            with torch.no_grad():
                for name, value in self.net.named_parameters():
                    value.copy_(tensors[f"net.{name}"])
                    self.average[name].copy_(tensors[f"average.{name}"])
            remembered = {
                name.removeprefix("optimizer."): value
                for name, value in tensors.items()
                if name.startswith("optimizer.")
            }
            self.optimizer.restore(remembered)
            names = [name.removeprefix("mean.") for name in tensors if name.startswith("mean.")]
            moments = {n: (tensors[f"mean.{n}"], tensors[f"variance.{n}"]) for n in names}
        except (KeyError, RuntimeError) as error:
            raise TrainingError(
                f"the saved training does not fit this network ({error}); resume with the plan "
                "it was started with"
            ) from error
        self.step, self.seconds = record["step"], record["seconds"]
        self.begun_at = record.get("begun_at", 0.0)
        # a training that has become longer is normalised tile by tile until it is due again
        self._use_moments(moments if self._freezing_is_due() else {})
        self.uses_all = record["uses_all"]
        self.rate_factor, self.skipped = record["rate_factor"], list(record["skipped"])
        self.snapshot = (tensors, record)

    def take_snapshot(self) -> None:
        """Keep the whole state as it is now, to save it or to roll back to it."""
        tensors = {f"net.{n}": v.detach().clone() for n, v in self.net.named_parameters()}
        tensors |= {f"average.{n}": v.clone() for n, v in self.average.items()}
        for name, (mean, variance) in self.moments.items():
            tensors |= {f"mean.{name}": mean, f"variance.{name}": variance}
        for name, value in self.optimizer.memory().items():
            tensors[f"optimizer.{name}"] = value
        record = {
            "step": self.step,
            "seconds": self.seconds,
            "begun_at": self.begun_at,
            "uses_all": self.uses_all,
            "rate_factor": self.rate_factor,
            "skipped": list(self.skipped),
        }
        self.snapshot = (tensors, record)

    def _images(self) -> Sequence[TrainingImage]:
        return self.all_images if self.uses_all else self.images

    def _visits(self) -> list[int]:
        """Numbers of this step's draws in all processes: the next ones not skipped for good."""
        visits = []
        num = self.plan.batch * self.ranks.num
        for number in range(self.step * num, (self.step + 1) * num):
            visit = number
            for bad in sorted(self.skipped):
                visit += bad <= visit
            visits.append(visit)
        return visits

    def _loss(self, visits: Sequence[int]) -> Tensor:
        start = self.ranks.rank * self.plan.batch
        visits = visits[start : start + self.plan.batch]
        images = self._images()
        draws = [draw(images, self.plan, visit) for visit in visits]
        tiles, targets, weights = (
            torch.stack(parts)
            for parts in zip(*(cut(images, self.plan, d) for d in draws), strict=True)
        )
        stream = np.random.SeedSequence([self.plan.seed, 2, visits[0]])
        self.net.train()
        with own_draws(int(stream.generate_state(1)[0]), self.device), self._precision():  # dropout
            output = self._shared_net(tiles.contiguous(memory_format=self._memory_format))
        total = self.ranks.sum(counted_weight(targets, weights).sum())
        return ENCODINGS[self.plan.encoding].loss(output, targets, weights, total)

    def _update(self, loss: Tensor, rate: float) -> bool:
        """Take one step; returns False, weights untouched, where a gradient is not finite."""
        self.optimizer.clear_gradients()
        (self.ranks.num * loss).backward()  # the processes' gradients are averaged, not summed
        parameters = list(self.net.parameters())
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not bool(torch.isfinite(norm)):
            return False
        if norm > (self.plan.clip_norm or math.inf):
            nn.utils.clip_grads_with_norm_(parameters, self.plan.clip_norm, norm)
        self.optimizer.step(rate)
        # it moves slowly: once it is long, it need not be brought up to date at every step
        every = 1 if self.step < DENSE_AVERAGE_STEPS else AVERAGE_EVERY
        if self.plan.averaging > 0 and (self.step + 1) % every == 0:
            decay = min(self.plan.averaging, (self.step + 1) / (self.step + 10)) ** every
            current = [value.detach() for value in parameters]
            torch._foreach_lerp_(list(self.average.values()), current, 1 - decay)
        return True

    def _roll_back(self, visits: Sequence[int], loss: float) -> str:
        """Go back to the snapshot, never draw these tiles again, halve the rate."""
        images = self._images()
        names = ", ".join(
            images[draw(images, self.plan, visit).image_index].name for visit in visits
        )
        skipped, rate_factor = [*self.skipped, *visits], self.rate_factor / 2
        if len(skipped) >= MAX_BAD_DRAWS * len(visits):
            raise TrainingError(
                f"the loss was not finite {MAX_BAD_DRAWS} times (last: {loss} on {names}), though "
                "the learning rate was halved each time; look at that image, or lower "
                f"learning_rate ({self.plan.learning_rate}) in the plan"
            )
        uses_all, seconds = self.uses_all, self.seconds
        self.restore(*self.snapshot)
        self.skipped, self.rate_factor, self.uses_all = skipped, rate_factor, uses_all
        if self.plan.seconds is not None:
            self.seconds = seconds  # they are spent
        self.take_snapshot()
        return names

"""Training: one pass of the loop per yielded StepLog."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ulens.encodings.losses import counted_weight
from ulens.encodings.table import ENCODINGS
from ulens.errors import SettingError, TrainingError
from ulens.nets.draws import own_draws
from ulens.nets.network import Network
from ulens.nets.normalized import Moments, normalize
from ulens.planning.plan import Plan
from ulens.record import read_record
from ulens.training.clock import USUAL, Clock, Pace
from ulens.training.kept_weights import KeptWeights, autocast
from ulens.training.optimizers import Optimizer
from ulens.training.ranks import ALONE, Ranks
from ulens.training.schedule import learning_rate
from ulens.training.state import check_tensor
from ulens.training.tensors import TrainingImage
from ulens.training.tiles import Tiles

MAX_BAD_DRAWS = 3
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """What a snapshot tells of the training beside its tensors."""

    step: int
    seconds: float
    begun_at: float = 0.0
    uses_all: bool
    rate_factor: float
    skipped: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.step, self.seconds, self.begun_at) < 0 or not 0 < self.rate_factor <= 1:
            raise SettingError(
                f"state: step {self.step}, seconds {self.seconds}, begun_at {self.begun_at} and "
                f"rate_factor {self.rate_factor}; need 0 or more, and a rate_factor up to 1"
            )


class Trainer:
    """Trains a network as a plan says.

    Parameters
    ----------
    net : becomes the trainer's own
    images : the training images, on the device of the network
    plan : all choices
    all_images : these and the held-out ones, for the time after `use_all`
    is_trained : whether the network is that of a model; its function is kept, then, where the plan
        wants batch normalisation
    ranks : the processes that train together; each takes its part of `batch` tiles times their
        number, and a step is that of one process with so large a batch

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
        net: Network,
        images: Sequence[TrainingImage],
        plan: Plan,
        *,
        all_images: Sequence[TrainingImage] = (),
        is_trained: bool = False,
        ranks: Ranks = ALONE,
        pace: Pace = USUAL,
    ) -> None:
        self.plan, self.ranks, self.net, self.pace = plan, ranks, net, pace
        self.device = images[0].image.device
        self.clock = Clock(plan.length)
        self.tiles = Tiles(images, all_images, plan, ranks)
        self._is_trained, self._is_stopped = is_trained, False
        if plan.network.batch_norm:
            normalize(net)
        self._memory_format = MEMORY_FORMATS[plan.tensors.memory_format]
        net.to(self.device).to(memory_format=self._memory_format)  # type: ignore[call-overload]
        self.kept = KeptWeights(net, plan, self.tiles, is_trained=is_trained)
        self._shared_net = ranks.share_gradients(net)
        self.optimizer = Optimizer(
            plan.optimizer.name,
            net.parameters(),
            weight_decay=plan.optimizer.weight_decay,
            momentum=plan.optimizer.momentum,
        )
        self.rate_factor = 1.0
        self.take_snapshot()

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to keep, of a plain network: the running average, or the last ones."""
        # weights that have learned nothing are not worth waiting for
        begins_frozen = self.plan.network.frozen_at == 0
        has_learned = bool(self.clock.step) or self._is_trained or begins_frozen
        return self.kept.plain(has_learned=has_learned)

    def use_all(self) -> None:
        """Train on all images from the next step on, in all processes."""
        self.tiles.uses_all = True

    def stop(self) -> None:
        """End the training before the next step, in all processes."""
        self._is_stopped = True

    def __iter__(self) -> Iterator[StepLog]:
        clock = self.clock
        if self.ranks.num > 1:
            self.take_snapshot()
            self.restore(*self.ranks.from_first(self.snapshot))
        while self._goes_on():
            started = time.perf_counter()
            if clock.step == 0:
                clock.begun_at = clock.seconds
            if not self.kept.moments and self._freezing_is_due():
                self.kept.use(self.ranks.from_first(self.kept.freeze()))
            rate = self.rate_factor * learning_rate(self.plan.optimizer, clock.step, clock.progress)
            visits = self.tiles.visits(clock.step)
            loss = self._loss(self.tiles.own(visits))
            value = float(self.ranks.sum(loss.detach()))
            skipped = None
            if math.isfinite(value) and self._update(loss, rate):
                clock.step += 1
                clock.seconds += time.perf_counter() - started
                if self._snapshot_is_due():
                    self.take_snapshot()
            else:
                skipped = self._roll_back(visits, value)
            yield StepLog(
                step=clock.step,
                seconds=clock.seconds,
                loss=value,
                learning_rate=rate,
                progress=clock.progress,
                skipped=skipped,
            )
        self.take_snapshot()

    def _goes_on(self) -> bool:
        # what the first process knows counts for all
        self.clock.seconds, self.tiles.uses_all, self._is_stopped = self.ranks.from_first(
            (self.clock.seconds, self.tiles.uses_all, self._is_stopped)
        )
        return self.clock.progress < 1 and not self._is_stopped

    def _freezing_is_due(self) -> bool:
        network = self.plan.network
        return network.batch_norm and self.clock.has_passed(network.frozen_at)

    def _snapshot_is_due(self) -> bool:
        """Whether its steps have passed; on a slow machine its seconds, if time is the measure."""
        since = self.clock.seconds - self.snapshot[1]["seconds"]
        is_late = self.clock.is_timed and since >= self.pace.snapshot_seconds
        return self.clock.step % self.pace.snapshot_steps == 0 or is_late

    def _loss(self, visits: Sequence[int]) -> Tensor:
        tiles, targets, weights = self.tiles.cut(visits)
        stream = np.random.SeedSequence([self.plan.seed, 2, visits[0]])
        self.net.train()
        with (
            own_draws(int(stream.generate_state(1)[0]), self.device),  # dropout
            autocast(self.plan, self.device),
        ):
            output = self._shared_net(tiles.contiguous(memory_format=self._memory_format))
        total = self.ranks.sum(counted_weight(targets, weights).sum())
        return ENCODINGS[self.plan.encoding.name].loss(output, targets, weights, total)

    def _update(self, loss: Tensor, rate: float) -> bool:
        """Take one step; returns False, weights untouched, where a gradient is not finite."""
        self.optimizer.clear_gradients()
        (self.ranks.num * loss).backward()  # the processes' gradients are averaged, not summed
        parameters = list(self.net.parameters())
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not bool(torch.isfinite(norm)):
            return False
        largest = self.plan.optimizer.clip_norm
        if norm > (largest or math.inf):
            nn.utils.clip_grads_with_norm_(parameters, largest, norm)
        self.optimizer.step(rate)
        self.kept.follow(self.clock.step)
        return True

    def _roll_back(self, visits: Sequence[int], loss: float) -> str:
        """Go back to the snapshot, never draw these tiles again, halve the rate."""
        clock, tiles = self.clock, self.tiles
        names = tiles.names(visits)
        skipped, rate_factor = [*tiles.skipped, *visits], self.rate_factor / 2
        if len(skipped) >= MAX_BAD_DRAWS * len(visits):
            raise TrainingError(
                f"the loss was not finite {MAX_BAD_DRAWS} times (last: {loss} on {names}), though "
                "the learning rate was halved each time; look at that image, or lower "
                f"learning_rate ({self.plan.optimizer.learning_rate}) in the plan"
            )
        uses_all, seconds = tiles.uses_all, clock.seconds
        self.restore(*self.snapshot)
        tiles.skipped, self.rate_factor, tiles.uses_all = skipped, rate_factor, uses_all
        if clock.is_timed:
            clock.seconds = seconds  # they are spent
        self.take_snapshot()
        return names

    def take_snapshot(self) -> None:
        """Keep the whole state as it is now, to save it or to roll back to it."""
        tensors = {f"net.{n}": v.detach().clone() for n, v in self.net.named_parameters()}
        tensors |= {f"average.{n}": v.clone() for n, v in self.kept.average.items()}
        for name, (mean, variance) in self.kept.moments.items():
            tensors |= {f"mean.{name}": mean, f"variance.{name}": variance}
        for name, value in self.optimizer.memory().items():
            tensors[f"optimizer.{name}"] = value
        record: dict[str, Any] = {
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "begun_at": self.clock.begun_at,
            "uses_all": self.tiles.uses_all,
            "rate_factor": self.rate_factor,
            "skipped": list(self.tiles.skipped),
        }
        self.snapshot = (tensors, record)

    def restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Return to a snapshot.

        Raises
        ------
        TrainingError : it is of another network, or damaged
        """
        try:
            done = read_record(_Done, record, "state")
            with torch.no_grad():
                for name, value in self.net.named_parameters():
                    for saved, kept in (("net", value), ("average", self.kept.average[name])):
                        name_there = f"{saved}.{name}"
                        kept.copy_(check_tensor(name_there, tensors.get(name_there), kept))
            self.optimizer.restore(_under("optimizer.", tensors))
            moments = _read_moments(tensors, self.net)
        except SettingError as error:
            raise TrainingError(
                f"the saved training does not fit this network ({error}); resume with the plan "
                "it was started with"
            ) from error
        self.clock.step, self.clock.seconds = done.step, done.seconds
        self.clock.begun_at = done.begun_at
        # a training that has become longer is normalised tile by tile until it is due again
        self.kept.use(moments if self._freezing_is_due() else {})
        self.tiles.uses_all, self.tiles.skipped = done.uses_all, list(done.skipped)
        self.rate_factor = done.rate_factor
        self.snapshot = (tensors, record)


def _read_moments(tensors: Mapping[str, Tensor], net: Network) -> dict[str, Moments]:
    """Return those of all normalised convolutions of a network, or none; raises SettingError."""
    means, variances = _under("mean.", tensors), _under("variance.", tensors)
    if not means and not variances:
        return {}
    scales = {
        n.removesuffix(".scale"): p for n, p in net.named_parameters() if n.endswith(".scale")
    }
    return {
        name: (
            check_tensor(f"mean.{name}", means.get(name), scale),
            check_tensor(f"variance.{name}", variances.get(name), scale),
        )
        for name, scale in scales.items()
    }


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}

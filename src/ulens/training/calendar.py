"""When a training is validated, scored and saved, and how much of its time that takes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ulens.annotated.samples import Sample
from ulens.planning.plan import Plan
from ulens.resample import size_at
from ulens.training.trainer import Trainer

SAVE_SECONDS = 60.0
NUM_VALIDATIONS = 10
VALIDATION_SHARE = 0.05  # the scoring at `SCORED_AT` takes about as much again
SCORED_AT = 0.7


class Calendar:
    """What is due at a step.

    Parameters
    ----------
    plan, trainer : of the training
    scored_at : the done part of it after which what is held out is scored and trained on, too; 1
        where it is never trained on
    """

    def __init__(self, plan: Plan, trainer: Trainer, scored_at: float = SCORED_AT) -> None:
        self._scored_at = scored_at
        self._plan, self._trainer, self._clock = plan, trainer, trainer.clock
        self._num_validated = 0
        self._validating_seconds = 0.0
        self._last_validation_seconds: float | None = None
        self._saved_at = 0.0

    def resume(self) -> None:
        """Go on at the trainer's step."""
        self._num_validated = int(self._clock.progress * NUM_VALIDATIONS)
        self._saved_at = self._clock.seconds

    def validation_is_due(self, held_out: Sequence[Sample]) -> bool:
        """Whether a tenth of the training has passed.

        Not during the warm-up of the learning rate and as long again, when there is nothing to see
        yet. Of a time budget no more than a share is spent on it.
        """
        if self._clock.step < 2 * self._plan.optimizer.warmup_steps:
            return False
        passed = self._clock.progress * NUM_VALIDATIONS
        if not self._num_validated + 1 <= passed < NUM_VALIDATIONS:
            return False
        spent = self._validating_seconds + self._seconds_of_a_validation(held_out)
        return not self._clock.is_timed or spent <= VALIDATION_SHARE * self._clock.seconds

    def scoring_is_due(self) -> bool:
        """Whether it is time to score what is held out, and to train on that, too."""
        return self._scored_at <= self._clock.progress < 1

    def save_is_due(self) -> bool:
        """Whether a minute has passed; only a snapshot is saved, so that resuming is exact."""
        trainer = self._trainer
        is_snapshot = trainer.snapshot[1]["step"] == self._clock.step
        return is_snapshot and self._clock.seconds - self._saved_at >= SAVE_SECONDS

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Count what is done in it as a validation."""
        self._num_validated = int(self._clock.progress * NUM_VALIDATIONS)
        started = time.perf_counter()
        with self.counting():
            yield
        self._last_validation_seconds = time.perf_counter() - started
        self._validating_seconds += self._last_validation_seconds

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Count what is done in it as saving."""
        with self.counting():
            yield
        self._saved_at = self._clock.seconds

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the time of what is no training against the budget of a timed one."""
        started = time.perf_counter()
        yield
        if self._clock.is_timed:
            self._clock.seconds += time.perf_counter() - started

    def _seconds_of_a_validation(self, held_out: Sequence[Sample]) -> float:
        """Return what the last one took; before there was one, what training on as much takes."""
        if self._last_validation_seconds is not None:
            return self._last_validation_seconds
        margin = self._plan.network_geometry.margin
        sizes = [size_at(sample.label.shape, self._plan.tiles.zoom) for sample in held_out]
        num_pixels = sum((y + 2 * margin) * (x + 2 * margin) for y, x in sizes)
        seconds_per_step = self._clock.seconds / max(1, self._clock.step)
        return seconds_per_step * num_pixels / (self._plan.tiles.batch * self._plan.tiles.crop**2)

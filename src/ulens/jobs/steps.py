"""The steps of a training, and what it tells on the way."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ulens.bundle import ModelBundle
from ulens.jobs.inspect import Inspected
from ulens.training.session import Session, Validation
from ulens.training.trainer import StepLog


@dataclass(frozen=True, slots=True)
class Message:
    """Something the user should read."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """The last event: the finished model."""

    bundle: ModelBundle
    stopped: bool


def step_in_words(log: StepLog) -> str:
    """Return how far a training is."""
    left = log.seconds * (1 - log.progress) / max(log.progress, 1e-9)
    minutes, seconds = divmod(round(left), 60)
    speed = log.step / max(log.seconds, 1e-9)
    return (
        f"step {log.step}, loss {log.loss:.3f}, {speed:.2f} steps/s, {minutes}:{seconds:02d} left"
    )


TrainEvent = Inspected | Message | Validation | StepLog | Trained


def take_steps(
    session: Session,
    stop: threading.Event,
    between: Callable[[Session], None] | None = None,
) -> Iterator[TrainEvent]:
    """Train to the end or until `stop` is set; validate, score and save when it is time.

    Parameters
    ----------
    between : called after each step; may give the session more samples, or look what it finds
    """
    for log in session.trainer:
        session.write_log(log)
        yield log
        if between is not None:
            between(session)
        yield from score_if_due(session)
        if session.validation_is_due():
            yield session.validate()
        if session.save_is_due():
            session.save()
        if stop.is_set():
            yield Message(f"stopped at step {log.step}; scoring and keeping what there is")
            session.trainer.stop()
    session.save_end()


def score_if_due(session: Session) -> Iterator[TrainEvent]:
    """Score what is held out when it is time; from then on it is trained on, too."""
    if session.scoring_is_due():
        yield Message("scoring what was held out; from now on that is trained on too …")
        session.save()  # scoring may take long or fail
        yield session.score_held_out()

"""How far a training is, by steps or by time, and how often it is scored and saved."""

from dataclasses import dataclass

from ulens.planning.parts import Length


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How often a training does what is no step.

    Parameters
    ----------
    snapshot_steps : steps from one snapshot of the whole state to the next
    snapshot_seconds : on a slow computer, where time is the measure, seconds from one to the next
    save_seconds : at least so many from one save to the next
    num_validations : in a whole training
    validation_share : of a budget of time, at most; the scoring takes about as much again
    scored_at : share of the training after which what is held out is scored, and trained on; 1
        where it is never trained on
    """

    snapshot_steps: int = 50
    snapshot_seconds: float = 30.0
    save_seconds: float = 60.0
    num_validations: int = 10
    validation_share: float = 0.05
    scored_at: float = 0.7


USUAL = Pace()


@dataclass(slots=True)
class Clock:
    """What has passed of a training.

    Parameters
    ----------
    length : of the training
    step : steps done
    seconds : spent, with what else counts against a budget of time
    begun_at : seconds that were spent before the first step
    """

    length: Length
    step: int = 0
    seconds: float = 0.0
    begun_at: float = 0.0

    @property
    def is_timed(self) -> bool:
        """Whether seconds are the measure."""
        return self.length.seconds is not None

    @property
    def progress(self) -> float:
        """Done part of the training, 0 to 1."""
        if self.length.seconds is not None:
            return min(1.0, self.seconds / self.length.seconds)
        assert self.length.steps is not None
        return min(1.0, self.step / self.length.steps)

    def has_passed(self, share: float) -> bool:
        """Whether a share of the training has passed, from its first step on."""
        seconds = self.length.seconds
        begun = self.begun_at / seconds if seconds is not None else 0.0
        return self.progress >= begun + share * (1 - begun)

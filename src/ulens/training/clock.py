"""How far a training is, by steps or by time."""

from dataclasses import dataclass

from ulens.planning.parts import Length


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

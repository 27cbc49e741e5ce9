"""How far a score may be off: bootstrap intervals over images, or over the tiles of one image."""

from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
NUM_DRAWS = 2000

Interval = tuple[float, float]


def bootstrap_interval(
    value: float, units: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> Interval | None:
    """Return the 95 % interval of a score in [0, 1]; None where the units do not tell one.

    They do not if there is one alone, or if all draws of them give the same score.

    Parameters
    ----------
    value : the score
    units : (N, …) of each image or tile what the score is made of
    statistic : maps means over units, (B, …), to B scores

    Notes
    -----
    Units are drawn with replacement, as many as there are. The interval is the score plus and
    minus the standard deviation of the scores of these draws, times √(N/(N−1)) and the quantile of
    Student's t for N − 1: the few percentiles that two or three units give are far too close
    together (Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789). The draws are the
    same in each call.

    Examples
    --------
    >>> low, high = bootstrap_interval(0.5, np.array([0.4, 0.6, 0.5]), lambda means: means)
    >>> round(low, 2), round(high, 2)
    (0.25, 0.75)
    """
    num = len(units)
    if num < 2:
        return None
    draws = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=NUM_DRAWS)
    scores = statistic(np.tensordot(draws / num, units, axes=1))
    quantile = stdtrit(num - 1, (1 + LEVEL) / 2)  # of Student's t
    spread = float(np.std(scores) * quantile * np.sqrt(num / (num - 1)))
    if spread < 1e-9:
        return None
    return max(0.0, value - spread), min(1.0, value + spread)

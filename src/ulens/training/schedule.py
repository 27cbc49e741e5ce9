"""How the learning rate changes over a training."""

import math

from ulens.planning.parts import OptimizerPlan

FINAL_FRACTION = 0.01


def learning_rate(plan: OptimizerPlan, step: int, progress: float) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    step : steps done so far, for the warm-up
    progress : done part of the training, 0 to 1
    """
    rate = plan.learning_rate * min(1.0, (step + 1) / max(1, plan.warmup_steps))
    if plan.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        rate *= FINAL_FRACTION + (1 - FINAL_FRACTION) * fall
    return rate

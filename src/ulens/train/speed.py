"""How fast this machine trains a plan's network."""

import time
from dataclasses import replace

import numpy as np
import torch

from ulens.data.dataset import prepare
from ulens.data.plan import Plan
from ulens.io.annotations import Sample
from ulens.normalize import fit_normalization
from ulens.train.trainer import Trainer

TIMED_STEPS = 3


def steps_per_second(plan: Plan, *, in_channels: int, device: torch.device) -> float:
    """Train a network of the plan's shape on noise for a few steps and return its speed."""
    size = (plan.crop, plan.crop)
    noise = Sample(
        name="noise",
        image=np.random.default_rng(0).standard_normal((in_channels, *size)),
        label=np.zeros(size, np.int32),
    )
    images = prepare([noise], fit_normalization([noise.image]), plan=plan, device=device)
    net = plan.make_network(in_channels)
    # far longer than what is timed, so that all steps are those of a beginning
    timed = replace(plan, seconds=None, steps=100 * TIMED_STEPS)
    steps = iter(Trainer(net, images, timed))
    next(steps)  # the first one allocates and compiles
    _wait_for(device)
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        next(steps)
    _wait_for(device)
    return TIMED_STEPS / (time.perf_counter() - started)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

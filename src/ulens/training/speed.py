"""How fast this machine trains a plan's network."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ulens.annotated.samples import Sample
from ulens.normalize import fit_normalization
from ulens.planning.parts import Length, TensorFormat
from ulens.planning.plan import Plan
from ulens.predict.engines import has_fast_bf16
from ulens.training.need import check_training_memory
from ulens.training.tensors import prepare
from ulens.training.trainer import StepLog, Trainer

TIMED_STEPS = 3
MEASURING_SHARE = 0.005
"""Of a training's time, for each of the few plans that are measured."""


def tensor_formats(device: torch.device) -> tuple[TensorFormat, ...]:
    """Return how a training may be computed on a device; the first without any measurement.

    Notes
    -----
    On a CPU the convolutions of PyTorch are fastest with the channels of a pixel side by side in
    bf16, and with the pixels of a channel side by side in fp32: docs/benchmarks.md.

    Examples
    --------
    >>> tensor_formats(torch.device("mps"))
    (TensorFormat(precision='fp32', memory_format='channels_last'),)
    """
    bf16 = TensorFormat("bf16", "channels_last")
    fp32 = TensorFormat("fp32", "contiguous")
    other = replace(fp32, memory_format="channels_last")
    if device.type != "cpu":
        return (bf16 if has_fast_bf16(device) else other,)
    return (bf16, fp32) if has_fast_bf16(device) else (fp32, other)


def steps_per_second(
    plan: Plan, *, in_channels: int, device: torch.device, allowed_seconds: float
) -> float:
    """Train a network of the plan's shape on noise for a few steps and return its speed.

    Parameters
    ----------
    allowed_seconds : what this may take, about; where that is too short for two steps of the plan,
        the smallest tile that the network takes tells, by its share of the pixels

    Raises
    ------
    SettingError : a step takes more memory than there is

    Notes
    -----
    The first step of a size allocates and compiles, so it does not count. The second may still be
    slow: in the first plan that is measured it made the slower of two formats look faster. So one
    slow step of three changes nothing.
    """
    check_training_memory(plan, in_channels, device)
    smallest = replace(plan.tiles, crop=plan.network_geometry.input_size(1))
    small = replace(plan, tiles=smallest)
    steps = _train_on_noise(small, in_channels, device)
    next(steps)
    share = (small.tiles.crop / plan.tiles.crop) ** 2
    timed = [_time_next(steps, device)]
    while len(timed) < TIMED_STEPS and sum(timed) < allowed_seconds / TIMED_STEPS:
        timed.append(_time_next(steps, device))
    seconds = min(timed) / share
    num_affordable = int(allowed_seconds / seconds)
    if num_affordable < 2:
        return 1 / seconds
    steps = _train_on_noise(plan, in_channels, device)
    next(steps)
    num_timed = min(TIMED_STEPS, num_affordable - 1)
    return 1 / statistics.median(_time_next(steps, device) for _ in range(num_timed))


def _train_on_noise(plan: Plan, in_channels: int, device: torch.device) -> Iterator[StepLog]:
    size = (plan.tiles.crop, plan.tiles.crop)
    noise = Sample(
        name="noise",
        image=np.random.default_rng(0).standard_normal((in_channels, *size)),
        label=np.zeros(size, np.int32),
    )
    images = prepare([noise], fit_normalization([noise.image]), plan=plan, device=device)
    # far longer than what is timed, so that all steps are those of a beginning; without moments
    # that stay, since measuring these takes as long as many steps
    timed = replace(
        plan,
        length=Length(steps=100 * TIMED_STEPS),
        network=replace(plan.network, frozen_at=0.99),
    )
    return iter(Trainer(plan.make_network(in_channels), images, timed))


def _time_next(steps: Iterator[StepLog], device: torch.device) -> float:
    _wait_for(device)
    started = time.perf_counter()
    next(steps)
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""How long predictions take: side by side, and patch by patch as once published."""

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ulens.nets.sliding_window import SlidingWindow
from ulens.predict.tiles import read_mirrored

NUM_ROUNDS = 5
BATCH_SIZES = (16, 64, 256, 1024)
PART_PX = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchwiseTime:
    """What the prediction of an image window by window takes.

    Parameters
    ----------
    seconds : for an image of `num_pixels`, scaled up from the part
    num_pixels : of that image
    part_seconds : measured, median of three runs
    num_windows : of the part, one for each of its pixels
    batch_size : windows that run together, the fastest of those tried
    """

    seconds: float
    num_pixels: int
    part_seconds: float
    num_windows: int
    batch_size: int


def time_interleaved(
    runs: Mapping[str, Callable[[], object]], *, num_rounds: int = NUM_ROUNDS
) -> dict[str, float]:
    """Time several things in turn, so that what disturbs the machine disturbs all of them.

    Parameters
    ----------
    runs : by name; each is called once beforehand and then once in every round

    Returns
    -------
    the median of each, in seconds

    Examples
    --------
    >>> list(time_interleaved({"nothing": lambda: None}))
    ['nothing']
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(num_rounds):
        for name, run in runs.items():
            seconds[name].append(time_once(run))
    return {name: statistics.median(each) for name, each in seconds.items()}


def time_patchwise(
    net: SlidingWindow,
    image: np.ndarray,
    *,
    num_pixels: int,
    device: torch.device,
    dtype: torch.dtype,
    part_px: int = PART_PX,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> PatchwiseTime:
    """Time `predict_patchwise` on a part of an image, at its fastest batch size, and scale it up.

    Parameters
    ----------
    image : (C, Y, X) float32, normalised; mirrored where it is smaller than what is needed
    num_pixels : of the image that the time is given for
    part_px : side of the part; each of its pixels costs one window
    batch_sizes : to try; those larger than the part are left out
    """
    net = copy.deepcopy(net).eval().to(device, dtype)
    margin = net.geometry.margin
    window = slice(-margin, part_px + margin)
    part = torch.from_numpy(read_mirrored(image, (window, window))).to(device, dtype)[None]

    def run(batch_size: int) -> Callable[[], object]:
        return lambda: net.predict_patchwise(part, batch_size=batch_size).cpu()

    num_windows = part_px**2
    sizes = [size for size in batch_sizes if size <= num_windows] or [num_windows]
    once = time_interleaved({str(size): run(size) for size in sizes}, num_rounds=1)
    fastest = int(min(once, key=lambda name: once[name]))
    part_seconds = statistics.median(time_once(run(fastest)) for _ in range(3))
    return PatchwiseTime(
        seconds=part_seconds * num_pixels / num_windows,
        num_pixels=num_pixels,
        part_seconds=part_seconds,
        num_windows=num_windows,
        batch_size=fastest,
    )


def time_once(run: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started

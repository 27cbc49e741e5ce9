"""Draws of PyTorch's that depend on a seed alone, and leave the user's own draws as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_draws(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Let PyTorch's draws on the CPU and on `device` depend on `seed`; afterwards all is as before.

    For what takes no generator: the weights of a new network, and dropout.
    """
    kind = "cpu" if device is None else device.type
    with torch.random.fork_rng([device] if kind == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if kind == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        if kind != "mps":
            yield
            return
        before = torch.mps.get_rng_state()
        torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            torch.mps.set_rng_state(before)

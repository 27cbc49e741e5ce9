"""Where a training step's time goes: augmentation, forward, backward, update of the weights.

python benchmarks/training.py [WIDTH ...]
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from typing import Any
from unittest import mock

import torch

from ulens.annotated.samples import Annotated, Sample
from ulens.cli.process import keep_freed_memory
from ulens.normalize import fit_normalization
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.parts import Length, TensorFormat
from ulens.planning.recipes import LONG_STEPS, Asked, make_plan
from ulens.simulate.challenges import simulate_cells
from ulens.training import tiles as tiles_of
from ulens.training import trainer
from ulens.training.speed import tensor_formats
from ulens.training.tensors import cut, draw, prepare

NUM_WARM_UP = 5
SIDE_PX = 512
CPU = torch.device("cpu")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("widths", nargs="*", type=int, default=[16, 32, 64])
    arguments.add_argument("--steps", type=int, default=40)
    options = arguments.parse_args()
    keep_freed_memory()
    print(
        f"{date.today()}, {platform.processor() or platform.machine()}, "
        f"{torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}"
    )
    print(
        "| width | precision, memory format | steps per second | augmentation | forward | backward "
        "| update | rest |\n|---|---|---|---|---|---|---|---|"
    )
    for width in options.widths:
        for tensor_format in tensor_formats(CPU):
            seconds, whole = time_steps(width, options.steps, tensor_format)
            shares = " | ".join(f"{seconds[name] / whole:.1%}" for name in seconds)
            rest = 1 - sum(seconds.values()) / whole
            print(
                f"| {width} | {tensor_format.precision}, {tensor_format.memory_format} "
                f"| {options.steps / whole:.2f} | {shares} | {rest:.1%} |",
                flush=True,
            )


def time_steps(
    width: int, num_steps: int, tensor_format: TensorFormat
) -> tuple[dict[str, float], float]:
    """Return the seconds of each part of so many steps, and of all together."""
    torch.manual_seed(0)
    images, labels = simulate_cells(4, size=SIDE_PX)
    samples = [
        Sample(name=str(number), image=image[None], label=label.astype("int32"))
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    annotated = Annotated(
        samples=samples, labels_are="instances", class_values=(0, 1), spacing_um=None,
        reading="", unpaired=[],
    )  # fmt: skip
    plan = make_plan(
        take_fingerprint(annotated),
        Asked(length=Length(steps=LONG_STEPS), width=width, depth=4, zoom=(1.0, 1.0)),
        class_weights=(1.0, 1.0),
        formats=[tensor_format],
    )
    normalization = fit_normalization(sample.image for sample in samples)
    tiles = prepare(samples, normalization, plan=plan, device=CPU)
    training = trainer.Trainer(plan.make_network(1), tiles, plan)
    seconds = dict.fromkeys(("augmentation", "forward", "backward", "update"), 0.0)

    def timed(name: str, run: Callable[..., Any], within: str | None = None) -> Callable[..., Any]:
        """Return `run`, whose time counts for a part and not for the one that it is called in."""

        def call(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = run(*args, **options)
            taken = time.perf_counter() - start
            seconds[name] += taken
            if within is not None:
                seconds[within] -= taken
            return result

        return call

    parts = (
        (tiles_of, "draw", timed("augmentation", draw, "forward")),
        (tiles_of, "cut", timed("augmentation", cut, "forward")),
        (training, "_loss", timed("forward", training._loss)),
        (training, "_update", timed("update", training._update)),
        (torch.Tensor, "backward", timed("backward", torch.Tensor.backward, "update")),
    )
    with ExitStack() as patched:
        for owner, name, call in parts:
            patched.enter_context(mock.patch.object(owner, name, call))
        steps = iter(training)
        for _ in range(NUM_WARM_UP):
            next(steps)
        seconds.update(dict.fromkeys(seconds, 0.0))
        start = time.perf_counter()
        for _ in range(num_steps):
            next(steps)
        return seconds, time.perf_counter() - start


if __name__ == "__main__":
    main()

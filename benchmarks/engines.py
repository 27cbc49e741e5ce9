"""Seconds per image of 512², by engine: medians of interleaved runs, ratios to stock PyTorch.

python benchmarks/engines.py [WIDTH ...]
"""

import argparse
import copy
import platform
import statistics
import time
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ulens.nets.properties import count_multiplications, count_parameters
from ulens.nets.quantized import measure_inputs
from ulens.nets.unet import UNet
from ulens.predict.engines import build_engine, engines_here, has_fast_bf16
from ulens.predict.predictor import Predictor
from ulens.predict.timing import time_interleaved

CPU = torch.device("cpu")
SIDE_PX = 512
RATE_CHANNELS, RATE_PX = 256, 128
RATE_TYPE = "bf16" if has_fast_bf16(CPU) else "fp32"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("widths", nargs="*", type=int, default=[64, 32])
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    threads = f"{torch.get_num_threads()} threads"
    print(f"{date.today()}, {machine()}, {threads}, torch {torch.__version__}")
    for width in options.widths:
        compare(width, options.rounds)


def compare(width: int, num_rounds: int) -> None:
    torch.manual_seed(0)
    net = UNet(width=width).eval()
    side = net.geometry.input_size(SIDE_PX)
    x = torch.randn(1, 1, side, side)
    stock = copy.deepcopy(net)
    runs = {"stock PyTorch fp32": lambda: run_stock(stock, x)}
    # all convolutions in 8 bits: its speed alone, what may be done so depends on the trained model
    int8 = {name: (each.low, each.high) for name, each in measure_inputs(net, [x]).items()}
    for engine in engines_here(CPU):
        runs[f"ulens {engine}"] = partial(build_engine(engine, net, CPU, int8), x)
    seconds = time_interleaved(runs, num_rounds=num_rounds)
    work = 2 * count_multiplications(net, (side, side))
    rate = convolution_rate()
    print(
        f"\nU-Net of width {width}, {count_parameters(net):,} parameters, {side}² → {SIDE_PX}², "
        f"{work / 1e9:.0f} GFLOP; one {RATE_TYPE} convolution of {RATE_CHANNELS} channels runs at "
        f"{rate / 1e9:.0f} GFLOP/s here\n"
    )
    print("| engine | seconds | times stock PyTorch | share of that rate |\n|---|---|---|---|")
    for name, each in seconds.items():
        print(
            f"| {name} | {each:.3f} | {seconds['stock PyTorch fp32'] / each:.1f} | "
            f"{work / each / rate:.0%} |"
        )
    image = np.random.default_rng(0).standard_normal((1, 4 * SIDE_PX, 4 * SIDE_PX), np.float32)
    print("\n| largest tile (px) | tiles | seconds for 2048², fastest engine |\n|---|---|---|")
    exact = [name for name in engines_here(CPU) if name != "openvino-int8"]
    fastest = min(exact, key=lambda name: seconds[f"ulens {name}"])
    for max_input in (572, 828, 1244, 2236):
        predictor = Predictor(net, device="cpu", engine=fastest, max_input=max_input)
        predictor.predict(image)
        started = time.perf_counter()
        predictor.predict(image)
        shown = time.perf_counter() - started
        print(f"| {max_input} | {predictor.num_tiles(image.shape[1:])} | {shown:.2f} |", flush=True)


@torch.no_grad()
def run_stock(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As everybody runs it: eager, fp32, channels first."""
    return net(x)


@torch.inference_mode()
def convolution_rate() -> float:
    """Return the FLOP per second of a large convolution, in bf16 where the processor has it."""
    dtype = torch.bfloat16 if RATE_TYPE == "bf16" else torch.float32
    convolution = nn.Conv2d(RATE_CHANNELS, RATE_CHANNELS, 3).to(dtype)
    convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(1, RATE_CHANNELS, RATE_PX, RATE_PX).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(12):
        started = time.perf_counter()
        convolution(x)
        seconds.append(time.perf_counter() - started)
    return 2 * 9 * RATE_CHANNELS**2 * (RATE_PX - 2) ** 2 / statistics.median(seconds[2:])


def machine() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()

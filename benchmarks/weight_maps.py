"""Time weight maps, and the boundary encoding both ways, on one thread.

Run: OMP_NUM_THREADS=1 python benchmarks/weight_maps.py
On simulated cells, and on real label images where ULENS_DATA says where they lie. Milliseconds of
processor time, which other work on the machine changes little: smallest of three medians of 7.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from ulens.encodings import boundary
from ulens.encodings.weights import falk_weight, separation_weight
from ulens.io.files import read_image
from ulens.simulate.challenges import simulate_cells

REAL = (
    "DIC-C2DH-HeLa/01_ST/SEG/man_seg040.tif",
    "dsb2018/labels/4dbbb275960ab9e4ec2c66c8d3000f7c70c8dce5112df591b95db84e25efa6e9.png",
    "dsb2018/labels/1a11552569160f0b1ea10bedbd628ce6c14f29edec5092034c2309c556df833e.png",
)
ROUNDS, REPEATS = 3, 7


def main() -> None:
    """Print a table."""
    print("image              size       cells  separation    Falk  encode  decode")
    for name, labels in label_images():
        size = "×".join(map(str, labels.shape))
        separation, *others = times(labels)
        row = f"{name:18} {size:10} {np.unique(labels).size - 1:5}    {separation:8.1f}"
        print(row + "".join(f"{milliseconds:8.1f}" for milliseconds in others), flush=True)


def times(labels: np.ndarray) -> list[float]:
    """Return the milliseconds of separation weight, Falk weight, encode and decode."""
    probability = a_plausible_network(labels)
    decoder = boundary.decoder(threshold=0.7, reach_threshold=0.1)
    return [
        time_of(lambda: separation_weight(labels, w0=10, sigma_px=5)),
        time_of(lambda: falk_weight(labels)),
        time_of(lambda: boundary.encode(labels)),
        time_of(lambda: decoder.decode(np.stack([1 - probability, probability]))),
    ]


def label_images() -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and (Y, X) int32 label images."""
    for size in (512, 1024):
        yield "simulated cells", simulate_cells(1, size=size)[1][0].astype(np.int32)
    if "ULENS_DATA" in os.environ:
        for file in REAL:
            labels = read_image(Path(os.environ["ULENS_DATA"]) / file).data
            yield file.split("/")[0], labels.astype(np.int32)


def a_plausible_network(labels: np.ndarray) -> np.ndarray:
    """Return what a network might predict: the target, blurred and with noise."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 4, labels.shape), 2)
    logits = 10 * ndimage.gaussian_filter(boundary.encode(labels).astype(float), 1.3) - 5 + noise
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def time_of(call: Callable[[], np.ndarray]) -> float:
    """Return the milliseconds of a call, which has compiled before."""
    call()
    return min(float(np.median([once(call) for _ in range(REPEATS)])) for _ in range(ROUNDS))


def once(call: Callable[[], np.ndarray]) -> float:
    """Return the milliseconds of processor time of one call."""
    started = time.thread_time()
    call()
    return 1000 * (time.thread_time() - started)


if __name__ == "__main__":
    main()

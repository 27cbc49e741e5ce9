"""Time and peak memory of `ulens segment` on images from 512² to 20,000² that are never in memory.

python benchmarks/large_image.py MODEL IMAGE OUT [SIDE ...]

IMAGE, a 2-D image that MODEL knows how to segment, is repeated, mirrored, to SIDE × SIDE pixels in
a tiled TIFF. OUT is a folder for these and for the labels, which are removed again.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import tifffile

from ulens.io.files import read_image

SIDES = (512, 2048, 8192, 16384, 20000)
TILE_PX = 512


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("model", type=Path)
    arguments.add_argument("image", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("sides", nargs="*", type=int, default=SIDES)
    arguments.add_argument("--workers", type=int)
    arguments.add_argument("--engine", help="instead of the one that is measured as the fastest")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plane = np.squeeze(read_image(options.image).data)
    print(f"{date.today()}, {os.cpu_count()} cores, {options.model.name}")
    print("| image | seconds | s per megapixel | peak memory (GB) |\n|---|---|---|---|", flush=True)
    for side in options.sides:
        seconds, peak = measure(
            options.model, plane, side, options.out, options.workers, options.engine
        )
        megapixels = side**2 / 1e6
        print(
            f"| {side:,}² | {seconds:.1f} | {seconds / megapixels:.3f} | {peak / 1e9:.2f} |",
            flush=True,
        )


def measure(
    model: Path, plane: np.ndarray, side: int, out: Path, workers: int | None, engine: str | None
) -> tuple[float, float]:
    """Return the seconds of the whole command, and the most bytes that one process had."""
    image, labels = out / f"{side}.tif", out / f"{side}.zarr"
    write_mosaic(image, plane, side)
    command = [sys.executable, "-m", "ulens", "segment", str(model), str(image), "-o", str(labels)]
    if workers is not None:
        command += ["--workers", str(workers)]
    if engine is not None:
        command += ["--engine", engine]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        print(process.stdout.read().strip(), file=sys.stderr, flush=True)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    peak_kib = usage.ru_maxrss
    if workers is not None:  # of the largest process that any command here had
        peak_kib = max(peak_kib, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    image.unlink()
    shutil.rmtree(labels)
    return seconds, 1024 * peak_kib


def write_mosaic(path: Path, plane: np.ndarray, side: int) -> None:
    """Write the plane, mirrored at its edges again and again, as a tiled TIFF."""
    tifffile.imwrite(
        path,
        _tiles(plane, side),
        shape=(side, side),
        dtype=plane.dtype,
        tile=(TILE_PX, TILE_PX),
        photometric="minisblack",
    )


def _tiles(plane: np.ndarray, side: int) -> Iterator[np.ndarray]:
    for top in range(0, side, TILE_PX):
        for left in range(0, side, TILE_PX):
            rows, columns = (
                _mirrored(np.arange(start, start + TILE_PX), length)
                for start, length in zip((top, left), plane.shape, strict=True)
            )
            yield plane[rows[:, None], columns]


def _mirrored(indices: np.ndarray, length: int) -> np.ndarray:
    folded = indices % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


if __name__ == "__main__":
    main()

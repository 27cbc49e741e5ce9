"""Training on images that are larger than the memory it may take.

    python benchmarks/mapped_training.py --images 128 --limit-gb 4

Writes images of 2048² px of simulated cells, and trains on them in a process that may hold no more
memory than that (RLIMIT_DATA, which mapped files do not count against): as ulens does it, and with
everything kept in memory.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.io.store import IN_MEMORY_BYTES
from ulens.simulate.challenges import simulate_cells

SIDE_PX, PIECE_PX = 2048, 512
CHILD = """
import resource, sys
from ulens.io import store
limit, kept = map(float, sys.argv[1:3])
store.IN_MEMORY_BYTES = int(kept * 1e9)
resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9),) * 2)
sys.argv = ["ulens", *sys.argv[3:]]
from ulens.cli import main
main()
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--images", type=int, default=128)
    arguments.add_argument("--limit-gb", type=float, default=4.0)
    arguments.add_argument("--steps", type=int, default=30)
    options = arguments.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_images(folder, options.images)
        pixels = options.images * SIDE_PX**2
        print(
            f"{date.today()}, {platform.processor() or platform.machine()}, "
            f"{torch.get_num_threads()} of {os.cpu_count()} cores; {options.images} images, "
            f"{pixels / 1e9:.2f} gigapixels; limit {options.limit_gb} GB\n"
        )
        for name, kept in (("ulens", IN_MEMORY_BYTES / 1e9), ("all in memory", 1e6)):
            command = [
                *(sys.executable, "-c", CHILD, str(options.limit_gb), str(kept)),
                *("train", str(folder / "images"), str(folder / "labels")),
                *("-o", str(folder / f"{name}.model"), "--width", "16"),
                *("--steps", str(options.steps)),
            ]
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
            seconds = time.perf_counter() - start
            print(f"{name}: exit {done.returncode} after {seconds:.0f} s: {said[-1]}", flush=True)


def write_images(folder: Path, number: int) -> None:
    """Write so many images and labels, each of copies of a small one."""
    (image,), (label,) = simulate_cells(1, size=PIECE_PX)
    copies = (SIDE_PX // PIECE_PX,) * 2
    for kind, plane in (("images", image), ("labels", np.where(label > 0, 255, 0))):
        (folder / kind).mkdir()
        whole = np.tile(plane.astype(np.uint8), copies)
        for each in range(number):
            shifted = np.roll(whole, 37 * each, axis=1)
            write_tiff(folder / kind / f"{each:03d}.tif", Image(data=shifted, axes="YX"))


if __name__ == "__main__":
    main()

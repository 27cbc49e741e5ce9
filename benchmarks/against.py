"""Time and memory of the command line, beside those of another commit.

    python benchmarks/against.py COMMIT [--rounds N]

Both commits run in turn, each in a process of its own, on the same simulated images and the same
model. Prints the medians, and the median of the ratios within a round.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.simulate.challenges import simulate_cells

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "tests" / "first_models" / "cells" / "model"
COMMANDS = {
    "start alone": ("--help",),
    "train, 40 steps": (
        *("train", "images", "labels", "-o", "OUT", "--steps", "40", "--from", "noise"),
        *("--width", "16", "--seed", "0"),
    ),
    "segment 6 images of 512²": ("segment", str(MODEL), "many", "-o", "OUT", "--engine", "fp32"),
    "segment one of 2048² into a Zarr": (
        *("segment", str(MODEL), "large.tif", "-o", "OUT.zarr", "--engine", "fp32"),
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("commit")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        other = folder / "other"
        add = ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(other), options.commit]
        subprocess.run(add, check=True, capture_output=True)
        try:
            write_images(folder)
            print(f"{date.today()}, {os.cpu_count()} cores, {options.rounds} rounds\n")
            print(
                f"| command | seconds | {options.commit} | ratio | MB | {options.commit} | ratio |"
            )
            print("|---|---|---|---|---|---|---|")
            for label, command in COMMANDS.items():
                compare(label, command, folder, (ROOT, other), options.rounds)
        finally:
            remove = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(other)]
            subprocess.run(remove, check=True)


def write_images(folder: Path) -> None:
    """Write what the commands are given."""
    images, labels = simulate_cells(4, size=256)
    for kind, planes in (("images", images), ("labels", labels), ("many", simulate_cells(6)[0])):
        (folder / kind).mkdir()
        for number, plane in enumerate(planes):
            write_tiff(folder / kind / f"{number:02d}.tif", Image(data=plane, axes="YX"))
    large = np.tile(simulate_cells(1)[0][0], (4, 4))
    write_tiff(folder / "large.tif", Image(data=large, axes="YX"))


def compare(
    label: str, command: tuple[str, ...], folder: Path, roots: tuple[Path, Path], rounds: int
) -> None:
    """Run a command of both commits in turn, once more than it counts, and print a row."""
    measured: list[list[tuple[float, float]]] = [[], []]
    for number in range(rounds + 1):
        for which, root in enumerate(roots):
            out = str(folder / f"{label} {number} {which}")
            given = [each.replace("OUT", out) for each in command]
            measured[which].append(run(given, root, folder))
    row = ""
    for unit, digits in ((0, 2), (1, 0)):
        ours, theirs = ([each[unit] for each in one[1:]] for one in measured)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        row += f" {statistics.median(ours):.{digits}f} | {statistics.median(theirs):.{digits}f} |"
        row += f" {ratio:.2f} |"
    print(f"| {label} |{row}", flush=True)


def run(command: list[str], root: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds and the most megabytes of a command of the ulens in `root`."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "ulens", *command],
        env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} of {root} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()

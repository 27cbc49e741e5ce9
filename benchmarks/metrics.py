"""Seconds of measures beside py-ctcmetrics and scikit-image: medians of interleaved runs.

python benchmarks/metrics.py TRUTH

TRUTH is a folder of the Cell Tracking Challenge, such as 01_GT; its own markers serve as the result
that is scored. For Rand and information scores simulated membranes of 512² are compared with
themselves, shifted by 2 px.
"""

import argparse
import shutil
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ctc_metrics.scripts.evaluate import evaluate_sequence
from scipy import ndimage
from skimage.metrics import adapted_rand_error, variation_of_information

from ulens.jobs.evaluate_ctc import evaluate_ctc
from ulens.metrics.partition import share_segments
from ulens.predict.timing import time_interleaved
from ulens.simulate.challenges import simulate_membranes


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("truth", type=Path)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    with TemporaryDirectory() as folder:
        result = Path(folder) / "01_RES"
        copy_markers(options.truth / "TRA", result)
        compare(options.truth, result, options.rounds)


def copy_markers(markers: Path, result: Path) -> None:
    """Make a result of the challenge of its true markers."""
    result.mkdir()
    for path in sorted(markers.glob("man_track*.tif")):
        shutil.copy(path, result / path.name.replace("man_track", "mask"))
    shutil.copy(markers / "man_track.txt", result / "res_track.txt")


def compare(truth_folder: Path, result: Path, num_rounds: int) -> None:
    measures = ["SEG", "DET", "TRA", "LNK"]
    challenge = {
        "ulens": lambda: evaluate_ctc(truth_folder, result, frames=None),
        "py-ctcmetrics, one thread": lambda: evaluate_sequence(
            str(result), str(truth_folder), metrics=measures, threads=1
        ),
    }
    _, membranes = simulate_membranes(1, size=512)
    truth, _ = ndimage.label(membranes[0])
    proposal, _ = ndimage.label(np.roll(membranes[0], 2, axis=0))

    def ours() -> None:
        shared = share_segments(truth, proposal)
        shared.rand(), shared.info()

    def theirs() -> None:
        adapted_rand_error(truth, proposal)
        variation_of_information(truth, proposal, ignore_labels=(0,))

    print(f"{date.today()}\n\n| measures | | seconds | times ulens |\n|---|---|---|---|")
    for name, runs in (
        (", ".join(measures), challenge),
        ("V_Rand, V_Info at one threshold", {"ulens": ours, "scikit-image": theirs}),
    ):
        seconds = time_interleaved(runs, num_rounds=num_rounds)
        for who, each in seconds.items():
            print(f"| {name} | {who} | {each:.4f} | {each / seconds['ulens']:.1f} |", flush=True)


if __name__ == "__main__":
    main()

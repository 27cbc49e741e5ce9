"""Time from the command `ulens train` to its first step, and what a short budget is spent on.

    python benchmarks/first_step.py IMAGES LABELS [--time 60s]

Starts the command in a process of its own, with the compiled code as the last run left it, and
reads its log. Says for how many seconds nothing was trained yet, how many steps were made, and
which share of the budget went into steps, scores on held-out images, and the rest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from ulens.planning.durations import parse_duration


def main() -> None:
    """Run one training and print a row of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--time", default="60s")
    parser.add_argument("--frames")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        command = [sys.executable, "-m", "ulens", "train", str(asked.images), str(asked.labels)]
        command += ["--time", asked.time, "-o", str(out)]
        command += ["--frames", asked.frames] if asked.frames else []
        log = out / "log.jsonl"
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None and not (log.is_file() and '"loss"' in log.read_text()):
                time.sleep(0.02)
            first = time.perf_counter() - started
            said = process.communicate()[0]
            whole = time.perf_counter() - started
        if process.returncode:
            sys.exit(f"the training failed:\n{said}")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    scores = [row for row in rows if "score" in row]
    budget = parse_duration(asked.time)
    print(said)
    print(f"| first step after {first:.1f} s | {len(steps)} steps in {budget:.0f} s | "
          f"{len(scores)} scores | {whole:.1f} s in all |")  # fmt: skip
    seconds = [row["seconds"] for row in rows]
    between = [b - a for a, b in pairwise(seconds)]
    print(f"median step {sorted(between)[len(between) // 2]:.3f} s; the longest pauses: "
          + ", ".join(f"{each:.2f}" for each in sorted(between)[-5:]))  # fmt: skip


if __name__ == "__main__":
    main()

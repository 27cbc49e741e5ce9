"""Scores after a few minutes of training, on images that no network has seen: README's table.

    python benchmarks/few_minutes.py OUT [NAME ...]

Trains as `ulens train` does, on the splits of splits.json, and scores with one view and with eight.
HeLa is trained on five silver frames and scored on silver frames, U373 on and against gold and
silver truth; SEG leaves out the challenge's border of 50 px. Needs ULENS_DATA.
"""

import argparse
import os
from pathlib import Path

from ulens.io.annotations import read_annotated
from ulens.jobs.planning import TrainSettings
from ulens.jobs.scoring import predict_unseen, score_unseen
from ulens.jobs.train import Trained, run_training

# name: folder, sequence, whether silver truth alone, frames to train on and to score, seconds
RUNS = {
    "isbi": ("isbi2012/train", None, False, "0-14", "15-19", 480.0),
    "hela": ("DIC-C2DH-HeLa", "01", True, "5,15,25,35,45", "54-83", 300.0),
    "u373": ("PhC-C2DH-U373", "02", False, "0-39", "40-59", 300.0),
}


def main() -> None:
    """Train and score what is asked for, one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("names", nargs="*", default=list(RUNS), metavar="NAME")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    for name in options.names:
        run(name, options.out, options.seed)


def run(name: str, out: Path, seed: int) -> None:
    """Train and score one data set."""
    data, sequence, is_silver, training, scored, seconds = RUNS[name]
    folder = Path(os.environ["ULENS_DATA"]).absolute() / data
    if is_silver:
        folder = silver_alone(folder, sequence or "", out)
    prefix = f"{sequence}:" if sequence else ""
    settings = TrainSettings(
        images=folder,
        out=out / f"{name}-{seed}.model",
        frames=prefix + training,
        seconds=seconds,
        seed=seed,
    )
    bundle = next(event.bundle for event in run_training(settings) if isinstance(event, Trained))
    unseen = read_annotated(folder, None, frames=prefix + scored)
    for average in (1, 8):
        predictions = predict_unseen(bundle, unseen.samples, "auto", average=average)  # type: ignore[arg-type]
        scores = score_unseen(
            predictions, unseen.labels_are, field_of_interest_px=50 if sequence else 0
        )
        words = ", ".join(f"{key} {value:.4f}" for key, value in scores.items())
        print(f"{name}, {seconds / 60:g} min, {bundle.provenance['steps']} steps, seed {seed}, "
              f"views {average}: {words}", flush=True)  # fmt: skip


def silver_alone(folder: Path, sequence: str, out: Path) -> Path:
    """Return a folder with links to the frames and their silver truth, and nothing else."""
    linked = out / f"{folder.name}.silver" / folder.name
    linked.mkdir(parents=True, exist_ok=True)
    for name in (sequence, f"{sequence}_ST"):
        (linked / name).unlink(missing_ok=True)
        (linked / name).symlink_to(folder / name)
    return linked


if __name__ == "__main__":
    main()

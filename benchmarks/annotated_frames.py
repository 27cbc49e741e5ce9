"""How scores rise with the number of annotated images.

    python benchmarks/annotated_frames.py OUT [DATA ...] [--counts N ...] [--time 5min | --steps N]
        [--seeds N ...] [--from MODEL|noise]

For every number of images and every seed one training, as `ulens train` does it, on images evenly
spaced among those of the data set's split; scored on its unseen images with one view and with
eight. Frames of the tracking challenge are trained on and scored by silver truth, without the 50 px
at the border that the challenge leaves out; a network that has seen grey images alone gets the mean
of the channels of color ones. What OUT/scores.jsonl has already is not done again, so an
interrupted run goes on. Prints the medians and draws OUT/DATA.png. All data sets but `cells`, which
is simulated, need ULENS_DATA.
"""

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import split
import tifffile
import torch

from ulens.annotated.samples import Annotated, read_annotated
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Trained
from ulens.jobs.train import run_training
from ulens.planning.durations import parse_duration
from ulens.predict.predictor import Average
from ulens.simulate.challenges import simulate_cells
from ulens.training.validate import predict_unseen, score_unseen

BORDER_PX = 50
VIEWS: tuple[Average, ...] = (1, 8)


@dataclass(frozen=True)
class Data:
    """A data set, its split and the numbers of images to train on.

    Parameters
    ----------
    counts : how many images
    pool, scored : images to choose from and to score, as `--frames` names them, or names of files
    shown : the scores to print and to draw, the most telling one first
    folder : in ULENS_DATA; None = simulated
    sequence : of the tracking challenge
    """

    counts: tuple[int, ...]
    pool: Sequence[int | str]
    scored: Sequence[int | str]
    shown: tuple[str, ...]
    folder: str | None = None
    sequence: str | None = None


def _data() -> dict[str, Data]:
    splits = split.SPLITS
    objects = ("SEG", "AP@0.5", "mean AP")

    def numbers(name: str, part: str) -> list[int]:
        return split.expand(splits[name][part])

    def challenge(name: str, *counts: int) -> Data:
        return Data(
            counts, numbers(name, "train"), numbers(name, "score"), objects,
            splits[name]["data"], splits[name]["sequence"],
        )  # fmt: skip

    nuclei = split.parts(splits["dsb2018"])
    return {
        "hela": challenge("hela", 1, 2, 5, 10, 20),
        "u373": challenge("u373", 1, 2, 5, 10),
        "isbi": Data(
            (1, 2, 5, 10, 15), numbers("isbi2012", "train"), numbers("isbi2012", "score"),
            ("V_Rand", "V_Info", "pixel error"), splits["isbi2012"]["data"],
        ),
        "dsb": Data((1, 2, 5, 10), nuclei["train"], nuclei["score"], objects, "dsb2018"),
        "cells": Data((1, 2, 5, 10), range(10), range(10, 18), objects),
    }  # fmt: skip


DATA = _data()


def main() -> None:
    """Train and score what is not done yet, then print and draw."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("data", nargs="*", default=list(DATA), metavar="DATA")
    arguments.add_argument("--counts", nargs="*", type=int)
    arguments.add_argument("--time", type=parse_duration, dest="seconds")
    arguments.add_argument("--steps", type=int)
    arguments.add_argument("--seeds", nargs="*", type=int, default=[0])
    arguments.add_argument("--from", type=Path, dest="start_from")
    options = arguments.parse_args()
    length = {"steps": options.steps} if options.steps else {"seconds": options.seconds or 300.0}
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "scores.jsonl"
    for name in options.data:
        for seed in options.seeds:
            for count in options.counts or DATA[name].counts:
                way = str(options.start_from or "the default")
                key = {"data": name, "count": count, "seed": seed, "from": way, **length}
                if not any(key.items() <= row.items() for row in read(rows)):
                    row = run(options.out, name, count, seed, length, options.start_from)
                    with rows.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(key | row) + "\n")
        same = [row for row in read(rows) if length.items() <= row.items() and row["data"] == name]
        summarize(options.out, name, same)


def run(
    out: Path, name: str, count: int, seed: int, length: dict[str, Any], start_from: Path | None
) -> dict[str, Any]:
    """Train once and score, once by every number of views."""
    data = DATA[name]
    images, labels, frames = training_files(out, name, spaced(data.pool, count))
    settings = TrainSettings(
        images=images, labels=labels, frames=frames, out=out / f"{name}-{count}-{seed}.model",
        seed=seed, start_from=start_from, overwrite=True, **length,
    )  # fmt: skip
    trained = next(event for event in run_training(settings) if isinstance(event, Trained))
    unseen = annotated(out, name, data.scored)
    samples = unseen.samples
    if trained.bundle.net.in_channels == 1:
        samples = [replace(each, image=each.image.mean(0, keepdims=True)) for each in samples]
    row: dict[str, Any] = {
        "steps_done": trained.bundle.provenance["steps"],
        "training_seconds": trained.bundle.provenance["training_seconds"],
        "threads": torch.get_num_threads(),
    }
    for views in VIEWS:
        predictions = predict_unseen(trained.bundle, samples, "auto", average=views)
        row[f"views {views}"] = score_unseen(
            predictions, unseen.labels_are, field_of_interest_px=BORDER_PX if data.sequence else 0
        )
    told = ", ".join(f"{key} {row['views 8'][key]:.3f}" for key in data.shown)
    print(f"{name}, {count} images, seed {seed}, {row['steps_done']} steps: {told}", flush=True)
    return row


def spaced(pool: Sequence[int | str], count: int) -> list[int | str]:
    """Return as many of a pool, evenly spaced in it.

    Examples
    --------
    >>> spaced(range(50), 5)
    [5, 15, 25, 35, 45]
    """
    return [pool[int((k + 0.5) * len(pool) / count)] for k in range(count)]


def annotated(out: Path, name: str, chosen: Sequence[int | str]) -> Annotated:
    """Read some images of a data set with their labels."""
    images, labels, frames = training_files(out, name, chosen)
    return read_annotated(images, labels, frames=frames)


def training_files(
    out: Path, name: str, chosen: Sequence[int | str]
) -> tuple[Path, Path | None, str | None]:
    """Return images, labels and frames, as `ulens train` takes them."""
    data = DATA[name]
    frames = ",".join(map(str, chosen))
    if data.folder is None:
        return *simulated(out), frames
    folder = Path(os.environ["ULENS_DATA"]).absolute() / data.folder
    if data.sequence:
        return silver_alone(out, folder, data.sequence), None, f"{data.sequence}:{frames}"
    if isinstance(chosen[0], int):
        return folder, None, frames
    linked = out / f"{name}-{len(chosen)}.files"
    for role in ("images", "labels"):
        for each in chosen:
            source = split.SPLITS["dsb2018"][role].format(each)
            split.link(linked / role / Path(source).name, folder.parent / source)
    return linked / "images", linked / "labels", None


def silver_alone(out: Path, folder: Path, sequence: str) -> Path:
    """Return a folder with links to the frames and their silver truth, and nothing else."""
    linked = out / "silver" / folder.name
    linked.mkdir(parents=True, exist_ok=True)
    for name in (sequence, f"{sequence}_ST"):
        (linked / name).unlink(missing_ok=True)
        (linked / name).symlink_to(folder / name)
    return linked


def simulated(out: Path) -> tuple[Path, Path]:
    """Write simulated cells, unless they are there."""
    files = out / "cells.images.tif", out / "cells.labels.tif"
    if not all(file.is_file() for file in files):
        num_images = len(DATA["cells"].pool) + len(DATA["cells"].scored)
        for file, stack in zip(files, simulate_cells(num_images, seed=5), strict=True):
            tifffile.imwrite(file, stack)
    return files


def read(rows: Path) -> list[dict[str, Any]]:
    """Return what was measured so far."""
    return [json.loads(line) for line in rows.read_text().splitlines()] if rows.is_file() else []


def summarize(out: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print the medians over the seeds, with the lowest and the highest, and draw them.

    Parameters
    ----------
    rows : of this data set and of trainings of one length
    """
    curves: dict[str, dict[int, list[float]]] = {}
    for way in sorted({row["from"] for row in rows}):
        curve = curves.setdefault(f"from {way}", {})
        for count in sorted({row["count"] for row in rows}):
            found = [r["views 8"] for r in rows if r["count"] == count and r["from"] == way]
            if found:
                told = median_and_range(found, DATA[name].shown)
                print(f"{name}, {count} images, from {way}, {len(found)} seeds: {told}")
                curve[count] = [scores[DATA[name].shown[0]] for scores in found]
    draw(out / f"{name}.png", curves, "annotated images", DATA[name].shown[0])


def median_and_range(found: Sequence[dict[str, float]], shown: Sequence[str]) -> str:
    """Return the median of each score over the seeds, with the lowest and the highest."""
    told = []
    for key in shown:
        values = sorted(scores[key] for scores in found)
        told.append(f"{key} {statistics.median(values):.3f} ({values[0]:.3f}–{values[-1]:.3f})")
    return ", ".join(told)


def draw(file: Path, curves: dict[str, dict[int, list[float]]], count: str, score: str) -> None:
    """Draw the medians of a score against a count, and each seed as a dot.

    Parameters
    ----------
    curves : the scores of all seeds, by what they are of and by the count
    count, score : what the axes are called
    """
    from matplotlib.figure import Figure

    from ulens.report.charts import INK, LINES, figure_png

    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    for (label, curve), color in zip(curves.items(), LINES, strict=False):
        medians = [statistics.median(values) for values in curve.values()]
        panel.plot(list(curve), medians, "o-", color=color, label=label)
        for number, values in curve.items():
            panel.plot([number] * len(values), values, ".", color=color, alpha=0.5)
    panel.set_xscale("log")
    counts = sorted({number for curve in curves.values() for number in curve})
    panel.set_xticks(counts, [str(number) for number in counts])
    panel.minorticks_off()
    panel.set_xlabel(count, color=INK)
    panel.set_ylabel(score, color=INK)
    panel.set_ylim(min(0.5, panel.get_ylim()[0]), 1)
    panel.tick_params(colors=INK)
    panel.spines[:].set_color(INK)
    panel.grid(color=INK, alpha=0.2, linewidth=0.6)
    panel.legend(frameon=False, labelcolor=INK)
    file.write_bytes(figure_png(figure))


if __name__ == "__main__":
    main()

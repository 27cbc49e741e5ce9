"""Whether boxes where a model is least certain teach it more than boxes drawn at random.

    python benchmarks/suggest.py OUT [DATA ...] [--choices CHOICE ...] [--steps N] [--rounds N]
        [--seeds N ...]

The first round is a training, as `ulens train` does it, on one box drawn at random, all else being
ignored. Every further round adds two boxes of the same size, drawn at random or where the last
model is least certain (by the entropy of its classes, or by the disagreement of eight views), and
trains from the beginning on all boxes so far. Boxes do not overlap, so that as many pixels are
annotated by every choice. Frames of DIC-HeLa have their silver truth. Scored on images that are in
no pool and in no test split. What OUT/scores.jsonl has already is not done again, so an interrupted
run goes on. Prints the medians and draws OUT/DATA.png. Needs ULENS_DATA.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import annotated_frames
import numpy as np
from annotated_frames import BORDER_PX, annotated, draw, median_and_range, read

from ulens.annotated.samples import Annotated, Sample
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Trained
from ulens.jobs.suggest import suggest_boxes
from ulens.jobs.train import run_training
from ulens.labels.meaning import IGNORED
from ulens.predict.tiles import Slices
from ulens.training.validate import predict_unseen, score_unseen

Choice = Literal["random", "entropy", "disagreement"]
Corner = tuple[int, int, int]
"""Place of an image in the pool, and y and x of the first corner of a box in it."""
UNANNOTATED = 65_535
BOXES_EACH = 2
"""In each round but the first."""


@dataclass(frozen=True)
class Part:
    """What of a data set is annotated and scored, none of it in its test split.

    Parameters
    ----------
    pool, scored : numbers of images
    size : side of the boxes in pixels
    """

    pool: Sequence[int]
    scored: Sequence[int]
    size: int


PARTS = {
    "hela": Part(range(0, 34), range(36, 49, 2), 192),
    "isbi": Part(range(0, 10), range(10, 15), 128),
}


def main() -> None:
    """Train and score what is not done yet, then print and draw."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("data", nargs="*", default=list(PARTS), metavar="DATA")
    arguments.add_argument("--choices", nargs="*", choices=get_args(Choice))
    arguments.add_argument("--steps", type=int, default=400)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    counts = [1 + BOXES_EACH * number for number in range(options.rounds)]
    for name in options.data:
        for seed in options.seeds:
            for choice in options.choices or get_args(Choice):
                teach(options.out, name, seed, choice, counts, options.steps)
        summarize(options.out, name, options.steps)


def teach(
    out: Path, name: str, seed: int, choice: Choice, counts: Sequence[int], steps: int
) -> None:
    """Do the rounds of one choice that are not done yet; all choices have the first in common."""
    done = find(out, name, seed, steps, "random", counts[0])
    if done is None:
        first = draw_boxes(pool_of(out, name), PARTS[name].size, [], counts[0], seed)
        done = train_and_score(out, name, seed, steps, "random", first)
    for before, count in pairwise(counts):
        boxes = [tuple(corner) for corner in done["boxes"]]
        done = find(out, name, seed, steps, choice, count)
        if done is None:
            made_by = choice if before > counts[0] else "random"
            model = model_of(out, name, seed, made_by, before)
            further = choose(out, name, seed, choice, model, boxes, count - before)
            done = train_and_score(out, name, seed, steps, choice, boxes + further)


def find(
    out: Path, name: str, seed: int, steps: int, choice: str, count: int
) -> dict[str, Any] | None:
    """Return what an earlier run measured."""
    key = {"data": name, "seed": seed, "steps": steps, "choice": choice, "count": count}
    return next((r for r in read(out / "scores.jsonl") if key.items() <= r.items()), None)


def choose(
    out: Path, name: str, seed: int, choice: Choice, model: Path, boxes: list[Corner], number: int
) -> list[Corner]:
    """Return further boxes."""
    size = PARTS[name].size
    if choice == "random":
        return draw_boxes(pool_of(out, name), size, boxes, number, seed)
    files = image_files(out, name)
    taken: dict[tuple[Path, str], list[Slices]] = {}
    for corner in boxes:
        taken.setdefault((files[corner[0]], ""), []).append(slices(corner, size))
    found = suggest_boxes(
        model, files, number=number, size=size, doubt=choice, taken=taken, device="cpu"
    )
    return [(files.index(each.image), each.box[0].start, each.box[1].start) for each in found]


def draw_boxes(
    pool: Annotated, size: int, boxes: Sequence[Corner], number: int, seed: int
) -> list[Corner]:
    """Return further boxes at random, which overlap none."""
    rng = np.random.default_rng((seed, len(boxes)))
    drawn: list[Corner] = []
    while len(drawn) < number:
        place = int(rng.integers(len(pool.samples)))
        y, x = (int(rng.integers(side - size + 1)) for side in pool.samples[place].label.shape)
        is_free = all(
            place != other or abs(y - v) >= size or abs(x - u) >= size
            for other, v, u in (*boxes, *drawn)
        )
        if is_free:
            drawn.append((place, y, x))
    return drawn


def slices(corner: Corner, size: int) -> Slices:
    """Return the slices of a box."""
    _, y, x = corner
    return slice(y, y + size), slice(x, x + size)


def train_and_score(
    out: Path, name: str, seed: int, steps: int, choice: Choice, boxes: list[Corner]
) -> dict[str, Any]:
    """Train on boxes, score on unseen images, and write that down."""
    part, data = PARTS[name], annotated_frames.DATA[name]
    pool = pool_of(out, name)
    folder = write_boxes(out / name / f"{seed}-{choice}-{len(boxes)}", pool, boxes, part.size)
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", labels_are=pool.labels_are,
        ignore=UNANNOTATED, out=model_of(out, name, seed, choice, len(boxes)), steps=steps,
        seed=seed, overwrite=True, device="cpu", int8=False,
    )  # fmt: skip
    trained = next(event for event in run_training(settings) if isinstance(event, Trained))
    predictions = predict_unseen(trained.bundle, annotated(out, name, part.scored).samples, "cpu")
    border_px = BORDER_PX if data.sequence else 0
    scores = score_unseen(predictions, pool.labels_are, field_of_interest_px=border_px)
    row = {
        "data": name, "seed": seed, "steps": steps, "choice": choice, "count": len(boxes),
        "pixels": len(boxes) * part.size**2, "boxes": boxes, "scores": scores,
        "training_seconds": trained.bundle.provenance["training_seconds"],
    }  # fmt: skip
    with (out / "scores.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    told = ", ".join(f"{key} {scores[key]:.3f}" for key in data.shown)
    print(f"{name}, seed {seed}, {len(boxes)} boxes, {choice}: {told}", flush=True)
    return row


def model_of(out: Path, name: str, seed: int, choice: str, count: int) -> Path:
    """Return the folder of a model."""
    return out / name / f"{seed}-{choice}-{count}.model"


def pool_of(out: Path, name: str) -> Annotated:
    """Read the images that boxes are chosen in."""
    return annotated(out, name, PARTS[name].pool)


def image_files(out: Path, name: str) -> list[Path]:
    """Return the images of the pool as files; write those that are not there."""
    folder = out / name / "pool"
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for sample in pool_of(out, name).samples:
        files.append(folder / name_of(sample))
        if not files[-1].is_file():
            write_tiff(files[-1], Image(data=sample.image, axes="CYX"))
    return files


def write_boxes(folder: Path, pool: Annotated, boxes: Sequence[Corner], size: int) -> Path:
    """Write the images that have boxes, with all pixels outside of these unannotated."""
    for role in ("images", "labels"):
        (folder / role).mkdir(parents=True, exist_ok=True)
    for place in {corner[0] for corner in boxes}:
        sample = pool.samples[place]
        label = np.full(sample.label.shape, UNANNOTATED, np.uint16)
        for corner in boxes:
            if corner[0] == place:
                box = slices(corner, size)
                truth = sample.label[box]
                label[box] = np.where(truth == IGNORED, UNANNOTATED, truth)
        write_tiff(folder / "images" / name_of(sample), Image(data=sample.image, axes="CYX"))
        write_tiff(folder / "labels" / name_of(sample), Image(data=label, axes="YX"))
    return folder


def name_of(sample: Sample) -> str:
    """Return the name of the file that an image of the pool is written to."""
    return f"{Path(sample.name).name}.tif"  # frames are named by their sequence, too


def summarize(out: Path, name: str, steps: int) -> None:
    """Print the medians over the seeds, with the lowest and the highest, and draw them."""
    rows = [r for r in read(out / "scores.jsonl") if r["data"] == name and r["steps"] == steps]
    shown = annotated_frames.DATA[name].shown
    first = min(row["count"] for row in rows)
    curves: dict[str, dict[int, list[float]]] = {}
    for choice in (each for each in get_args(Choice) if any(r["choice"] == each for r in rows)):
        own = [row for row in rows if row["choice"] == choice or row["count"] == first]
        for count in sorted({row["count"] for row in own}):
            found = [row["scores"] for row in own if row["count"] == count]
            told = median_and_range(found, shown)
            print(f"{name}, {count} boxes, {choice}, {len(found)} seeds: {told}")
            curves.setdefault(choice, {})[count] = [scores[shown[0]] for scores in found]
    draw(out / f"{name}.png", curves, "annotated boxes", shown[0])


if __name__ == "__main__":
    main()

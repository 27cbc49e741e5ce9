"""How many clicks and drags a person needs for the next image, with a first guess and without.

    python benchmarks/corrections.py OUT [--steps N] [--counts N ...] [--seeds N ...]

On frames of DIC-HeLa that are in no test split, a scripted person, who knows the silver truth,
works with the tools of the seat in napari until AP@0.5 is 0.9. Painting an object is one drag; so
is the line that splits one. Accepting the guess or an object of it, deleting an object and
filling one are one click, merging two objects two. The person takes whatever tool gains most for
each click or drag; what the tools do is `ulens.labels.corrections`. The guess is that of the
model that comes with ulens (0 images), which is told the size of cells by one that was painted, or
of a training on so many frames. What OUT/clicks.jsonl has already is not done again. Prints the
medians over frames and seeds. Needs ULENS_DATA.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import annotated_frames
import numpy as np
from annotated_frames import read, spaced

from ulens.appearance import measure_objects
from ulens.bundle import START, load_bundle
from ulens.errors import LabelError
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training
from ulens.labels.corrections import fill, merge, remove, split, take_over
from ulens.labels.overlap import contingency, iou_matrix
from ulens.metrics.instance import instance_scores
from ulens.planning.recipes import OBJECT_PX
from ulens.predict.segmenter import Segmenter

DATA, POOL, SCORED, ENOUGH = "hela", range(34), range(36, 50, 2), 0.9
REACH_PX, HALF, HOPELESS = 60, 0.5, 60
"""From the middle of a line that splits cells to its ends."""


class Action(NamedTuple):
    """A correction, with what it costs."""

    name: str
    clicks: int
    drags: int
    labels: np.ndarray


class Guess(NamedTuple):
    """What a model finds: (Y, X) labels, and how sure it is of an object, 0 to 1."""

    labels: np.ndarray
    sure: np.ndarray


def main() -> None:
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = options.out / "clicks.jsonl"
    frames = annotated_frames.annotated(options.out, DATA, list(SCORED)).samples
    for count in (None, *options.counts):
        for seed in options.seeds if count else [0]:
            known = [r for r in read(rows) if (r["count"], r["seed"]) == (count, seed)]
            if len(known) == len(frames):
                continue
            segmenter = None if count is None else learn(options.out, count, seed, options.steps)
            for sample in frames:
                row = {"count": count, "seed": seed, "frame": sample.name}
                row |= work(sample.image, sample.label, segmenter, is_trained=count != 0)
                with rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
        report([row for row in read(rows) if row["count"] == count], count)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--counts", type=int, nargs="+", default=[0, 1, 2, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args()


def learn(out: Path, count: int, seed: int, steps: int) -> Segmenter:
    """Return the model trained on so many frames; of none, the one that comes with ulens."""
    model = START
    if count:
        model = out / f"{count}-{seed}.model"
        images, labels, frames = annotated_frames.training_files(out, DATA, spaced(POOL, count))
        settings = TrainSettings(
            images, labels, frames=frames, out=model, steps=steps, seed=seed, overwrite=True,
            device="cpu", int8=False,
        )  # fmt: skip
        for _ in run_training(settings):
            pass
    return Segmenter(load_bundle(model), device="cpu")


def work(
    image: np.ndarray, truth: np.ndarray, segmenter: Segmenter | None, *, is_trained: bool
) -> dict[str, Any]:
    """Annotate a frame; return what it took, by whichever way of beginning takes less.

    Parameters
    ----------
    is_trained : False for the model that comes with ulens: a cell of middling size is painted first
    """
    labels = np.zeros_like(truth)
    if segmenter is None:
        return correct(truth, labels, Guess(labels, np.zeros(truth.shape, np.float32)), [])
    used: list[Action] = []
    zoom = 1.0
    if not is_trained:
        areas = np.bincount(truth.ravel())[1:]
        area = float(np.median(areas[areas > 0]))
        mine = truth == 1 + np.abs(areas - area).argmin()
        used.append(paint(mine, labels))
        labels, zoom = used[0].labels, OBJECT_PX / measure_objects(mine.astype(int)).diameter_px
    found = segmenter.segment(image, (zoom, zoom))
    guess = Guess(found.labels.astype(truth.dtype), found.maps[1])
    begun = Action("accept all", 1, 0, take_over(labels, guess.labels))
    ways = [correct(truth, labels, guess, used.copy())]
    if guess.labels.max() < HOPELESS:
        ways.append(correct(truth, begun.labels, guess, [*used, begun]))
    least = min(ways, key=lambda way: way["clicks"] + way["drags"])
    return least | {"first guess": precision(truth, guess.labels)}


def correct(
    truth: np.ndarray, labels: np.ndarray, guess: Guess, used: list[Action]
) -> dict[str, Any]:
    """Correct labels until they are good enough."""
    while (now := precision(truth, labels)) < ENOUGH:
        tried = list(actions(truth, labels, guess))
        gains = [
            (precision(truth, each.labels) - now) / (each.clicks + each.drags) for each in tried
        ]
        best = tried[int(np.argmax(gains))]
        labels = best.labels
        used.append(best)
    return {
        "num_objects": int(truth.max()), "first guess": 0.0, "AP@0.5": now,
        "clicks": sum(each.clicks for each in used), "drags": sum(each.drags for each in used),
        "used": [each.name for each in used],
    }  # fmt: skip


def precision(truth: np.ndarray, labels: np.ndarray) -> float:
    return instance_scores([truth], [labels]).average_precision[0.5]


def actions(truth: np.ndarray, labels: np.ndarray, guess: Guess) -> Iterator[Action]:
    """Yield what the tools of the seat can do, with objects that are wrong or missing."""
    iou = iou_matrix(contingency(truth, labels))
    is_right = iou.values > HALF
    for number in iou.truth[~is_right.any(axis=1)]:
        mine = truth == number
        y, x = (round(each) for each in np.argwhere(mine).mean(axis=0))
        yield paint(mine, labels)
        there = np.unique(labels[mine & (labels > 0)])
        for other in there[1:]:
            yield Action("merge", 2, 0, merge(labels, int(there[0]), int(other)))
        yield from attempt("fill", 1, 0, partial(fill, labels, guess.sure, (y, x)))
        if guess.labels[y, x]:
            chosen = np.array([guess.labels[y, x]])
            yield Action("accept", 1, 0, take_over(labels, guess.labels, chosen))
        yield from cuts(truth, labels, int(number))
    # all that is wrong costs as much to delete, and gains as much
    for number in iou.predicted[~is_right.any(axis=0)][:1]:
        yield Action("delete", 1, 0, remove(labels, int(number)))


def paint(mine: np.ndarray, labels: np.ndarray) -> Action:
    """Paint an object; what covers most of it, and is no object of its own, is deleted first."""
    there = np.bincount(labels[mine])
    covers = [n for n in range(1, len(there)) if there[n] > 0.5 * (labels == n).sum()]
    painted = labels.copy()
    for number in covers:
        painted = remove(painted, number)
    painted = np.where(mine, painted.max() + 1, painted)
    return Action("paint", len(covers), 1, painted)


def cuts(truth: np.ndarray, labels: np.ndarray, number: int) -> Iterator[Action]:
    """Yield the lines that part an object from each neighbour that shares a label with it."""
    for label in np.unique(labels[(truth == number) & (labels > 0)]):
        for other in np.unique(truth[labels == label]):
            if other in (0, number):
                continue
            one, two = (np.argwhere((truth == n) & (labels == label)) for n in (number, other))
            if min(len(one), len(two)) < 20:
                continue
            middle, along = (one.mean(axis=0) + two.mean(axis=0)) / 2, one.mean(0) - two.mean(0)
            across = np.array([-along[1], along[0]]) / max(1e-6, np.hypot(*along))
            (y0, x0), (y1, x1) = (
                np.round(middle + s * REACH_PX * across).astype(int) for s in (-1, 1)
            )
            ends = [(int(y0), int(x0)), (int(y1), int(x1))]
            yield from attempt("split", 0, 1, partial(split_one, labels, int(label), ends))


def split_one(labels: np.ndarray, label: int, ends: list[tuple[int, int]]) -> np.ndarray:
    """Split an object alone, as a line does that a person draws from edge to edge of it."""
    alone = split(np.where(labels == label, label, 0), ends[0], ends[1])
    # the new part gets a number that no other object has
    return np.where((labels == label) & (alone != label), alone + labels.max(), labels)


def attempt(name: str, clicks: int, drags: int, tool: Callable[[], np.ndarray]) -> Iterator[Action]:
    try:
        yield Action(name, clicks, drags, tool())
    except LabelError:
        return


def report(rows: list[dict[str, Any]], count: int | None) -> None:
    def median(name: str) -> float:
        return statistics.median(float(row[name]) for row in rows)

    start = "painting all" if count is None else f"guess after {count} images"
    print(
        f"{start}: {median('clicks'):g} clicks and {median('drags'):g} drags for "
        f"{median('num_objects'):g} objects; AP@0.5 of the first guess {median('first guess'):.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""How often ordinary images are called unlike those of the training, and strange ones are noticed.

python benchmarks/unlike.py                truth stands for what is found; about 10 minutes
python benchmarks/unlike.py --time 2min    trains on nuclei of 256×256 px and segments

Needs ULENS_DATA.

Of every data set up to eight even-numbered images are learned, of those that are no test images of
benchmarks/splits.json; all odd-numbered ones are judged, and twelve of them changed. False alarms
are those of five draws of what is learned, all else of the first.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ulens.appearance import familiarize, measure_look, measure_objects
from ulens.bundle import ModelBundle
from ulens.channels import is_grey
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Trained
from ulens.jobs.train import run_training
from ulens.normalize import fit_normalization, measure_statistics
from ulens.planning.durations import parse_duration
from ulens.predict.segmenter import Segmenter
from ulens.predict.unlike import (
    BLURRIER,
    COARSER,
    CONSTANT,
    EMPTY,
    FINER,
    INVERTED,
    LARGER,
    NOISIER,
    SMALLER,
    STRANGER,
    Unlike,
    find_unlike,
)  # fmt: skip
from ulens.resample import resample

NUM_DRAWS, NUM_LEARNED, NUM_CHANGED = 5, 8, 12
NAMED = {
    "halved": {SMALLER, FINER},
    "doubled": {LARGER, COARSER},
    "inverted": {INVERTED.kind},
    "blurred": {BLURRIER.kind, COARSER},
    "noisier": {NOISIER.kind},
    "empty": {EMPTY.kind, CONSTANT.kind},
    "others": {STRANGER.kind},
}
"""The kinds that name a change rightly; anything fits images of another data set."""


class Files(NamedTuple):
    """The files of a data set: even-numbered ones that may be learned, odd-numbered ones."""

    to_learn: list[tuple[Path, Path]]
    judged: list[tuple[Path, Path]]
    is_instances: bool


class Annotated(NamedTuple):
    """A (C, Y, X) image, and (Y, X) labels."""

    image: np.ndarray
    label: np.ndarray


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", help="train for so long instead of taking the truth")
    options = parser.parse_args()
    data = data_sets(Path(os.environ["ULENS_DATA"]))
    if options.time is not None:
        data = {name: data[name] for name in ("DSB, 256×256",)}
    pictures = {
        name: ([read(pair) for pair in files.to_learn], [read(pair) for pair in files.judged])
        for name, files in data.items()
    }
    print("| data set | learned | false alarms | " + " | ".join(NAMED) + " |")
    print("|---" * (3 + len(NAMED)) + "|")
    for name, (to_learn, judged) in pictures.items():
        draws = [draw(to_learn, seed) for seed in range(1 if options.time else NUM_DRAWS)]
        others = [
            each
            for other, (_, theirs) in pictures.items()
            if other.split(",")[0] != name.split(",")[0]
            for each in theirs[:: max(1, len(theirs) // 3)][:3]
            if len(each.image) == len(to_learn[0].image)
        ]
        judges = [Judge(each, data[name].is_instances, options.time) for each in draws]
        false = [each for judge in judges for each in map(judge.kinds, judged) if each]
        alarms = f"{len(false)} of {len(judges) * len(judged)}{name_kinds(false)}"
        cells = " | ".join([name, str(len(draws[0])), alarms, *judges[0].row(judged, others)])
        print(f"| {cells} |", flush=True)


class Judge:
    """What says of an image how it is unlike those that were learned.

    Parameters
    ----------
    learned : images with their truth
    is_instances : whether labels are objects
    time : of a training; None takes the truth for what is found
    """

    def __init__(self, learned: list[Annotated], is_instances: bool, time: str | None) -> None:
        self._is_instances = is_instances
        self._segmenter = Segmenter(trained(learned, time)) if time else None
        self._normalization = fit_normalization(each.image for each in learned)
        normal = ((self._normalization.apply(each.image), each.label) for each in learned)
        self._familiar = familiarize(normal, is_instances=is_instances)

    def row(self, judged: list[Annotated], others: list[Annotated]) -> list[str]:
        """Return how often changes and images of other data sets are noticed."""
        cells = []
        step = max(1, len(judged) // NUM_CHANGED)
        changed: dict[str, list[set[str]]] = {name: [] for name in NAMED}
        for number, each in enumerate(judged[::step][:NUM_CHANGED]):
            for name, after in changes(each, np.random.default_rng(number)):
                changed[name].append(self.kinds(after))
        changed["others"] = [self.kinds(each) for each in others]
        for name, found in changed.items():
            num, right = sum(map(bool, found)), sum(bool(each & NAMED[name]) for each in found)
            named = "" if name == "others" else f" ({right})"
            cells.append(f"{num}{named} of {len(found)}" if found else "")
        return cells

    def kinds(self, each: Annotated) -> set[str]:
        """Return how an image is unlike."""
        return {found.kind for found in self._find(each)}

    def _find(self, each: Annotated) -> tuple[Unlike, ...]:
        if self._segmenter is not None:
            return self._segmenter.segment(each.image).unlike
        objects = measure_objects(each.label)
        if not self._is_instances:
            objects = objects._replace(is_uniform=False)
        look = measure_look(self._normalization.apply(each.image))
        return find_unlike(self._familiar, look, objects)


def draw(to_learn: list[Annotated], seed: int) -> list[Annotated]:
    """Return the images that are learned."""
    order = np.random.default_rng(seed).permutation(len(to_learn))
    return [to_learn[i] for i in order[:NUM_LEARNED]]


def name_kinds(found: list[set[str]]) -> str:
    """Return the kinds in brackets."""
    counts = Counter(kind for kinds in found for kind in kinds)
    return " (" + ", ".join(f"{num} {kind}" for kind, num in counts.items()) + ")" if found else ""


def trained(learned: list[Annotated], time: str) -> ModelBundle:
    """Return a model trained on these images."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, each in enumerate(learned):
            for kind, pixels in (("images", each.image[0]), ("labels", each.label)):
                (folder / kind).mkdir(exist_ok=True)
                saved = pixels if kind == "images" else pixels.astype(np.uint16)
                write_tiff(folder / kind / f"{number}.tif", Image(data=saved, axes="YX"))
        settings = TrainSettings(
            folder / "images", folder / "labels", out=folder / "m", seconds=parse_duration(time),
            int8=False,
        )  # fmt: skip
        *_, last = run_training(settings)
        assert isinstance(last, Trained)
        print(f"<!-- {last.bundle.scores} after {last.bundle.provenance['steps']} steps -->")
        return replace(last.bundle, int8={})


def changes(each: Annotated, rng: np.random.Generator) -> Iterator[tuple[str, Annotated]]:
    """Yield what can have happened to an image.

    Halved and doubled in size; its negative; blurred by a Gaussian of 2 px; with white noise as
    strong as its contrast; noise as in its pixels on a ground that is darker at the edges.
    """
    image, label = each.image.astype(np.float32), each.label
    statistics = measure_statistics(image)
    std, rough = (np.array(values)[:, None, None] for values in statistics[1:])
    yield "halved", Annotated(resample(image, (0.5, 0.5)), label[::2, ::2])
    yield "doubled", Annotated(resample(image, (2, 2)), label.repeat(2, 0).repeat(2, 1))
    yield "inverted", Annotated(image.max() - image, label)
    yield "blurred", Annotated(ndimage.gaussian_filter(image, (0, 2, 2)), label)
    yield "noisier", Annotated(image + rng.normal(size=image.shape) * std, label)
    y, x = (np.linspace(-1, 1, side) for side in label.shape)
    ground = rough * (rng.normal(size=image.shape) - (y[:, None] ** 2 + x**2))
    yield "empty", Annotated(ground, np.zeros_like(label))


def read(pair: tuple[Path, Path]) -> Annotated:
    """Read an image with its labels."""
    image, label = (read_image(path).data for path in pair)
    image = image[None] if image.ndim == 2 else image
    image = image[:1] if is_grey(image) else image
    return Annotated(image, (label if label.ndim == 2 else label[0]).astype(np.int32))


def data_sets(root: Path) -> dict[str, Files]:
    """Return the data sets; the even-numbered images of a test split are not used at all."""
    isbi = numbered(root / "isbi2012/train/image", root / "isbi2012/train/label")
    hela = numbered(root / "DIC-C2DH-HeLa/01", root / "DIC-C2DH-HeLa/01_ST/SEG")
    u373 = numbered(root / "PhC-C2DH-U373/02", root / "PhC-C2DH-U373/02_ST/SEG")
    sim = numbered(root / "Fluo-N2DH-SIM+/01", root / "Fluo-N2DH-SIM+/01_GT/SEG")
    wbc = [(path, path.with_suffix(".png")) for path in sorted((root / "wbc").glob("*.bmp"))]
    start = root / "dsb2018-start"
    dsb = [(path, start / "labels" / path.name) for path in sorted((start / "images").iterdir())]
    return {
        "ISBI 2012": divide(isbi, 15, is_instances=False),
        "DIC-C2DH-HeLa": divide(hela, 50),
        "PhC-C2DH-U373": divide(u373, 40),
        "Fluo-N2DH-SIM+": divide(sim, 12),
        "blood smears": divide(wbc, 10, is_instances=False),
        **{
            f"DSB, {name}": divide(fluorescence(dsb, size), len(dsb))
            for name, size in (("256×256", (256, 256)), ("360×360", (360, 360)), ("any size", None))
        },
    }


def numbered(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Return pairs in the order of their numbers."""
    return list(zip(*(sorted(each.glob("*.*")) for each in (images, labels)), strict=True))


def fluorescence(
    pairs: list[tuple[Path, Path]], size: tuple[int, int] | None
) -> list[tuple[Path, Path]]:
    """Return every third pair, of grey images whose few bright pixels are objects."""
    kept = []
    for pair in pairs[:: 1 if size == (360, 360) else 3]:
        pixels = read_image(pair[0]).data
        if pixels.ndim == 2 and size in (None, pixels.shape) and np.median(pixels) < pixels.mean():
            kept.append(pair)
    return kept


def divide(
    pairs: list[tuple[Path, Path]], num_to_learn: int, *, is_instances: bool = True
) -> Files:
    """Return a data set of whose first images some are learned."""
    return Files(pairs[:num_to_learn:2], pairs[1::2], is_instances)


if __name__ == "__main__":
    main()

"""The job `demo`: simulate, train, segment unseen images, score, report."""

import itertools
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated as With

import numpy as np

from ulens.annotated.samples import Sample, read_annotated
from ulens.annotated.selection import parse_frames
from ulens.annotated.unseen import name_frames
from ulens.bundle import ModelBundle
from ulens.errors import DataError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.io.writable import check_writable, make_folder
from ulens.jobs.options import FLAG, OUT, TIME
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import Message, Trained, TrainEvent
from ulens.jobs.train import run_training
from ulens.metrics.instance import instance_scores
from ulens.report.demo import Told, write_demo_report
from ulens.simulate.baseline import otsu_components
from ulens.simulate.challenges import simulate_cells, simulate_membranes
from ulens.training.validate import Prediction, predict_unseen, score_held_out

NUM_TRAINING, NUM_UNSEEN, SIZE = 8, 4, 256


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """What a user asks of the demo; `ulens demo` has an option for each.

    Parameters
    ----------
    out
        folder for everything the demo makes; without it the first free one of demo, demo-2, …
    data
        folder of annotated images to tell the same story on
    seconds
        for training, all data sets together, such as 150s; from Python in seconds
    seed
        of all random draws
    overwrite
        replace what an earlier demo made in OUT
    """

    out: With[Path | None, OUT] = None
    data: Path | None = None
    seconds: With[float, TIME] = 150.0
    seed: int = 0
    overwrite: With[bool, FLAG] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One data set of the demo.

    Parameters
    ----------
    name : for headings and folders
    images, labels : where they lie
    training, unseen : frames to train on and to segment
    share : of the time for training
    """

    name: str
    images: Path
    labels: Path | None
    training: str
    unseen: str
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult:
    """The last event of a demo.

    Parameters
    ----------
    report : the page
    models : folders of the trained models
    simulated : folders of the images that were simulated, with their labels
    scores : by story: scores on unseen images, and of Otsu + connected components
    """

    report: Path
    models: list[Path]
    simulated: list[Path]
    scores: dict[str, dict[str, float]]


def run_demo(
    settings: DemoSettings, stop: threading.Event | None = None
) -> Iterator[TrainEvent | DemoResult]:
    """Tell the whole story of ulens on simulated images, or on the user's folder.

    Parameters
    ----------
    stop : as in `run_training`; of later data sets nothing is trained then
    """
    out, data = settings.out or free_folder("demo"), settings.data
    stories = [_users_story(data)] if data else []
    replaced = "what an earlier demo made"
    check_writable(
        out, "demo folder", is_folder=True, replaces=replaced, overwrite=settings.overwrite
    )
    make_folder(out)
    stories = stories or list(_simulate(out, settings.seed))
    told: list[Told] = []
    for story in stories:
        yield Message(
            f"— {story.name}: training on images {story.training}; {story.unseen} stay unseen —"
        )
        bundle = yield from _train(story, out, settings, stop)
        annotated = read_annotated(story.images, story.labels, labels_are=bundle.labels_are)
        unseen = parse_frames(story.unseen, len(annotated.samples))
        samples = [annotated.samples[k] for k in unseen]
        predictions = predict_unseen(bundle, samples, "auto", average=8)
        scores = _score(predictions, bundle)
        told.append(Told(name=story.name, bundle=bundle, predictions=predictions, scores=scores))
        if stop is not None and stop.is_set():
            break
    yield DemoResult(
        report=write_demo_report(out, told),
        models=[out / f"{story.name}.model" for story in stories],
        simulated=[] if data else [out / story.name for story in stories],
        scores={each.name: each.scores for each in told},
    )


def _train(
    story: Story, out: Path, settings: DemoSettings, stop: threading.Event | None
) -> Generator[TrainEvent, None, ModelBundle]:
    """Train on a story's images; returns the model."""
    asked = TrainSettings(
        images=story.images,
        labels=story.labels,
        out=out / f"{story.name}.model",
        seconds=settings.seconds * story.share,
        frames=story.training,
        seed=settings.seed,
        overwrite=settings.overwrite,
    )
    for event in run_training(asked, stop):
        yield event
    assert isinstance(event, Trained)
    return event.bundle


def free_folder(name: str) -> Path:
    """Return the first of name, name-2, name-3 … that is not there yet."""
    numbers = itertools.count(2)
    folder = Path(name)
    while folder.exists():
        folder = Path(f"{name}-{next(numbers)}")
    return folder


def _simulate(out: Path, seed: int) -> Iterator[Story]:
    number = NUM_TRAINING + NUM_UNSEEN
    # touching cells take longer to learn
    for name, simulate, share in (
        ("membranes", simulate_membranes, 0.35),
        ("cells", simulate_cells, 0.65),
    ):
        images, labels = simulate(number, size=SIZE, seed=seed)
        for kind, stack in (("images", images), ("labels", labels)):
            folder = out / name / kind
            folder.mkdir(parents=True, exist_ok=True)
            for k, plane in enumerate(stack):
                write_tiff(folder / f"{k:02d}.tif", Image(data=plane, axes="YX"))
        yield Story(
            name=name,
            images=out / name / "images",
            labels=out / name / "labels",
            training=f"0-{NUM_TRAINING - 1}",
            unseen=f"{NUM_TRAINING}-{number - 1}",
            share=share,
        )


def _users_story(data: Path) -> Story:
    annotated = read_annotated(data)
    number = len(annotated.samples)
    if number < 2:
        raise DataError(
            f"{data} has {number} annotated image; the demo needs 2, one to train on and one to "
            "segment; use ulens train, which holds out a block of a single image"
        )
    # every fourth image stays unseen
    unseen = list(range(min(3, number - 1), number, 4))
    training = [k for k in range(number) if k not in unseen]
    if annotated.labels_are == "classes":
        _check_classes([annotated.samples[k] for k in training], annotated.class_values, data)
    return Story(
        name=data.resolve().name,
        images=data,
        labels=None,
        training=",".join(name_frames([k], annotated.samples) for k in training),
        unseen=",".join(map(str, unseen)),
    )


def _check_classes(training: list[Sample], class_values: tuple[int, ...], data: Path) -> None:
    """Raise DataError unless the images to train on hold every class."""
    seen = set(np.concatenate([np.unique(sample.label) for sample in training]).tolist())
    missing = [str(value) for k, value in enumerate(class_values) if k not in seen]
    if missing:
        raise DataError(
            f"of the images in {data} every fourth stays unseen, and the others lack label value "
            f"{', '.join(missing)}; annotate more images, or use ulens train and --frames"
        )


def _score(predictions: list[Prediction], bundle: ModelBundle) -> dict[str, float]:
    scores = score_held_out(predictions, bundle.labels_are)
    if bundle.labels_are == "instances":
        truth = [each.sample.label for each in predictions]
        naive = [otsu_components(each.sample.image.mean(0)) for each in predictions]
        scores["AP@0.5 of Otsu + components"] = instance_scores(truth, naive).average_precision[0.5]
    return scores

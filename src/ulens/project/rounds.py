"""A round of training, which takes in what is annotated while it runs."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ulens.annotated.project import boxes_file, encode_truth, labels_file
from ulens.annotated.project_images import PlaneOf
from ulens.annotated.samples import Sample
from ulens.channels import fit_channels
from ulens.errors import TrainingError, UlensError
from ulens.jobs.planning import TrainSettings
from ulens.jobs.steps import TrainEvent
from ulens.jobs.train import run_training
from ulens.labels.meaning import IGNORED
from ulens.project.project import Project, Round, stamp
from ulens.training.model_folder import STATE
from ulens.training.session import Session

LOOK_SECONDS = 1.0


class NewStrokes:
    """Gives a session what is annotated while it trains.

    Parameters
    ----------
    project : whose labels are looked at
    folder : of the round, which keeps what was trained on
    look_seconds : from one look to the next
    """

    def __init__(self, project: Project, folder: Path, look_seconds: float = LOOK_SECONDS) -> None:
        self._project, self._folder, self._look_seconds = project, folder, look_seconds
        names = [plane.name for plane in project.planes]
        self._stamps = {name: stamp(folder, name) for name in names}
        self._looked = time.monotonic()

    def __call__(self, session: Session) -> list[str]:
        """Return the names of the planes whose labels the session takes from now on."""
        if time.monotonic() - self._looked < self._look_seconds:
            return []
        changed = []
        for plane in self._project.planes:
            now = stamp(self._project.folder, plane.name)
            if now != self._stamps[plane.name]:
                self._stamps[plane.name] = now
                changed.append(plane)
        samples = [sample for each in changed if (sample := self._read(each, session))]
        if samples:
            session.add(samples, [plane.name for plane in self._project.planes])
        self._looked = time.monotonic()
        return [sample.name for sample in samples]

    def _read(self, plane: PlaneOf, session: Session) -> Sample | None:
        """Return a plane with its labels, or None where nothing of it is annotated."""
        annotated = session.samples.annotated
        known = {sample.name: sample for sample in annotated.samples}.get(plane.name)
        if known is None:
            _, pixels = self._project.read(plane.name)
            image = fit_channels(pixels, session.samples.num_channels)
            known = Sample(name=plane.name, image=image, label=np.empty(0, np.int32))
        try:
            annotation = self._project.annotation(plane.name, known.image.shape[1:])
        except UlensError:  # another program is writing it
            return None
        truth = annotation.truth()
        if (truth == IGNORED).all():
            return None
        is_classes = annotated.labels_are == "classes"
        if is_classes and not np.isin(truth[truth >= 0], annotated.class_values).all():
            return None  # a class that the network does not have
        for path in (labels_file, boxes_file):
            source = path(self._project.folder, plane.name)
            if source.is_file():
                shutil.copy2(source, path(self._folder, plane.name))
        label = encode_truth(truth, annotated.labels_are, annotated.class_values)
        return replace(known, label=label)


def train_round(
    project: Project,
    *,
    seconds: float,
    stop: threading.Event | None = None,
    go_on: bool = False,
    between: Callable[[Session, list[str]], None] | None = None,
) -> Iterator[TrainEvent | Round]:
    """Train a model on what is annotated, and on what is annotated meanwhile.

    Parameters
    ----------
    seconds : of training; of a round that goes on, in addition to its own
    stop : as in `run_training`
    go_on : train the last round for longer, instead of beginning a new one
    between : called after each step with the names of the planes of which new labels came in

    Yields
    ------
    as `run_training`, and at last the `Round`

    Raises
    ------
    TrainingError : there is no round to go on with
    UlensError : as `run_training`
    """
    last = _last_round(project) if go_on else None
    number, spent = (last.number, last.seconds) if last else (project.new_round(), 0.0)
    folder = project.keep_labels(number) if not go_on else project.model_of(number).parent
    new_strokes = NewStrokes(project, folder)
    session: Session | None = None

    def after_step(running: Session) -> None:
        nonlocal session
        session = running
        names = new_strokes(running)
        if between is not None:
            between(running, names)

    settings = TrainSettings(
        folder, out=project.model_of(number), seconds=spent + seconds, resume=go_on
    )
    try:
        yield from run_training(settings, stop, between=after_step)
    except BaseException:
        if not go_on and not project.model_of(number).is_dir():
            shutil.rmtree(folder)
        raise
    samples = [] if session is None else session.samples.annotated.samples
    yield project.add_round(
        number,
        seconds=spent + seconds if session is None else session.trainer.clock.seconds,
        num_images=len(samples),
        num_objects=sum(len(np.unique(each.label[each.label > 0])) for each in samples),
    )


def _last_round(project: Project) -> Round:
    rounds = project.rounds()
    if not rounds or not (project.model_of(rounds[-1].number) / STATE).is_file():
        raise TrainingError("there is no training to go on with; begin one")
    return rounds[-1]

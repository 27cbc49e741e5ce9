"""A project: a folder of images, what is annotated of them, and the models made so far."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ulens.annotated.project import (
    LABELS,
    PROJECT,
    Annotation,
    PlaneOf,
    Record,
    boxes_file,
    images_of,
    is_project,
    labels_file,
    list_planes,
    read_annotation,
    read_record_of,
    write_record,
)
from ulens.bundle import START, load_bundle
from ulens.errors import DataError, OutputError, SettingError, UlensError
from ulens.image import Image
from ulens.io.atomic import write_file
from ulens.io.files import planes, read_image, read_label_image
from ulens.io.tiff import write_tiff
from ulens.io.writable import make_folder
from ulens.labels.meaning import LabelsAre
from ulens.record import read_json, read_record

SUFFIX, ROUNDS, DRAFTS = "-ulens", "rounds", "drafts"
HISTORY, MODEL = "history.jsonl", "model"
State = Literal["unlabelled", "partly", "done"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """A model that was trained on what was annotated then.

    Parameters
    ----------
    number : from 1
    date : with the time
    seconds : of training
    num_images, num_objects : that it was trained on
    held_out : names of what the score comes from
    scores : on what was held out, before it was trained on; none where that failed
    """

    number: int
    date: str
    seconds: float
    num_images: int
    num_objects: int
    held_out: tuple[str, ...] = ()
    scores: dict[str, Any]

    def in_words(self) -> str:
        """Return a round in a line, such as ``round 2: AP@0.5 0.81, from 3 images``."""
        name, value = next(iter(self.scores.items()), ("no score", None))
        score = name if value is None else f"{name} {value:.2f}"
        images = "1 image" if self.num_images == 1 else f"{self.num_images} images"
        return f"round {self.number}: {score}, from {images} with {self.num_objects} objects"


class Project:
    """A folder beside that of the images, which is never written to.

    Parameters
    ----------
    folder : of the project

    Attributes
    ----------
    images : the folder of the images
    planes : all of them, in the order of their names
    labels_are : ids of objects, or classes

    Raises
    ------
    DataError : it is no project, or its images are gone
    """

    def __init__(self, folder: Path) -> None:
        if not is_project(folder):
            raise DataError(f"{folder} is no project: it has no {PROJECT}")
        self.folder, self.images = folder, images_of(folder)
        self.labels_are: LabelsAre = read_record_of(folder).labels_are
        self.planes = list_planes(self.images)
        self._by_name = {plane.name: plane for plane in self.planes}
        self._states: dict[str, tuple[tuple[int, ...], State]] = {}

    @classmethod
    def open(cls, images: Path, *, labels_are: LabelsAre = "instances") -> "Project":
        """Open the project of a folder of images, or begin it.

        Parameters
        ----------
        images : the folder of the images, or that of their project
        labels_are : of a new project

        Raises
        ------
        DataError : there are no images, `images` is a file, or the project's images are gone
        OutputError : there is another folder of the project's name, or none can be made
        """
        if images.is_file():
            raise DataError(f"{images} is a file; a project is of a folder of images: give that")
        if is_project(images):
            return cls(images)
        folder = images.resolve().with_name(images.resolve().name + SUFFIX)
        if not is_project(folder):
            list_planes(images)
            if folder.exists() and any(folder.iterdir()):
                raise OutputError(
                    f"{folder} would be the project of {images}, but holds something else; rename "
                    "that folder"
                )
            make_folder(folder)
            where = os.path.relpath(images.resolve(), folder)
            write_record(folder, Record(images=where, labels_are=labels_are))
        return cls(folder)

    def plane(self, name: str) -> PlaneOf:
        """Return a plane by its name; raises SettingError where there is none."""
        if name not in self._by_name:
            raise SettingError(f"{self.images} has no image {name}; read the folder again")
        return self._by_name[name]

    def read(self, name: str) -> tuple[Image, np.ndarray]:
        """Return the image file of a plane, and the (C, Y, X) pixels of the plane."""
        plane = self.plane(name)
        image = read_image(plane.path)
        return image, planes(image)[plane.number][1]

    def annotation(self, name: str, shape: tuple[int, ...]) -> Annotation:
        """Return what is annotated of a plane of (Y, X) pixels."""
        return read_annotation(self.folder, name, shape)

    def state(self, name: str) -> State:
        """Return whether nothing, a part, or all of a plane is annotated."""
        now = stamp(self.folder, name)
        if not now:
            return "unlabelled"
        if name not in self._states or self._states[name][0] != now:
            self._states[name] = now, self._look(name)
        return self._states[name][1]

    def _look(self, name: str) -> State:
        _, pixels = self.read(name)
        annotation = self.annotation(name, pixels.shape[1:])
        if annotation.is_empty:
            return "unlabelled"
        return "done" if annotation.is_boxed().all() else "partly"

    def note(self, name: str, annotation: Annotation) -> None:
        """Take note of what is annotated of a plane, just written, without reading it again."""
        state: State = "done" if annotation.is_boxed().all() else "partly"
        self._states[name] = (
            stamp(self.folder, name), "unlabelled" if annotation.is_empty else state
        )  # fmt: skip

    def draft_file(self, name: str) -> Path:
        """Return the file for what a model found in a plane, which nobody has accepted."""
        return self.folder / DRAFTS / f"{name}.tif"

    def write_draft(self, name: str, labels: np.ndarray) -> None:
        """Write what a model found in a plane."""
        path = self.draft_file(name)
        path.parent.mkdir(exist_ok=True)
        write_tiff(path, Image(data=labels.astype(np.uint32), axes="YX"))

    def read_draft(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return what `write_draft` wrote of a plane of (Y, X) pixels, or None."""
        path = self.draft_file(name)
        if not path.is_file():
            return None
        draft = read_label_image(path).data
        return draft.astype(np.int32) if draft.shape == shape else None

    def model_of(self, number: int) -> Path:
        """Return the model folder of a round."""
        return self.folder / ROUNDS / str(number) / MODEL

    def rounds(self) -> list[Round]:
        """Return the rounds whose models are there, in their order; damaged lines are left out."""
        path = self.folder / HISTORY
        found: dict[int, Round] = {}
        for line in path.read_bytes().splitlines() if path.is_file() else []:
            try:
                each = read_record(Round, read_json(line, str(path)), str(path))
            except SettingError:
                continue
            if self.model_of(each.number).is_dir():
                found[each.number] = each
        return [found[number] for number in sorted(found)]

    def new_round(self) -> int:
        """Return the number of the next round; its folder is made, so that no other takes it."""
        folder = self.folder / ROUNDS
        folder.mkdir(exist_ok=True)
        number = 1 + max(
            (int(each.name) for each in folder.iterdir() if each.name.isdigit()), default=0
        )
        (folder / str(number)).mkdir()
        return number

    def keep_labels(self, number: int) -> Path:
        """Copy what is annotated now into the folder of a round; returns that folder.

        It is itself a project: `ulens train` trains on it as on this one.
        """
        folder = self.folder / ROUNDS / str(number)
        (folder / LABELS).mkdir(parents=True, exist_ok=True)
        for path in (self.folder / LABELS).glob("*"):
            if path.suffix in (".tif", ".json"):
                shutil.copy2(path, folder / LABELS / path.name)
        where = os.path.relpath(self.images, folder.resolve())
        write_record(folder, Record(images=where, labels_are=self.labels_are))
        return folder

    def add_round(self, number: int, *, seconds: float, num_images: int, num_objects: int) -> Round:
        """Write down a round whose model is there.

        Raises
        ------
        UlensError : the model cannot be read
        """
        bundle = load_bundle(self.model_of(number))
        added = Round(
            number=number,
            date=datetime.now().astimezone().isoformat(timespec="seconds"),
            seconds=round(seconds, 1),
            num_images=num_images,
            num_objects=num_objects,
            held_out=tuple(bundle.provenance.get("held_out", ())),
            scores=dict(bundle.scores),
        )
        path = self.folder / HISTORY
        before = path.read_bytes() if path.is_file() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        write_file(path, before + json.dumps(asdict(added)).encode() + b"\n")
        return added

    def best_model(self, number: int | None = None) -> Path:
        """Return the model of a round, or of the last one; the one that comes with ulens is 0."""
        if number is not None:
            return self.model_of(number) if number else START
        rounds = self.rounds()
        return self.model_of(rounds[-1].number) if rounds else START

    def held_out(self) -> Sequence[str]:
        """Return the names of what the score of the last round comes from."""
        rounds = self.rounds()
        return rounds[-1].held_out if rounds else ()

    def describe(self, name: str) -> str:
        """Return the state of a plane in words."""
        try:
            state = str(self.state(name))
        except UlensError as error:
            return str(error)
        if state == "unlabelled" and self.draft_file(name).is_file():
            state = "unlabelled, guessed"
        return f"{state}, held out" if name in self.held_out() else state


def stamp(folder: Path, name: str) -> tuple[int, ...]:
    """Return what tells whether the annotation of a plane changed: times and lengths of its files.

    Parameters
    ----------
    folder : of a project, or of a round, whose copies keep the times
    """
    files = (labels_file(folder, name), boxes_file(folder, name))
    stats = [path.stat() for path in files if path.is_file()]
    return tuple(number for each in stats for number in (each.st_mtime_ns, each.st_size))

"""A project: a folder of images, what is annotated of them, and the models made so far."""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ulens.annotated.project import Annotation, boxes_file, labels_file, read_annotation
from ulens.annotated.project_images import (
    GUESSES,
    LABELS,
    PROJECT,
    Folder,
    PlaneOf,
    Record,
    is_project,
    list_planes,
    locate_images,
    read_record_of,
    write_record,
)
from ulens.appearance import count_objects
from ulens.bundle import START, load_bundle
from ulens.errors import DataError, OutputError, SettingError, UlensError
from ulens.image import Image
from ulens.io.atomic import write_file
from ulens.io.files import list_images, planes, read_label_image
from ulens.io.writable import make_folder
from ulens.labels.meaning import LabelsAre
from ulens.record import read_json, read_record

SUFFIX, ROUNDS = "-ulens", "rounds"
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
    guesses : folder of what a model found in them
    planes : all of them, in the order of their names; then those of further folders
    labels_are : ids of objects, or classes

    Raises
    ------
    DataError : it is no project, or its images are gone
    """

    def __init__(self, folder: Path) -> None:
        if not is_project(folder):
            raise DataError(f"{folder} is no project: it has no {PROJECT}")
        record = read_record_of(folder)
        self.folder, self.images = folder, locate_images(folder, record.images)
        self.guesses = folder / GUESSES
        self.labels_are: LabelsAre = record.labels_are
        self._states: dict[str, tuple[tuple[int, ...], State]] = {}
        self._last_file: tuple[Path, tuple[int, ...], Image] | None = None
        self._held_out: tuple[tuple[int, ...], frozenset[str]] = ((), frozenset())
        self.look_again()

    def look_again(self) -> None:
        """List the images anew, with those of folders that have been added."""
        self.planes = list_planes(self.folder)
        self._by_name = {plane.name: plane for plane in self.planes}

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
        if not images.exists():
            raise DataError(f"there is no folder {images}")
        if images.is_file():
            raise DataError(f"{images} is a file; a project is of a folder of images: give that")
        if is_project(images):
            return cls(images)
        folder = images.resolve().with_name(images.resolve().name + SUFFIX)
        if not is_project(folder):
            record = Record(
                images=str(images.resolve()), labels_are=labels_are, channel_files="joined"
            )
            list_planes(folder, record)
            if folder.exists() and any(folder.iterdir()):
                raise OutputError(
                    f"{folder} would be the project of {images}, but holds something else; rename "
                    "that folder"
                )
            make_folder(folder)
            where = os.path.relpath(images.resolve(), folder)
            write_record(folder, replace(record, images=where))
        return cls(folder)

    def plane(self, name: str) -> PlaneOf:
        """Return a plane by its name; raises SettingError where there is none."""
        if name not in self._by_name:
            raise SettingError(f"{self.images} has no image {name}; read the folder again")
        return self._by_name[name]

    def read(self, name: str) -> tuple[Image, np.ndarray]:
        """Return the image file of a plane, and the (C, Y, X) pixels of the plane.

        The last file is kept at hand: the planes of a stack are looked at one after the other.
        """
        plane = self.plane(name)
        last, now = self._last_file, _stamp((plane.path, *plane.beside))
        if last is None or last[:2] != (plane.path, now):
            last = self._last_file = plane.path, now, plane.read_file()
        return last[2], plane.of(last[2])

    def add_folder(self, images: Path, results: Path) -> None:
        """Make a further folder of images a part of the project.

        Its images are listed after the others; what is annotated of them is trained on. A folder
        that is a part already gets another folder of results.

        Parameters
        ----------
        images : their folder, which is never written to
        results : of label images, called as the images are; what a model finds in them

        Raises
        ------
        FileError : there are no images
        OutputError : the results would lie among the images, or in the project
        DataError : the images are those of the project, or two would have labels of one name
        """
        images, results = images.resolve(), results.resolve()
        record, own = read_record_of(self.folder), self.folder.resolve()
        list_images(images)
        if images == self.images:
            raise DataError(f"{images} is the folder of this project; segment all does that")
        for folder, what in ((images, "images"), (self.images, "images"), (own, "labels")):
            if results == folder or folder in results.parents:
                raise OutputError(
                    f"results in {results} would lie among the {what} in {folder}, where nothing "
                    "is written; choose a folder elsewhere"
                )
        others = {Path(each.images): each for each in record.others}
        prefix = others[images].prefix if images in others else self._new_prefix(images, record)
        others[images] = Folder(images=str(images), results=str(results), prefix=prefix)
        record = replace(record, others=tuple(others.values()))
        list_planes(self.folder, record)
        write_record(self.folder, record)
        self.look_again()

    def _new_prefix(self, images: Path, record: Record) -> str:
        """Return what goes before the names of a folder's planes, and before no others."""
        taken = [each.prefix for each in record.others] + [plane.name for plane in self.planes]
        taken += [path.name for path in (self.folder / LABELS).glob("*")]
        number, prefix = 1, f"{images.name}_"
        while any(each.startswith(prefix) for each in taken):
            number, prefix = number + 1, f"{images.name}-{number + 1}_"
        return prefix

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

    def read_guess(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return what a model found in a plane of (Y, X) pixels, or None; nobody accepted it.

        Raises
        ------
        FileError : the label image is damaged
        """
        plane = self.plane(name)
        if not plane.result.is_file():
            return None
        found = planes(read_label_image(plane.result))
        guess = found[plane.number][1][0] if plane.number < len(found) else np.empty(0)
        return guess.astype(np.int32) if guess.shape == shape else None

    def object_px(self) -> float:
        """Return the median diameter of the objects painted so far, pixels; 0 without any.

        Files that cannot be read are left out; `describe` tells of them.
        """
        areas: list[np.ndarray] = [np.empty(0)]
        for path in (self.folder / LABELS).glob("*.tif"):
            with suppress(UlensError):
                areas.append(np.bincount(read_label_image(path).data.ravel())[1:])
        found = np.concatenate(areas)
        return count_objects(found, found.sum()).diameter_px

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
        write_record(folder, replace(read_record_of(self.folder), images=where))
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

    def held_out(self) -> frozenset[str]:
        """Return the names of what the score of the last round comes from."""
        now = _stamp((self.folder / HISTORY,))
        if now != self._held_out[0]:
            self._held_out = now, frozenset(each for r in self.rounds()[-1:] for each in r.held_out)
        return self._held_out[1]

    def describe(self, name: str) -> str:
        """Return the state of a plane in words."""
        try:
            state = str(self.state(name))
        except UlensError as error:
            return str(error)
        if state == "unlabelled" and self.plane(name).result.is_file():
            state = "unlabelled, guessed"
        beside = self.plane(name).beside
        joined = f", channels in {1 + len(beside)} files" if beside else ""
        return state + joined + (", held out" if name in self.held_out() else "")


def stamp(folder: Path, name: str) -> tuple[int, ...]:
    """Return what tells whether the annotation of a plane changed: times and lengths of its files.

    Parameters
    ----------
    folder : of a project, or of a round, whose copies keep the times
    """
    return _stamp((labels_file(folder, name), boxes_file(folder, name)))


def _stamp(files: Sequence[Path]) -> tuple[int, ...]:
    stats = [path.stat() for path in files if path.is_file()]
    return tuple(number for each in stats for number in (each.st_mtime_ns, each.st_size))

"""Which images a project is of: what PROJECT/project.json says, and their planes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ulens.errors import DataError, UlensError
from ulens.image import Image
from ulens.io.atomic import write_file
from ulens.io.channel_files import ChannelFiles, find_channel_files
from ulens.io.files import list_images, plane_names, planes, read_as
from ulens.io.reading import Reading
from ulens.labels.meaning import LabelsAre
from ulens.record import read_json, read_record

PROJECT, LABELS, GUESSES = "project.json", "labels", "guesses"


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of images, and what a model found in them.

    Parameters
    ----------
    images : the folder, as seen from the project's
    results : folder of label images, called as the images are
    prefix : goes before the names of its planes, since another folder may hold the same names
    """

    images: str
    results: str = GUESSES
    prefix: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What `project.json` holds.

    Parameters
    ----------
    images : the folder of the images, as seen from the project's
    labels_are : ids of objects, or classes
    channel_files : whether files that are called like channels of one image are one
    others : further folders that were segmented; what is annotated of them is trained on, too
    """

    images: str
    labels_are: LabelsAre = "instances"
    channel_files: Literal["apart", "joined"] = "apart"
    others: tuple[Folder, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaneOf:
    """A plane of an image.

    Parameters
    ----------
    name : the file's stem, and the plane's name for a stack; unique in the project
    path : the file, the first one where channels have files of their own
    number : of the plane in it, from 0
    part : what `ulens.io.files.planes` calls it; empty where the file holds one
    beside : the files of its other channels
    results : folder of what a model found in it
    """

    name: str
    path: Path
    number: int = 0
    part: str = ""
    beside: tuple[Path, ...] = ()
    results: Path

    @property
    def result(self) -> Path:
        """The label image of its file, all planes together."""
        return self.results / f"{self.path.stem}.tif"

    @property
    def reading(self) -> Reading:
        """How its file is read."""
        return Reading(beside={self.path: self.beside} if self.beside else {})

    def read_file(self) -> Image:
        """Return the image of its file, with all planes; raises as `read_as`."""
        return read_as(self.path, self.reading)

    def of(self, image: Image) -> np.ndarray:
        """Return the (C, Y, X) pixels of the plane in the image of its file."""
        return planes(image)[self.number][1]


def is_project(folder: Path) -> bool:
    """Whether a folder is that of a project."""
    return (Path(folder) / PROJECT).is_file()


def read_record_of(folder: Path) -> Record:
    """Read what kind of project a folder is; raises SettingError where it is damaged."""
    path = folder / PROJECT
    return read_record(Record, read_json(path.read_bytes(), str(path)), str(path))


def write_record(folder: Path, record: Record) -> None:
    """Write what kind of project a folder is."""
    write_file(folder / PROJECT, json.dumps(asdict(record), indent=2).encode())


def locate_images(folder: Path, images: str) -> Path:
    """Return a folder of images that the record of a project names.

    Raises
    ------
    DataError : it is not there
    """
    path = folder / images
    if not path.exists():
        raise DataError(
            f"{folder / PROJECT} says that images are in {path}, which is not there; move "
            "them back, or write their new place into that file"
        )
    return path.resolve()


def list_planes(folder: Path, record: Record | None = None) -> list[PlaneOf]:
    """List the planes of all images of a project; of most files only the headers are read.

    A file that cannot be read is listed as one plane: reading that says why.

    Parameters
    ----------
    folder : of the project
    record : of a project that is yet to be written

    Raises
    ------
    DataError : two images would have labels of one name, or a folder is not there; one of which
        nothing is annotated is left out then
    """
    record = record or read_record_of(folder)
    found: dict[str, PlaneOf] = {}
    for each in (Folder(images=record.images), *record.others):
        if each.prefix and not (folder / each.images).exists():
            labels = (folder / LABELS).glob("*")
            if not any(path.name.startswith(each.prefix) for path in labels):
                continue
        images = locate_images(folder, each.images)
        for plane in _planes_in(images, each.prefix, folder / each.results, record.channel_files):
            if plane.name in found:
                raise DataError(
                    f"labels of {found[plane.name].path.name} and of {plane.path.name} would both "
                    f"be named {plane.name}.tif; rename one of the images"
                )
            found[plane.name] = plane
    return list(found.values())


def _planes_in(images: Path, prefix: str, results: Path, channel_files: str) -> Iterator[PlaneOf]:
    files = list_images(images)
    is_joined = channel_files == "joined"
    found = find_channel_files(files) if is_joined else ChannelFiles(images=files)
    for path in found.images:
        beside = tuple(found.beside.get(path, ()))
        try:
            parts = plane_names(path)
        except UlensError:
            parts = [""]
        for number, part in enumerate(parts):
            yield PlaneOf(
                name=prefix + path.stem + (f"_{part}" if part else ""),
                path=path, number=number, part=part, beside=beside, results=results,
            )  # fmt: skip

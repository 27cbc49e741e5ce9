"""What a person has annotated so far in a project, plane by plane.

PROJECT/labels/NAME.tif holds the labels of a plane, an ordinary TIFF, and NAME.json beside it the
boxes in which everything is annotated.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulens.annotated.label_values import encode, number_instances
from ulens.annotated.project_images import LABELS, PlaneOf, list_planes, read_record_of
from ulens.errors import LabelError, SettingError
from ulens.image import Image
from ulens.io.atomic import write_file
from ulens.io.files import name_some, read_label_image
from ulens.io.tiff import write_tiff
from ulens.labels.meaning import IGNORED, LabelsAre
from ulens.record import read_json, read_record


class Box(NamedTuple):
    """A part of a plane, in pixels: from the first row and column to those behind the last."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as slices of an array (Y, X)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, shape: tuple[int, ...]) -> "Box":
        """Return the part of the box that lies on a plane."""
        top, bottom = (min(max(each, 0), shape[0]) for each in sorted((self.top, self.bottom)))
        left, right = (min(max(each, 0), shape[1]) for each in sorted((self.left, self.right)))
        return Box(top, left, bottom, right)


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """What is annotated of a plane.

    Parameters
    ----------
    labels : (Y, X) integers, ids of objects or classes; 0 = background, or not annotated
    boxes : in which everything is annotated; outside of them 0 says nothing
    """

    labels: np.ndarray
    boxes: tuple[Box, ...] = ()

    def truth(self) -> np.ndarray:
        """Return the labels to train on: (Y, X) int64, −1 where nothing is annotated.

        Examples
        --------
        >>> Annotation(labels=np.array([[0, 0, 5, 0]]), boxes=(Box(0, 0, 1, 2),)).truth()
        array([[ 0,  0,  5, -1]])
        """
        truth = np.where(self.labels > 0, self.labels.astype(np.int64), IGNORED)
        truth[self.is_boxed() & (truth == IGNORED)] = 0
        return truth

    def is_boxed(self) -> np.ndarray:
        """Return the (Y, X) mask of the pixels in a box."""
        inside = np.zeros(self.labels.shape, bool)
        for box in self.boxes:
            inside[box.window] = True
        return inside

    @property
    def is_empty(self) -> bool:
        """Whether nothing is annotated."""
        return not self.boxes and not self.labels.any()


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedPlane:
    """A plane with what is annotated of it.

    Parameters
    ----------
    plane : which one
    image : what its file holds
    pixels : (C, Y, X) of the plane
    label : (Y, X) int64, as `Annotation.truth`
    file : with the labels
    """

    plane: PlaneOf
    image: Image
    pixels: np.ndarray
    label: np.ndarray
    file: Path


def labels_file(folder: Path, name: str) -> Path:
    """Return the file for the labels of a plane."""
    return folder / LABELS / f"{name}.tif"


def boxes_file(folder: Path, name: str) -> Path:
    """Return the file for the boxes of a plane."""
    return folder / LABELS / f"{name}.json"


def read_annotation(folder: Path, name: str, shape: tuple[int, ...]) -> Annotation:
    """Read what is annotated of a plane; nothing where there are no files.

    Parameters
    ----------
    shape : (Y, X) of the plane

    Raises
    ------
    LabelError : the labels are of another size
    SettingError, FileError : a file is damaged
    """
    labels = np.zeros(shape, np.int32)
    path = labels_file(folder, name)
    if path.is_file():
        labels = read_label_image(path).data
        if labels.shape != shape:
            raise LabelError(
                f"{path} is of another size than its image, {shape[0]}×{shape[1]}; labels belong "
                "to the pixels of their image: move the file away, or put it right"
            )
    return Annotation(labels=labels.astype(np.int32), boxes=read_boxes(folder, name, shape))


def read_boxes(folder: Path, name: str, shape: tuple[int, ...] = (2**31, 2**31)) -> tuple[Box, ...]:
    """Read the boxes of a plane, as far as they lie on its (Y, X) pixels."""
    path = boxes_file(folder, name)
    if not path.is_file():
        return ()
    entries = read_json(path.read_bytes(), str(path))
    boxes = read_record(_Boxes, entries, str(path)).boxes
    return tuple(Box(*each).within(shape) for each in boxes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Boxes:
    boxes: tuple[tuple[int, int, int, int], ...]


def write_labels(folder: Path, name: str, labels: np.ndarray) -> None:
    """Write the labels of a plane, in 16 bits as long as their numbers fit."""
    path = labels_file(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = np.uint16 if labels.max(initial=0) < 2**16 else np.uint32
    write_tiff(path, Image(data=labels.astype(dtype), axes="YX"))


def write_boxes(folder: Path, name: str, boxes: Iterable[Box]) -> None:
    """Write the boxes of a plane."""
    path = boxes_file(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"boxes": [list(map(int, box)) for box in boxes]}
    write_file(path, json.dumps(content, indent=2).encode())


def read_annotated_planes(folder: Path) -> Iterator[AnnotatedPlane]:
    """Read the planes of a project of which anything is annotated.

    Raises
    ------
    LabelError : nothing is annotated, or nothing as background
    """
    is_any, is_background = False, False
    last: tuple[Path, Image] | None = None
    for plane in list_planes(folder):
        files = (labels_file(folder, plane.name), boxes_file(folder, plane.name))
        if not any(path.is_file() for path in files):
            continue
        if last is None or last[0] != plane.path:  # planes of a stack follow each other
            last = plane.path, plane.read_file()
        image = last[1]
        pixels = plane.of(image)
        annotation = read_annotation(folder, plane.name, pixels.shape[1:])
        if annotation.is_empty:
            continue
        label = annotation.truth()
        is_any, is_background = True, is_background or bool((label == 0).any())
        yield AnnotatedPlane(
            plane=plane, image=image, pixels=pixels, label=label,
            file=files[0],
        )  # fmt: skip
    if not is_any:
        raise LabelError(
            f"nothing is annotated in {folder}; paint some objects and mark a box around them in "
            "which all of them are annotated"
        )
    if not is_background and read_record_of(folder).labels_are == "instances":
        raise LabelError(
            f"nothing in {folder} is annotated as background; mark at least one box in which all "
            "objects are annotated, so that the rest of it is background"
        )


def encode_truth(
    truth: np.ndarray, labels_are: LabelsAre, class_values: tuple[int, ...]
) -> np.ndarray:
    """Return what `Annotation.truth` gives as a sample has it.

    Each number is an object of its own, also where there is only one.

    Parameters
    ----------
    truth : (Y, X) int64, −1 where nothing is annotated
    class_values : the value of each class, where labels are classes

    Returns
    -------
    (Y, X) int32, class indices from 0 or instances 1…N on 0; −1 where nothing is annotated
    """
    if labels_are == "instances":
        return number_instances(truth)
    return encode(truth, labels_are, class_values)


def refuse_selection(**asked: object) -> None:
    """Raise SettingError where the user asks for another reading of a project than its own."""
    given = [name for name, value in asked.items() if value is not None]
    if given:
        raise SettingError(
            f"{name_some(map(Path, given))} is given, but a project knows how its labels are to "
            "be read; leave it out"
        )

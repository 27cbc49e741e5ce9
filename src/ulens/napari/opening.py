"""What is read of an image before it is shown."""

from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from ulens.annotated.project import Annotation
from ulens.project.project import Project


class Opened(NamedTuple):
    """An image as it was read.

    Parameters
    ----------
    name : of the plane
    pixels : (C, Y, X)
    annotation : to be painted on
    written : the same, as it is on disk
    guess : (Y, X) int32 labels and uint8 certainty; None where there is none
    """

    name: str
    pixels: np.ndarray
    annotation: Annotation
    written: Annotation
    guess: tuple[np.ndarray, np.ndarray] | None


def read(project: Project, name: str, written: Future[None]) -> Opened:
    """Read an image, what is annotated of it, and what was found in it.

    Parameters
    ----------
    written : what is waited for first, since it may be of this image
    """
    written.result()
    _, pixels = project.read(name)
    annotation = project.annotation(name, pixels.shape[1:])
    copy = Annotation(labels=annotation.labels.copy(), boxes=annotation.boxes)
    return Opened(name, pixels, annotation, copy, read_guess(project, name, pixels.shape[1:]))


def read_guess(
    project: Project, name: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what was found in an image, and that it is certain."""
    guess = project.read_guess(name, shape)
    return None if guess is None else (guess, np.where(guess > 0, 255, 0).astype(np.uint8))

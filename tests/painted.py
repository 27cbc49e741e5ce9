"""A project of small images of discs, which a network learns within seconds."""

from pathlib import Path

import numpy as np
import skimage as ski

from ulens.annotated.project import Box, write_boxes, write_labels
from ulens.image import Image
from ulens.io.tiff import write_tiff
from ulens.project.project import Project

SIZE = 96


def draw_discs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of bright discs and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((SIZE, SIZE), np.int32)
    centres = [(y, x) for y in range(12, SIZE, 24) for x in range(12, SIZE, 24)]
    for number, (y, x) in enumerate(centres, 1):
        rows, columns = ski.draw.disk((y, x), rng.integers(6, 10), shape=labels.shape)
        labels[rows, columns] = number
    image = np.where(labels > 0, 160, 60) + rng.normal(0, 10, labels.shape)
    return image.clip(0, 255).astype(np.uint8), labels


def make_project(root: Path, num_images: int = 3) -> Project:
    """Make images, and a project in which the first of them is annotated."""
    (root / "cells").mkdir()
    for seed in range(num_images):
        image, _ = draw_discs(seed)
        write_tiff(root / "cells" / f"c{seed}.tif", Image(data=image, axes="YX"))
    project = Project.open(root / "cells")
    paint(project, 0)
    return project


def paint(project: Project, seed: int) -> None:
    """Annotate an image wholly."""
    write_labels(project.folder, f"c{seed}", draw_discs(seed)[1])
    write_boxes(project.folder, f"c{seed}", [Box(0, 0, SIZE, SIZE)])

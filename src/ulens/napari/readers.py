"""Readers of label files and of tracked cells, and simulated images, for napari."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ulens.annotated.ctc import find_result, read_lineage
from ulens.annotated.label_looks import look_like_labels
from ulens.errors import UlensError
from ulens.io.files import planes, read_image, read_label_image
from ulens.simulate.challenges import simulate_cells, simulate_membranes
from ulens.tracking.lineage import Lineage

Layer = tuple[Any, dict[str, Any], str]


def choose_reader(path: str | list[str]) -> Callable[[str], list[Layer]] | None:
    """Return what reads a file of labels, or a folder of tracked cells; None for all else."""
    first = Path(path[0] if isinstance(path, list) else path)
    try:
        if first.is_dir():
            return read_tracked if find_result(first).lineage is not None else None
        is_labels = look_like_labels(planes(read_image(first))[0][1])
    except (UlensError, OSError):
        return None
    return read_label_layers if is_labels else None


def read_label_layers(path: str | list[str]) -> list[Layer]:
    """Return each file of labels as a layer."""
    files = [Path(each) for each in (path if isinstance(path, list) else [path])]
    return [
        (np.asarray(read_label_image(each).data).astype(np.int32), {"name": each.stem}, "labels")
        for each in files
    ]


def read_tracked(path: str | list[str]) -> list[Layer]:
    """Return a result of the Cell Tracking Challenge as labels, and as tracks with their lineage.

    Raises
    ------
    UlensError : its files are damaged, or contradict each other
    """
    folder = Path(path[0] if isinstance(path, list) else path)
    result = find_result(folder)
    assert result.lineage is not None
    frames = sorted(result.masks)
    masks = np.stack([np.squeeze(read_label_image(result.masks[frame]).data) for frame in frames])
    tracks, parents = lay_tracks(masks, frames, read_lineage(result.lineage))
    name = folder.name
    return [
        (masks.astype(np.int32), {"name": f"{name} cells"}, "labels"),
        (tracks, {"name": f"{name} tracks", "graph": parents}, "tracks"),
    ]


def lay_tracks(
    masks: np.ndarray, frames: list[int], lineage: Lineage
) -> tuple[np.ndarray, dict[int, list[int]]]:
    """Return tracks as napari draws them.

    Parameters
    ----------
    masks : (T, Y, X) integers, of the frames
    frames : number of each
    lineage : of the labels

    Returns
    -------
    (N, 4) rows of label, index of the frame, y, x; and the parent of each track that has one
    """
    rows = []
    for index in range(len(frames)):
        labels = np.unique(masks[index][masks[index] > 0])
        centres = ndimage.center_of_mass(masks[index] > 0, masks[index], labels)
        rows += [(int(n), index, y, x) for n, (y, x) in zip(labels, centres, strict=True)]
    rows.sort()
    there = {row[0] for row in rows}
    parents = {
        track.label: [track.parent]
        for track in lineage.tracks
        if track.parent in there and track.label in there
    }
    return np.array(rows, float).reshape(-1, 4), parents


def cells() -> list[Layer]:
    """Simulate DIC images of cells, with their truth."""
    images, labels = simulate_cells(4)
    return [(images, {"name": "cells"}, "image"), (labels, {"name": "truth"}, "labels")]


def membranes() -> list[Layer]:
    """Simulate electron micrographs of membranes, with their truth."""
    images, labels = simulate_membranes(4)
    return [
        (images, {"name": "membranes"}, "image"),
        (labels // 255, {"name": "truth"}, "labels"),
    ]

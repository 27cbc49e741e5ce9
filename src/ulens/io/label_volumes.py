"""Label images written piece by piece: OME-Zarr 0.5 and tiled BigTIFF."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ulens.image import UNKNOWN_STEPS, Steps
from ulens.io.atomic import flush
from ulens.io.made_by import MadeBy
from ulens.io.regions import Plane
from ulens.io.sizes import size_tags

CHUNK_PX = 512
_MARK = "ulens"
"""Among the attributes of a Zarr: ulens made it, and may replace it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelShape:
    """What is known of a label image before it is written.

    Parameters
    ----------
    axes : letters from ``TZYX`` in that order
    shape : pixels along each
    dtype : unsigned integer
    spacing_um : (y, x) pixel size in µm, or None where unknown
    tile_px : side of the square pieces in which the file stores a plane; a multiple of 16
    steps : how far apart slices and frames are
    made_by : what makes it
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    spacing_um: tuple[float, float] | None
    tile_px: int
    steps: Steps = UNKNOWN_STEPS
    made_by: MadeBy | None = None


class ZarrLabels:
    """An OME-Zarr 0.5 of labels, with smaller copies for viewers.

    Parameters
    ----------
    path : the folder
    labels : what it holds
    block_px : side of the square blocks that `write` will get; a multiple of `labels.tile_px`.
        Smaller copies are made as long as a block fills whole pieces of them, so that each piece
        is written once
    """

    def __init__(self, path: Path, labels: LabelShape, block_px: int) -> None:
        self._path, self._labels = path, labels
        num_levels = 1
        while block_px % (labels.tile_px * 2**num_levels) == 0 and max(
            labels.shape[-2:]
        ) > labels.tile_px * 2 ** (num_levels - 1):
            num_levels += 1
        self._factors = [2**level for level in range(num_levels)]

    def create(self) -> None:
        """Make the file, all background; one of that name is removed."""
        import zarr

        labels = self._labels
        group = zarr.create_group(
            self._path,
            zarr_format=3,
            overwrite=True,
            attributes={"ome": self._describe(), _MARK: self._mark()},
        )
        for level, factor in enumerate(self._factors):
            *outer, height, width = labels.shape
            group.create_array(
                str(level),
                shape=(*outer, -(-height // factor), -(-width // factor)),
                chunks=(*(1 for _ in outer), labels.tile_px, labels.tile_px),
                dtype=labels.dtype,
                dimension_names=list(labels.axes.lower()),
            )
        flush(self._path.rglob("*.json"))

    def write(self, plane: Plane, window: tuple[slice, slice], labels: np.ndarray) -> None:
        """Write the (y, x) labels of a block; the same again does no harm."""
        import zarr

        group, tile_px = zarr.open_group(self._path, mode="r+"), self._labels.tile_px
        place = [{"T": plane.t, "Z": plane.z}[axis] for axis in self._labels.axes[:-2]]
        for level, factor in enumerate(self._factors):
            # labels have no mean: a smaller copy takes every second pixel
            small = labels[::factor, ::factor]
            rows, columns = (
                slice(side.start // factor, side.start // factor + length)
                for side, length in zip(window, small.shape, strict=True)
            )
            array: Any = group[str(level)]
            array[(*place, rows, columns)] = small
            sides = (
                range(side.start // tile_px, -(-side.stop // tile_px)) for side in (rows, columns)
            )
            names = ("/".join(map(str, (level, "c", *place, y, x))) for y, x in product(*sides))
            flush(self._path / name for name in names)

    def tidy(self, warning: str = "") -> None:
        """Remove what a killed run left of pieces that it was writing; keep a warning."""
        import zarr

        if warning:
            marked = {"warning": warning, **self._mark()}
            zarr.open_group(self._path, mode="r+").attrs[_MARK] = marked
            flush([self._path / "zarr.json"])
        for left in self._path.rglob("*.partial"):
            left.unlink()

    def _mark(self) -> dict[str, str]:
        """Return what is told of who made it."""
        made_by = self._labels.made_by
        return {} if made_by is None else made_by.entries()

    def _describe(self) -> dict[str, Any]:
        labels = self._labels
        y_um, x_um = labels.spacing_um or (None, None)
        sizes = {"T": labels.steps.t_seconds, "Z": labels.steps.z_um, "Y": y_um, "X": x_um}
        axes = [
            {"name": axis.lower(), "type": "time" if axis == "T" else "space"}
            | ({"unit": "second" if axis == "T" else "micrometer"} if sizes[axis] else {})
            for axis in labels.axes
        ]
        spacing = [sizes[axis] or 1.0 for axis in labels.axes]
        datasets = [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {
                        "type": "scale",
                        "scale": [*spacing[:-2], spacing[-2] * factor, spacing[-1] * factor],
                    }
                ],
            }
            for level, factor in enumerate(self._factors)
        ]
        multiscales = {"name": "labels", "axes": axes, "datasets": datasets}
        classes = labels.made_by.classes if labels.made_by is not None else {}
        named = [{"label-value": value, "class": name} for value, name in classes.items()]
        image_label = {"properties": named} if named else {}
        return {"version": "0.5", "multiscales": [multiscales], "image-label": image_label}


def is_label_zarr(path: Path) -> bool:
    """Return whether a folder is what `ZarrLabels` made."""
    try:
        return _MARK in json.loads((path / "zarr.json").read_bytes())["attributes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def write_label_tiff(
    path: Path, labels: LabelShape, tiles: Iterator[np.ndarray], description: str = ""
) -> None:
    """Write a tiled, deflate-compressed BigTIFF with OME metadata.

    Parameters
    ----------
    tiles : (tile_px, tile_px) pieces plane by plane in reading order, those at the lower and
        right edge filled up
    description : for the reader, in the OME metadata
    """
    tags = size_tags(labels.axes, labels.spacing_um, labels.steps, description, labels.made_by)
    # a name of its own for each file, which OME would have, makes equal results differ
    tags["metadata"]["UUID"] = "urn:uuid:00000000-0000-0000-0000-000000000000"
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tif:
        tif.write(
            tiles,
            shape=labels.shape,
            dtype=labels.dtype,
            tile=(labels.tile_px, labels.tile_px),
            photometric="minisblack",
            compression="zlib",
            **tags,
        )
    flush([path])

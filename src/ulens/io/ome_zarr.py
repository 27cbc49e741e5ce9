"""Zarr images: OME-Zarr 0.4 and 0.5, and bare arrays."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ulens.errors import FileError
from ulens.image import Steps, name_shape
from ulens.io.axes import Axes, find_axes
from ulens.io.files import check_dtype, name_some
from ulens.io.need import in_bytes
from ulens.io.sizes import both, if_positive, in_seconds, in_um

LARGEST_PIECE_BYTES = 2**27  # three times as much is taken while it is decoded
_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


@dataclass(frozen=True, kw_only=True, slots=True)
class ZarrImage:
    """The image of a Zarr at full resolution.

    Parameters
    ----------
    stored : the array
    axes : what its axes mean
    spacing_um : (y, x) pixel size in µm, or None where the file does not say
    steps : between slices and frames
    channel_names : as far as the file tells
    notes : what the user should know
    """

    stored: Any
    axes: Axes
    spacing_um: tuple[float, float] | None
    steps: Steps
    channel_names: tuple[str, ...]
    notes: tuple[str, ...]


def is_zarr(path: Path) -> bool:
    """Return whether a path is the folder of a Zarr group or array."""
    return path.is_dir() and any((path / name).is_file() for name in _METADATA)


def open_zarr(path: Path, axes: str | None = None) -> ZarrImage:
    """Open a Zarr and find out what it holds; no pixel is read.

    Parameters
    ----------
    path : folder of an array or a group, format 2 or 3
    axes : what the user says of its axes, see `find_axes`

    Raises
    ------
    FileError : it is no image, its axes are not known, or most of its chunks are missing
    SettingError : `axes` do not fit
    """
    import zarr

    from ulens.io.bounded_store import BoundedStore

    store = BoundedStore(path)
    spacing_um, steps = None, Steps()
    names: tuple[str, ...] = ()
    try:
        node: Any = zarr.open(store, mode="r")
        attributes = dict(node.attrs)
        ome = attributes.get("ome", attributes)
        if isinstance(node, zarr.Group):
            multiscales = ome["multiscales"][0]
            part = multiscales["datasets"][0]["path"]
            stored: Any = node[part]
            if isinstance(stored, zarr.Group):
                raise ValueError(f"its image is at {part!r}, which is a group, not an array")
            letters, source = _letters(multiscales), "OME-Zarr metadata"
            spacing_um, steps = _read_sizes(multiscales, letters)
            names = _channel_names(ome)
        else:
            stored, source = node, "Zarr metadata"
            letters = _named_dimensions(stored)
    except MemoryError:
        raise
    except Exception as error:  # metadata can be wrong in many ways
        raise FileError(
            f"{path} is no image in OME-Zarr 0.4 or 0.5 ({type(error).__name__}: {error}), it "
            f"holds {name_some(sorted(path.iterdir()))}; give the folder of one image, such as "
            "the 0 in it"
        ) from error
    check_dtype(stored.dtype, path)
    check_chunks(stored, path)
    store.limit(stored, piece_bytes(stored))
    if not letters and stored.ndim == 2:
        letters, source = "YX", ""
    found = find_axes(letters, stored.shape, path, asked=axes, source=source or None)
    notes = (*found.notes, *_count_chunks(stored, path))
    return ZarrImage(
        stored=stored,
        axes=found,
        spacing_um=spacing_um,
        steps=steps,
        channel_names=names,
        notes=notes,
    )


def check_chunks(stored: Any, path: Path) -> None:
    """Raise FileError where an array cannot be that of its files: no pixel, or far too many."""
    if not stored.shape or min(stored.shape) < 1 or min(stored.chunks) < 1:
        raise FileError(
            f"{path} has {name_shape(stored.shape)} pixels in chunks of "
            f"{name_shape(stored.chunks)}; need at least one pixel along each axis"
        )
    if max(stored.shape) >= 2**63:
        raise FileError(f"{path} claims an axis of {max(stored.shape):.3g} pixels; it is damaged")
    check_pieces(stored, path)
    whole = getattr(stored, "shards", None) or stored.chunks
    num_needed = math.prod(-(-n // side) for n, side in zip(stored.shape, whole, strict=True))
    num_files = sum(len(files) for _, _, files in os.walk(path))
    if num_needed > 2 * num_files:
        raise FileError(
            f"{path} of {name_shape(stored.shape)} pixels takes {num_needed:,} chunks, but has "
            f"{num_files:,} files; the others would be read as {stored.fill_value}; copy it again "
            "from its source"
        )


def check_pieces(stored: Any, path: Path) -> None:
    """Raise FileError where the pieces that are read as a whole are too large for that."""
    if piece_bytes(stored) > LARGEST_PIECE_BYTES:
        raise FileError(
            f"{path} is stored in pieces of {name_shape(stored.chunks)} pixels, "
            f"{in_bytes(piece_bytes(stored))} each, which are read as a whole; save it in tiles of "
            "256 or 512 pixels"
        )


def piece_bytes(stored: Any) -> int:
    """Return what a chunk takes when it is read."""
    return math.prod(stored.chunks) * int(stored.dtype.itemsize)


def _letters(multiscales: dict[str, Any]) -> str:
    return "".join(str(axis["name"]).upper() for axis in multiscales["axes"])


def _channel_names(ome: dict[str, Any]) -> tuple[str, ...]:
    channels = ome.get("omero", {}).get("channels", ())
    return tuple(str(channel.get("label", "")) for channel in channels)


def _named_dimensions(stored: Any) -> str:
    """Return the letters of a bare array's axes; nothing unless each is named by one letter."""
    names = [str(name).upper() for name in getattr(stored.metadata, "dimension_names", ()) or ()]
    return "".join(names) if all(len(name) == 1 for name in names) else ""


def _read_sizes(
    multiscales: dict[str, Any], letters: str
) -> tuple[tuple[float, float] | None, Steps]:
    transforms = [
        *multiscales.get("coordinateTransformations", ()),
        *multiscales["datasets"][0].get("coordinateTransformations", ()),
    ]
    scale = np.ones(len(letters))
    for transform in transforms:
        if transform["type"] == "scale":
            scale *= transform["scale"]
    units = [axis.get("unit") for axis in multiscales["axes"]]
    by_letter = dict(zip(letters, zip(scale.tolist(), units, strict=True), strict=True))
    y, x, z = (in_um(*by_letter.get(letter, (1.0, None))) for letter in "YXZ")
    seconds = in_seconds(*by_letter.get("T", (1.0, None)))
    return both(y, x), Steps(z_um=if_positive(z), t_seconds=if_positive(seconds))


def _count_chunks(stored: Any, path: Path) -> Sequence[str]:
    """Return a note where chunks are missing; raise FileError where most of them are."""
    num_missing = stored.nchunks - stored.nchunks_initialized
    if num_missing <= 0:
        return ()
    found = f"{num_missing} of {stored.nchunks} chunks"
    if 2 * num_missing > stored.nchunks:
        raise FileError(
            f"{path} lacks {found}, which would be read as {stored.fill_value}; copy it again from "
            "its source"
        )
    return (
        f"{found} are not there and are read as {stored.fill_value}, as Zarr allows; if that is "
        "not meant, copy it again from its source",
    )

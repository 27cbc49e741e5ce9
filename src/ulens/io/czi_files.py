"""CZI files of Zeiss, tile by tile; what ZEN made smaller for viewing is passed over."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import czifile
import imagecodecs
import numpy as np

from ulens.errors import FileError
from ulens.image import Steps, name_shape
from ulens.io.need import BoundedReader, check_length
from ulens.io.scenes import Scene, by_frames
from ulens.io.sizes import both, if_positive
from ulens.io.tiff_parts import parse_xml

_UNCOMPRESSED, _JPEG_XR, _ZSTD, _ZSTD_WITH_HEADER = 0, 4, 5, 6
_KINDS = {_UNCOMPRESSED: "none"}
_METRE_UM = 1e6
_EMPTIEST = 4096
"""Pixels of a scene for each that is stored; single fields spread over a slide are some hundred."""


class _Tile(NamedTuple):
    """A tile: where it is stored, and where it lies in the scene."""

    entry: Any
    top: int
    left: int
    height: int
    width: int


@contextmanager
def open_czi(path: Path) -> Iterator[list[Scene]]:
    """Open a CZI file and list its scenes.

    Raises
    ------
    FileError : its pixels are in other files, or of several kinds
    Exception : of any kind where the file is damaged
    """
    with BoundedReader(path) as file, czifile.CziFile(file, multifile=False) as content:
        entries = [each for each in content.subblock_directory if _is_full(each)]
        if any(each.file_part for each in entries):
            raise FileError(f"{path} has its pixels in other files; save it in ZEN as one CZI file")
        text = content.metadata()
        metadata = ElementTree.Element("none") if text is None else parse_xml(text, path)
        by_scene = defaultdict(list)
        for each in entries:
            by_scene[_ranges(each).get("S", range(1)).start].append(each)
        yield [_describe(path, by_scene[number], metadata, number) for number in sorted(by_scene)]


def _describe(
    path: Path, entries: Sequence[Any], metadata: ElementTree.Element, number: int
) -> Scene:
    """Return a scene: the rectangle around its tiles; where there is none, pixels are 0."""
    kinds = {each.dtype for each in entries}
    if len(kinds) > 1:
        raise FileError(
            f"{path} has channels of different kinds ({', '.join(sorted(kinds))}); save each of "
            "them alone in ZEN"
        )
    dtype = np.dtype(kinds.pop())
    extent = _join(_ranges(each) for each in entries)
    outer = [axis for axis in extent if axis not in "SMYX" and len(extent[axis]) > 1]
    planes: dict[tuple[int, ...], list[_Tile]] = defaultdict(list)
    for each in sorted(entries, key=lambda entry: entry.mosaic_index or 0):
        own = _ranges(each)
        if any(len(own[axis]) != 1 for axis in outer):
            raise FileError(f"{path} has tiles of several planes, which are not read")
        top, left = (own[axis].start - extent[axis].start for axis in "YX")
        place = tuple(own[axis].start - extent[axis].start for axis in outer)
        planes[place].append(_Tile(each, top, left, len(own["Y"]), len(own["X"])))
    _check_covered(planes, len(extent["Y"]), len(extent["X"]), path)
    num_samples = min(dtype.shape[0], 3) if dtype.shape else 0  # the fourth is alpha
    shape = tuple(len(extent[axis]) for axis in (*outer, "Y", "X"))
    shape += (num_samples,) if num_samples else ()

    def read(place: tuple[int, ...], window: tuple[slice, ...]) -> np.ndarray:
        if place not in planes:
            raise FileError(
                f"{path} lacks the plane {dict(zip(outer, place, strict=True))}; it was never "
                "taken, or the file is cut off: save what is there anew in ZEN"
            )
        return _paste(planes[place], shape[len(outer) :], dtype.base, window, path)

    spacing_um, steps = _sizes(metadata)
    return Scene(
        name=_name_scene(metadata, number),
        letters="".join(outer) + ("YXS" if num_samples else "YX"),
        shape=shape,
        dtype=dtype.base,
        cut=by_frames(len(outer), shape, read),
        spacing_um=spacing_um,
        steps=steps,
        channel_names=tuple(
            each.get("Name", "")
            for each in metadata.findall(".//Image/Dimensions/Channels/Channel")
        ),
    )


def _check_covered(
    planes: Mapping[tuple[int, ...], Sequence[_Tile]], height: int, width: int, path: Path
) -> None:
    """Raise FileError where tiles lie so far apart that no stage could have been there."""
    covered = sum(tile.height * tile.width for tiles in planes.values() for tile in tiles)
    if height * width * len(planes) > _EMPTIEST * covered:
        raise FileError(
            f"{path} says that its tiles, of {covered:,} pixels in all, lie in a scene of "
            f"{name_shape((height, width))} pixels; it is damaged: copy it again from its source"
        )


def _is_full(entry: Any) -> bool:
    """Whether a tile is stored pixel by pixel; those of the pyramid are not."""
    return all(dim.stored_size == dim.size for dim in entry.dimension_entries)


def _ranges(entry: Any) -> dict[str, range]:
    """Return where a tile lies along each axis."""
    return {
        dim.dimension: range(dim.start, dim.start + dim.size) for dim in entry.dimension_entries
    }


def _join(ranges: Iterable[dict[str, range]]) -> dict[str, range]:
    """Return the ranges that hold all of these."""
    joined: dict[str, range] = {}
    for each in ranges:
        for axis, own in each.items():
            known = joined.get(axis, own)
            joined[axis] = range(min(known.start, own.start), max(known.stop, own.stop))
    return joined


def _paste(
    tiles: list[_Tile],
    shape: tuple[int, ...],
    dtype: np.dtype,
    window: tuple[slice, ...],
    path: Path,
) -> np.ndarray:
    """Return a window of a plane; of tiles that overlap, the later one is seen, as in ZEN."""
    rows, columns = (range(n)[part] for n, part in zip(shape[:2], window[:2], strict=True))
    pixels = np.zeros((len(rows), len(columns), *shape[2:]), dtype)
    for tile in tiles:
        top, bottom = max(rows.start, tile.top), min(rows.stop, tile.top + tile.height)
        left, right = max(columns.start, tile.left), min(columns.stop, tile.left + tile.width)
        if top >= bottom or left >= right:
            continue
        own = _decode(tile, path)[..., : shape[2] if len(shape) > 2 else None]
        pixels[
            top - rows.start : bottom - rows.start, left - columns.start : right - columns.start
        ] = own[top - tile.top : bottom - tile.top, left - tile.left : right - tile.left]
    return pixels if len(window) < 3 else pixels[..., window[2]]


def _decode(tile: _Tile, path: Path) -> np.ndarray:
    """Return the (Y, X) or (Y, X, samples) pixels of a tile; colors are red first."""
    dtype = np.dtype(tile.entry.dtype)
    shape = (tile.height, tile.width, *dtype.shape)
    stored = tile.entry.data_segment().data(raw=True)
    kind = tile.entry.compression
    check_length(
        path, math.prod(shape) * dtype.base.itemsize, len(stored), _KINDS.get(kind, "other")
    )
    if kind == _JPEG_XR:
        pixels = imagecodecs.jpegxr_decode(stored)
        if pixels.size != math.prod(shape):
            raise FileError(f"{path} has a tile of {pixels.size} values, need {math.prod(shape)}")
        return pixels.reshape(shape)
    if kind in (_ZSTD, _ZSTD_WITH_HEADER):
        stored = _unpack_zstd(stored, math.prod(shape) * dtype.base.itemsize, kind)
    elif kind != _UNCOMPRESSED:
        raise FileError(
            f"{path} is compressed in a way ({kind}) that is not read; save it in ZEN without "
            "compression or with Zstandard"
        )
    pixels = np.frombuffer(stored, dtype.base, math.prod(shape)).reshape(shape)
    return pixels[..., [2, 1, 0, *range(3, shape[2])]] if dtype.shape else pixels


def _unpack_zstd(stored: bytes, num_bytes: int, kind: int) -> bytes:
    """Return what Zstandard packed; with a header it tells whether low and high bytes are apart."""
    is_apart = False
    if kind == _ZSTD_WITH_HEADER:
        length = stored[0]
        is_apart = length > 1 and stored[1] == 1 and bool(stored[2] & 1)
        stored = stored[length:]
    unpacked = bytearray(num_bytes)
    imagecodecs.zstd_decode(stored, out=unpacked)
    if not is_apart:
        return bytes(unpacked)
    return np.frombuffer(unpacked, np.uint8).reshape(2, -1).T.tobytes()


def _name_scene(metadata: ElementTree.Element, number: int) -> str:
    scenes = metadata.findall(".//Image/Dimensions/S/Scenes/Scene")
    return next((each.get("Name", "") for each in scenes if each.get("Index") == str(number)), "")


def _sizes(metadata: ElementTree.Element) -> tuple[tuple[float, float] | None, Steps]:
    x, y, z = (
        float(metadata.findtext(f".//Scaling/Items/Distance[@Id='{axis}']/Value") or "nan")
        for axis in "XYZ"
    )
    interval = metadata.findtext(".//Image/Dimensions/T/Positions/Interval/Increment")
    steps = Steps(z_um=if_positive(z * _METRE_UM), t_seconds=if_positive(float(interval or "nan")))
    return both(y * _METRE_UM, x * _METRE_UM), steps

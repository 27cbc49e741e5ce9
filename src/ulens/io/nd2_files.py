"""ND2 files of Nikon: the positions in them are scenes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nd2
import numpy as np
from nd2.structures import NETimeLoop, TimeLoop, XYPosLoop

from ulens.errors import FileError
from ulens.image import Steps
from ulens.io.need import BoundedReader
from ulens.io.scenes import Scene, by_frames
from ulens.io.sizes import both, if_positive

_BEFORE_PIXELS = 4096
"""Bytes from where a frame begins to its pixels."""
_KINDS = {"lossless": "deflate", "none": "none", None: "none"}


@contextmanager
def open_nd2(path: Path) -> Iterator[list[Scene]]:
    """Open an ND2 file and list its positions.

    Raises
    ------
    FileError : it is of an old version, or its pixels are colors or compressed with losses
    Exception : of any kind where the file is damaged
    """
    with BoundedReader(path) as file, nd2.ND2File(file) as content:
        if content.version < (3, 0):
            version = ".".join(map(str, content.version))
            raise FileError(
                f"{path} is an ND2 file of version {version}, need 3.0 or newer; save it anew in "
                "NIS-Elements, or as TIFF in Fiji"
            )
        names = _position_names(content) or [""]
        yield [_describe(content, path, i, name) for i, name in enumerate(names)]


def _position_names(content: nd2.ND2File) -> list[str]:
    loops = [loop for loop in content.experiment if isinstance(loop, XYPosLoop)]
    return [point.name or "" for loop in loops for point in loop.parameters.points]


def _describe(content: nd2.ND2File, path: Path, position: int, name: str) -> Scene:
    """Return a position; its frames lie in the file in the order of the loops that took them."""
    attributes = content.attributes
    kind = _KINDS.get(attributes.compressionType)
    if kind is None:
        raise FileError(
            f"{path} is compressed with losses, which is not read; save it without in NIS-Elements"
        )
    loops = {axis: n for axis, n in content.sizes.items() if axis not in "CYXS"}
    outer = {axis: n for axis, n in loops.items() if axis != "P"}
    num_channels = attributes.channelCount or 1
    num_samples = attributes.componentCount // num_channels
    if num_samples != 1:
        raise FileError(
            f"{path} holds colors, {num_samples} values a pixel; of ND2 files only channels are "
            "read: save it as TIFF in NIS-Elements or Fiji"
        )
    frame = num_channels, attributes.heightPx, attributes.widthPx or 1

    def read(place: tuple[int, ...], window: tuple[slice, ...]) -> np.ndarray:
        places = dict(zip(outer, place, strict=True)) | {"P": position}
        number = 0
        for axis, n in loops.items():
            number = number * n + places[axis]
        _check_stored(content, path, number)
        return content.read_frame(number).reshape(frame)[window]

    shape = (*outer.values(), *frame)
    spacing_um, steps = _sizes(content)
    return Scene(
        name=name,
        letters="".join(outer) + "CYX",
        shape=shape,
        dtype=np.dtype(content.dtype),
        cut=by_frames(len(outer), shape, read),
        kind=kind,
        spacing_um=spacing_um,
        steps=steps,
        channel_names=tuple(each.channel.name for each in content.metadata.channels or ()),
    )


def _check_stored(content: nd2.ND2File, path: Path, number: int) -> None:
    """Raise FileError where a frame is not in the file: the library returns zeros for it."""
    attributes = content.attributes
    chunks = getattr(content._rdr, "chunkmap")  # noqa: B009, the class for old files lacks it
    offset, _ = chunks.get(f"ImageDataSeq|{number}!".encode(), (None, 0))
    num_bytes = 0
    if attributes.compressionType != "lossless":
        num_bytes = attributes.heightPx * (attributes.widthBytes or 0)
    if offset is None or offset + _BEFORE_PIXELS + num_bytes > path.stat().st_size:
        raise FileError(
            f"{path} lacks frame {number + 1} of {attributes.sequenceCount}; it is cut off, or was "
            "never written: copy it again from its source, or save what is there anew"
        )


def _sizes(content: nd2.ND2File) -> tuple[tuple[float, float] | None, Steps]:
    channels = content.metadata.channels
    if not channels:
        return None, Steps()
    volume = channels[0].volume
    sizes = zip(volume.axesCalibration, volume.axesCalibrated, strict=True)
    x, y, z = (size if is_known else 0.0 for size, is_known in sizes)
    seconds = 0.0
    for loop in content.experiment:
        if isinstance(loop, TimeLoop):
            seconds = loop.parameters.periodMs / 1000
        elif isinstance(loop, NETimeLoop) and len(loop.parameters.periods) == 1:
            seconds = loop.parameters.periods[0].periodMs / 1000
    return both(y, x), Steps(z_um=if_positive(z), t_seconds=if_positive(seconds))

"""LIF files of Leica: the images in them are scenes."""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import liffile
import numpy as np

from ulens.errors import FileError
from ulens.image import Steps
from ulens.io.need import BoundedReader
from ulens.io.scenes import Cut, Scene, by_frames
from ulens.io.sizes import both, if_positive, in_seconds, in_um
from ulens.io.tiff_parts import check_xml

_HEADER = struct.Struct("<IIBI")
_NUMBER_OF_AXIS = {"X": 1, "Y": 2, "Z": 3, "T": 4}
_IMAGE = "./Data/Image/ImageDescription"


@contextmanager
def open_lif(path: Path) -> Iterator[list[Scene]]:
    """Open a LIF file and list its images; those of fluorescence lifetimes are left out.

    Raises
    ------
    FileError : it is a file of Leica of another kind
    Exception : of any kind where the file is damaged
    """
    with BoundedReader(path) as file:
        *_, num_letters = _HEADER.unpack(file.read(_HEADER.size))
        check_xml(file.read(2 * num_letters).decode("utf-16-le", "replace"), path)
        file.seek(0)
        with liffile.LifFile(file, squeeze=False) as content:
            if content.type is not liffile.LifFileType.LIF:
                raise FileError(
                    f"{path} is a {content.type.name} file of Leica, which is not read; save it as "
                    "LIF in LAS X"
                )
            yield [_describe(each) for each in content.images if not each.is_flim]


def _describe(image: Any) -> Scene:
    sizes = {axis: n for axis, n in image.sizes.items() if n > 1 or axis in "YX"}
    letters, shape = "".join(sizes), tuple(sizes.values())
    spacing_um, steps = _sizes(image.xml_element)
    return Scene(
        name=image.path,
        letters=letters,
        shape=shape,
        dtype=image.dtype,
        cut=_color_cut(image, letters, shape) if "S" in letters else _cut(image, shape),
        kind="none",
        spacing_um=spacing_um,
        steps=steps,
        channel_names=_channel_names(image.xml_element) if "C" in letters else (),
    )


def _cut(image: Any, shape: tuple[int, ...]) -> Cut:
    def cut(where: tuple[slice | int, ...]) -> np.ndarray:
        # mapped again each time, so that what was read counts no longer as memory in use
        return np.array(image.asarray(out="memmap").reshape(shape)[where])

    return cut


def _color_cut(image: Any, letters: str, shape: tuple[int, ...]) -> Cut:
    """Return the `cut` of an image in colors; their order differs, and the library knows it."""
    outer = letters[: letters.index("Y")]

    def read(place: tuple[int, ...], window: tuple[slice, ...]) -> np.ndarray:
        frame = image.frame(**dict(zip(outer, place, strict=True)))
        return frame.reshape(shape[len(outer) :])[window]

    return by_frames(len(outer), shape, read)


def _channel_names(element: ElementTree.Element) -> tuple[str, ...]:
    """Return the dyes of the channels, else the colors in which they are shown."""
    names: list[str] = []
    for channel in element.findall(f"{_IMAGE}/Channels/ChannelDescription"):
        known = {each.findtext("Key"): each.findtext("Value") for each in channel.iter()}
        names.append(known.get("DyeName") or channel.get("LUTName") or "")
    return tuple(names)


def _sizes(element: ElementTree.Element) -> tuple[tuple[float, float] | None, Steps]:
    """Return the pixel size and the steps; lengths are from the first to the last pixel."""
    found = {
        int(each.get("DimID", 0)): each
        for each in element.findall(f"{_IMAGE}/Dimensions/DimensionDescription")
    }
    step = dict.fromkeys("XYZT", (math.nan, ""))
    for axis, number in _NUMBER_OF_AXIS.items():
        if number in found and (num := int(found[number].get("NumberOfElements", 1))) > 1:
            length = abs(float(found[number].get("Length", "nan")))
            step[axis] = length / (num - 1), found[number].get("Unit", "")
    x, y, z = (in_um(*step[axis]) for axis in "XYZ")
    seconds = in_seconds(*step["T"])
    return both(y, x), Steps(z_um=if_positive(z), t_seconds=if_positive(seconds))

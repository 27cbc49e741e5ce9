"""PNG, JPEG and BMP files."""

from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
import PIL.Image

from ulens.channels import is_grey
from ulens.image import Image
from ulens.io.axes import find_axes, in_standard_order
from ulens.io.need import BoundedReader, check_image_memory, check_length
from ulens.io.orientation import describe_turn, known_orientation, turn
from ulens.io.reading import BY_FILE, Reading, choose_scene

_PNG_START = b"\x89PNG\r\n\x1a\n"
_ORIENTATION = 0x0112  # of EXIF


def read_raster(path: Path, reading: Reading = BY_FILE, *, resolve_palette: bool) -> Image:
    """Read a PNG, JPEG or BMP file, turned as viewers show it.

    Parameters
    ----------
    reading : its axes as the user says, see `find_axes`; the scene, of which there is one
    resolve_palette : whether a pixel is its color; else it is the index of that

    Raises
    ------
    SettingError : `reading` does not fit
    Exception : of any kind where the file is damaged or of another format
    """
    with BoundedReader(path) as file, _open_with_pillow(file) as opened:
        _check_need(opened, path)
        orientation = known_orientation(opened.getexif().get(_ORIENTATION))
        data = _decode_deep_png(path)
        if data is None:
            data = _decode(opened, resolve_palette)
    if data.ndim == 3 and data.shape[2] in (2, 4):  # Pillow and libpng put alpha last
        data = data[..., :-1]
    choose_scene([("", data.shape)], reading.scene, path)
    found = find_axes("YXS"[: data.ndim], data.shape, path, asked=reading.axes, source=None)
    data, letters = in_standard_order(data, found.stored)
    return Image(
        data=np.ascontiguousarray(turn(data, orientation)),
        axes=letters,
        source=path,
        axes_from=found.found,
        notes=describe_turn(orientation),
    )


def _check_need(opened: PIL.Image.Image, path: Path) -> None:
    """Raise FileError where an image is larger than its file or the memory can hold."""
    width, height = opened.size
    # pixels of a bit; no JPEG has fewer
    check_length(path, height * -(-width // 8), path.stat().st_size, "deflate")
    is_deep = opened.mode.startswith("I;16") or opened.mode in ("I", "F")
    pixel_bytes = len(opened.getbands()) * (2 if is_deep else 1)
    check_image_memory(
        path,
        (height, width),
        pixel_bytes,
        "crop it, or save it as a tiled TIFF or an OME-Zarr and segment it alone, with a name that "
        "ends in .zarr or .tif as out, which reads it piece by piece",
    )


def _decode_deep_png(path: Path) -> np.ndarray | None:
    """Return the pixels of a 16-bit PNG file, None for any other.

    Pillow cuts 16-bit color down to 8 bits.
    """
    with path.open("rb") as file:
        header = file.read(25)
        if not header.startswith(_PNG_START) or header[24:] != b"\x10":
            return None
        file.seek(0)
        return imagecodecs.png_decode(file.read())


def _decode(image: PIL.Image.Image, resolve_palette: bool) -> np.ndarray:
    """Return (Y, X) or (Y, X, samples) pixels."""
    if image.mode in ("P", "PA"):
        colors = np.asarray(image.convert("RGB"))
        if is_grey(np.moveaxis(colors, 2, 0)):
            return np.ascontiguousarray(colors[..., 0])
        return colors if resolve_palette else np.asarray(image.getchannel(0))
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return np.asarray(image.convert("RGB"))
    return np.asarray(image)


def _open_with_pillow(file: BinaryIO) -> PIL.Image.Image:
    """Open a PNG, JPEG or BMP file of any size.

    `PIL.Image.open` refuses images of more than 179 million pixels, unless that limit is lifted for
    the whole process.
    """
    PIL.Image.preinit()
    start = file.read(16)
    file.seek(0)
    for name in ("PNG", "JPEG", "BMP"):
        make, accepts = PIL.Image.OPEN[name]
        if accepts is not None and accepts(start):
            return make(file, "")
    raise PIL.UnidentifiedImageError("neither PNG, JPEG nor BMP")

"""Image files: which ones a folder holds, reading them, and their 2-D planes."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
import PIL.Image
import tifffile

from ulens.channels import is_grey
from ulens.errors import DataError, FileError
from ulens.image import Image
from ulens.io.tiff import read_tiff, write_tiff

__all__ = [
    "FORMATS",
    "is_roi_file",
    "list_images",
    "list_labels",
    "list_rois",
    "name_some",
    "num_planes",
    "other_files",
    "planes",
    "read_image",
    "read_label_image",
    "write_tiff",
]

FORMATS = "PNG, JPEG, BMP and TIFF"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
# Outlines of objects; `ulens.io.rois` reads them.
_ROI_SUFFIXES = {".zip", ".roi", ".geojson", ".json"}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_START = b"\x89PNG\r\n\x1a\n"


def list_images(path: Path) -> list[Path]:
    """List the image files of a folder, numbers in names counted as numbers.

    Parameters
    ----------
    path : a folder, not searched deeper; or a file, which is returned alone

    Returns
    -------
    files with a suffix of a format that is read, hidden files left out

    Raises
    ------
    FileError : the path does not exist or holds no images (names what it holds)
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileError(f"{path} does not exist; give an image file or a folder of images")
    images = _with_suffix(path, _SUFFIXES)
    if not images:
        held = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        folders = [entry for entry in held if entry.is_dir()]
        deeper = f"; folders in it are not searched: give {folders[0]}" if folders else ""
        raise FileError(
            f"no images in {path}, which holds {name_some(held)}{deeper}; ulens reads {FORMATS}"
        )
    return sorted(images, key=_natural_order)


def list_labels(path: Path) -> list[Path]:
    """List the label files of a folder as `list_images` does; without images, ROIs and GeoJSON."""
    path = Path(path)
    if path.is_dir() and (rois := list_rois(path)) and not _with_suffix(path, _SUFFIXES):
        return rois
    if not path.exists():
        raise FileError(f"{path} does not exist; give a label file or a folder of labels")
    return list_images(path)


def list_rois(folder: Path) -> list[Path]:
    """List the files of a folder that may be ImageJ ROIs or GeoJSON, in the order of images."""
    return sorted(_with_suffix(folder, _ROI_SUFFIXES), key=_natural_order)


def is_roi_file(path: Path) -> bool:
    """Return whether the suffix is one of ImageJ ROIs or GeoJSON.

    Examples
    --------
    >>> is_roi_file(Path("cells.geojson"))
    True
    """
    return path.suffix.lower() in _ROI_SUFFIXES


def other_files(path: Path) -> list[Path]:
    """List the files of a folder that `list_images` leaves out, hidden ones excepted."""
    if not path.is_dir():
        return []
    seen = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    return sorted(f for f in seen if f.is_file() and f.suffix.lower() not in _SUFFIXES)


def name_some(paths: Iterable[Path]) -> str:
    """Return the names of the first few files and how many more there are.

    Examples
    --------
    >>> name_some([Path("a/1.png"), Path("a/2.png")])
    '1.png, 2.png'
    """
    return list_some([path.name for path in paths])


def list_some(names: Sequence[str]) -> str:
    """Return the first few names and how many more there are."""
    shown = 6
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(names[:shown]) or "nothing") + more


def read_image(path: Path) -> Image:
    """Read an image file with its axes and pixel size.

    Parameters
    ----------
    path : PNG, JPEG, BMP or TIFF file; the content decides, not the suffix

    Returns
    -------
    pixels in the file's dtype; colors are axis C, alpha is dropped, palettes of PNG and BMP
    files are resolved; the pixel size is known for TIFF files only (other formats hold a
    printing resolution)

    Raises
    ------
    FileError : the file is missing, damaged or of another format
    DataError : pixels are NaN or infinite
    """
    return _read(Path(path), resolve_palette=True)


def read_label_image(path: Path) -> Image:
    """Read a label image; as `read_image`, but a color palette's indices are the values.

    Programs that color label images with a palette store classes or ids as its indices.
    Palettes of greys are resolved, since there the grey is the value.
    """
    return _read(Path(path), resolve_palette=False)


def num_planes(path: Path) -> int:
    """Return the number of 2-D planes in a file, from its header where possible."""
    path = Path(path)
    if not _is_tiff(path):
        return 1
    try:
        with tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            sizes = zip(series.axes, series.shape, strict=True)
            return int(np.prod([size for letter, size in sizes if letter not in "CSYX"]))
    except Exception:  # read_image says what is wrong with the file
        return len(planes(read_image(path)))


def planes(image: Image) -> list[tuple[str, np.ndarray]]:
    """Cut an image into its 2-D planes.

    Parameters
    ----------
    image : any axes

    Returns
    -------
    (name, pixels) in the order of the file, frames before slices; pixels are (C, Y, X) views
    in the image's dtype, names like ``t003``, ``z012``, ``t003_z012``, or empty for a
    single plane

    Examples
    --------
    >>> stack = Image(data=np.zeros((2, 5, 4)), axes="ZYX")
    >>> [(name, plane.shape) for name, plane in planes(stack)]
    [('z000', (1, 5, 4)), ('z001', (1, 5, 4))]
    """
    missing = tuple(i for i, letter in enumerate("TCZYX") if letter not in image.axes)
    data = np.expand_dims(image.data, missing)
    return [
        (_plane_name(image.axes, t, z), data[t, :, z])
        for t in range(data.shape[0])
        for z in range(data.shape[2])
    ]


def _with_suffix(folder: Path, suffixes: set[str]) -> list[Path]:
    """Return the files of a folder that have one of the suffixes, hidden ones left out."""
    seen = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return [file for file in seen if file.suffix.lower() in suffixes and file.is_file()]


def _plane_name(axes: str, t: int, z: int) -> str:
    return "_".join(f"{axis.lower()}{i:03d}" for axis, i in (("T", t), ("Z", z)) if axis in axes)


def _natural_order(path: Path) -> tuple[list[int | str], str]:
    # re.split with a group alternates text and digits, so positions compare alike
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def _is_tiff(path: Path) -> bool:
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise FileError(f"{path} {kind}; give an image file; ulens reads {FORMATS}")
    with path.open("rb") as file:
        return file.read(4) in _TIFF_STARTS


def _read(path: Path, *, resolve_palette: bool) -> Image:
    try:
        image = read_tiff(path) if _is_tiff(path) else _read_raster(path, resolve_palette)
    except (FileError, MemoryError):
        raise
    except Exception as error:  # decoders raise errors of many kinds for damaged files
        raise FileError(
            f"{path} cannot be read ({str(error) or type(error).__name__}); it is damaged or of "
            f"another format; ulens reads {FORMATS}: copy it again or convert it"
        ) from error
    _check_pixels(image, path)
    return image


def _check_pixels(image: Image, path: Path) -> None:
    kind = image.data.dtype.kind
    if kind not in "uif":
        raise FileError(f"{path} holds {image.data.dtype} pixels; need integers or floats")
    if kind == "f" and not np.isfinite(image.data).all():
        num_bad = int(np.count_nonzero(~np.isfinite(image.data)))
        raise DataError(
            f"{path} holds {num_bad} NaN or infinite pixels of {image.data.size}; replace them "
            "with numbers, or mark them in the label image with an ignore value"
        )


def _read_raster(path: Path, resolve_palette: bool) -> Image:
    data = _decode_deep_png(path)
    if data is None:
        data = _decode_with_pillow(path, resolve_palette)
    if data.ndim == 2:
        return Image(data=data, axes="YX", source=path)
    if data.shape[2] in (2, 4):  # Pillow and libpng put alpha last
        data = data[..., :-1]
    if data.shape[2] == 1:
        return Image(data=np.ascontiguousarray(data[..., 0]), axes="YX", source=path)
    return Image(data=np.ascontiguousarray(np.moveaxis(data, 2, 0)), axes="CYX", source=path)


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


def _decode_with_pillow(path: Path, resolve_palette: bool) -> np.ndarray:
    """Return (Y, X) or (Y, X, samples) pixels."""
    with path.open("rb") as file, _open_with_pillow(file) as image:
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

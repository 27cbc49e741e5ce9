"""Image files: which ones a folder holds, reading them, and their 2-D planes."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ulens.errors import DataError, FileError, SettingError
from ulens.image import Image
from ulens.io.axes import Axes
from ulens.io.channel_files import check_there, join_channels
from ulens.io.raster import read_raster
from ulens.io.reading import BY_FILE, Reading, as_texts
from ulens.io.scenes import MICROSCOPE_SUFFIXES, microscope_format, open_scene, read_scene
from ulens.io.tiff import open_tiff, read_tiff, write_tiff
from ulens.io.tiff_parts import is_companion, refuse_companion

__all__ = [
    "FORMATS",
    "is_roi_file",
    "list_images",
    "list_labels",
    "list_rois",
    "name_some",
    "num_planes",
    "other_files",
    "plane_names",
    "planes",
    "read_image",
    "read_label_image",
    "write_tiff",
]

FORMATS = "PNG, JPEG, BMP and TIFF, and with ulens[formats] ND2, CZI and LIF"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".lsm", *MICROSCOPE_SUFFIXES}
# Outlines of objects; `ulens.io.rois` reads them.
_ROI_SUFFIXES = {".zip", ".roi", ".geojson", ".json"}
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


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
    return sorted(file for file in _files(path) if file.suffix.lower() not in _SUFFIXES)


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


def join_notes(notes: Iterable[tuple[Path, str]]) -> list[str]:
    """Return each note once, with the names of the files that it is about.

    Examples
    --------
    >>> join_notes([(Path("a.tif"), "turned"), (Path("b.tif"), "turned")])
    ['a.tif, b.tif: turned']
    """
    files: dict[str, dict[Path, None]] = {}
    for path, note in notes:
        files.setdefault(note, {})[path] = None
    return [f"{name_some(each)}: {note}" for note, each in files.items()]


def read_image(
    path: Path,
    axes: str | None = None,
    *,
    scene: str | int | None = None,
    channel: str | int | Sequence[str | int] = (),
) -> Image:
    """Read an image file with its axes and pixel size.

    Parameters
    ----------
    path : PNG, JPEG, BMP, TIFF, ND2, CZI or LIF file; the content decides, not the suffix
    axes : what its axes are, such as ZYX, where the file does not say or says so wrongly: letters
        from ``TCZYX``, one for each dimension or for each that is longer than one pixel. C may be
        left out for colors, and is passed over where there are no channels
    scene : number, from 1, or name of the image to read, where the file holds several
    channel : number, from 1, or name of the channel to read, or several in the order in which they
        are wanted; all without it

    Returns
    -------
    pixels in the file's dtype, turned and from dark to bright as viewers show them; colors are
    axis C, alpha is dropped, palettes of PNG and BMP files are resolved; PNG, JPEG and BMP files
    have no pixel size (they hold a printing resolution)

    Raises
    ------
    FileError : the file or a part of it is missing or damaged, it is of another format, nothing
        tells its axes, it holds several images and `scene` is None, or its format takes a package
        that is not installed
    DataError : pixels are NaN or infinite
    SettingError : `axes`, `scene` or `channel` do not fit the file
    """
    asked = None if scene is None else str(scene)
    return read_as(Path(path), Reading(axes=axes, scene=asked, channels=as_texts(channel)))


def read_as(path: Path, reading: Reading) -> Image:
    """Read an image, whose channels may lie in several files, as the user asks for.

    Raises
    ------
    UlensError : as `read_image`; FileError also where a file of a channel is missing, ShapeError
        where the channels differ in size
    """
    files = reading.files(path)
    if len(files) == 1:
        return _read(path, reading, is_label=False)
    check_there(files)
    whole = replace(reading, channels=())
    return reading.pick(join_channels([_read(file, whole, is_label=False) for file in files]))


def read_label_image(path: Path, axes: str | None = None) -> Image:
    """Read a label image; as `read_image`, but values are those stored, whatever their color.

    Programs that color label images with a palette store classes or ids as its indices, and ImageJ
    stores masks with an inverting look-up table. Palettes of greys are resolved, since there the
    grey is the value.
    """
    return _read(Path(path), Reading(axes=axes), is_label=True)


def num_planes(path: Path, reading: Reading = BY_FILE) -> int:
    """Return the number of 2-D planes in a file, from its header where possible."""
    return len(plane_names(path, reading))


def plane_names(path: Path, reading: Reading = BY_FILE) -> list[str]:
    """Return the names that `planes` gives, from the file's header where possible."""
    path = Path(path)
    try:
        if microscope_format(path):
            with open_scene(path, reading) as image:
                return _name_planes(image.axes, image.scene.shape)
        if _is_tiff(path):
            with open_tiff(path, reading) as content:
                return _name_planes(content.axes, content.series.shape)
    except Exception:  # read_as says what is wrong with the file
        return [name for name, _ in planes(read_as(path, reading))]
    return [""]


def _name_planes(axes: Axes, shape: Sequence[int]) -> list[str]:
    """Name the planes of an array in a file; axes of one pixel are left out of an image."""
    sizes = {letter: size for letter, size in zip(axes.stored, shape, strict=True) if size > 1}
    return [
        _plane_name("".join(sizes), t, z)
        for t in range(sizes.get("T", 1))
        for z in range(sizes.get("Z", 1))
    ]


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
    return [file for file in _files(folder) if file.suffix.lower() in suffixes]


def _files(folder: Path) -> list[Path]:
    """Return all of a folder but folders and hidden files; links that lead nowhere are files."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FileError(
            f"folder {folder} cannot be listed ({error.strerror or error}); allow it to be read, "
            "or copy it"
        ) from error
    return [each for each in entries if not each.name.startswith(".") and not os.path.isdir(each)]  # noqa: PTH112, unlike is_dir it never raises


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


def _read(path: Path, reading: Reading, *, is_label: bool) -> Image:
    try:
        if path.is_file() and not path.stat().st_size:
            raise FileError(f"{path} is empty, a file of 0 bytes; copy it again from its source")
        if path.is_file() and is_companion(path):
            refuse_companion(path)
        if _is_tiff(path):
            image = reading.pick(read_tiff(path, reading, is_label=is_label))
        elif microscope_format(path):
            image = read_scene(path, reading)
        else:
            image = reading.pick(read_raster(path, reading, resolve_palette=not is_label))
    except (FileError, SettingError, MemoryError):
        raise
    except Exception as error:  # decoders raise errors of many kinds for damaged files
        raise FileError(
            f"{path} cannot be read ({str(error) or type(error).__name__}); it is damaged or of "
            f"another format; ulens reads {FORMATS}: copy it again or convert it"
        ) from error
    check_pixels(image.data, path)
    return image


def check_dtype(dtype: np.dtype, path: Path) -> None:
    """Raise FileError unless pixels are real numbers."""
    if dtype.kind not in "buif":
        raise FileError(f"{path} holds {dtype} pixels; need integers or floats")


def check_pixels(data: np.ndarray, path: Path) -> None:
    """Raise FileError or DataError unless all pixels are real, finite numbers."""
    check_dtype(data.dtype, path)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        num_bad = int(np.count_nonzero(~np.isfinite(data)))
        raise DataError(
            f"{path} holds {num_bad} NaN or infinite pixels of {data.size}; put numbers in their "
            "place, in ImageJ by Process > Noise > Remove NaNs, in Python by numpy.nan_to_num. "
            "Then, if a training should not count them, give them a value of their own in the "
            "label image and name it with ignore (--ignore)"
        )

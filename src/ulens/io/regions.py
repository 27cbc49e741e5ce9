"""Images that stay in their files and are read window by window: TIFF and OME-Zarr."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ulens.errors import DataError, FileError, SettingError
from ulens.image import UNKNOWN_STEPS, Steps
from ulens.io.files import check_dtype, check_pixels
from ulens.io.ome_zarr import (
    LARGEST_PIECE_BYTES,
    ZarrImage,
    check_pieces,
    is_zarr,
    open_zarr,
    piece_bytes,
)
from ulens.io.orientation import stored_window, turn, turn_sides
from ulens.io.reading import BY_FILE, Channels, Reading, choose_scene
from ulens.io.scenes import Cut, SceneImage, microscope_format, open_scene
from ulens.io.tiff import TiffImage, open_tiff

_MOST_PIECES_AT_ONCE = 8
_SAMPLE_PX = 64


class Plane(NamedTuple):
    """A 2-D plane of a stack, by its frame and slice; `name` is empty for a single plane."""

    name: str
    t: int
    z: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """An image in a file.

    Parameters
    ----------
    path : the file, or the folder of a Zarr
    files : of the pixels; of a Zarr the folder of the array
    axes : letters from ``TCZYX`` in that order; those of length one are left out, but Y and X
    shape : pixels along each
    channels : those that are read, without alpha
    dtype : of the pixels
    spacing_um : (y, x) pixel size in µm, or None where the file does not say
    stored_axes : letters of the array in the file, "_" for those of no meaning
    cut : returns a window of that array
    orientation : by which its pixels are turned, see `ulens.io.orientation`
    steps, axes_from, notes : as in `Image`
    part : what of the file is read; empty for all of it
    """

    path: Path
    files: tuple[Path, ...]
    axes: str
    shape: tuple[int, ...]
    channels: Channels
    dtype: np.dtype
    spacing_um: tuple[float, float] | None
    stored_axes: str
    cut: Cut
    orientation: int = 1
    steps: Steps = UNKNOWN_STEPS
    axes_from: str = ""
    notes: tuple[str, ...] = ()
    part: str = ""

    @property
    def num_channels(self) -> int:
        """How many are read; 1 without an axis C."""
        return len(self.channels.chosen)

    @property
    def size(self) -> tuple[int, int]:
        """(Y, X) of a plane in pixels."""
        return self.shape[-2], self.shape[-1]

    def planes(self) -> list[Plane]:
        """Return the planes as `ulens.io.files.planes` orders and names them."""
        lengths = dict(zip(self.axes, self.shape, strict=True))
        return [
            Plane(self._name(t, z), t, z)
            for t in range(lengths.get("T", 1))
            for z in range(lengths.get("Z", 1))
        ]

    def read(self, plane: Plane, rows: slice, columns: slice) -> np.ndarray:
        """Return the (C, y, x) pixels of a window that lies within the plane.

        Raises
        ------
        FileError : the file is damaged there
        DataError : pixels are NaN or infinite
        """
        rows, columns = stored_window((rows, columns), self.size, self.orientation)
        where: dict[str, slice | int] = {
            "T": plane.t, "Z": plane.z, "C": self.channels.span, "Y": rows, "X": columns,
            "_": 0,
        }  # fmt: skip
        try:
            window = self.cut(tuple(where[letter] for letter in self.stored_axes))
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # decoders raise errors of many kinds for damaged files
            place = f" in plane {plane.name}" if plane.name else ""
            raise FileError(
                f"{self.path} cannot be read{place} ({str(error) or type(error).__name__}); it is "
                "damaged: copy it again from its source"
            ) from error
        check_pixels(window, self.path)
        letters = [letter for letter in self.stored_axes if letter in "CYX"]
        if "C" not in letters:
            window, letters = window[None], ["C", *letters]
        window = window.transpose([letters.index(letter) for letter in "CYX"])
        return turn(self.channels.within(window, 0), self.orientation)

    def fingerprint(self) -> str:
        """Return a hash of what is known of the image and its files, and of samples of its pixels.

        Of all files, those of a Zarr's chunks too, size and time count.
        """
        facts: list[Any] = [self.axes, self.shape, self.dtype.str, self.spacing_um]
        for path in self.files:
            facts += [_status(file) for file in sorted(path.rglob("*")) if file.is_file()]
            facts += [_status(path)] if path.is_file() else []
        facts += [self.part] if self.part else []
        digest = hashlib.sha256(json.dumps(facts).encode())
        planes = self.planes()
        for plane in (planes[0], planes[len(planes) // 2], planes[-1]):
            for y, x in ((0, 0), (1, 1), (1, 3), (2, 2), (3, 1), (4, 4)):
                top, left = (
                    max(0, length - _SAMPLE_PX) * part // 4
                    for part, length in zip((y, x), self.size, strict=True)
                )
                rows, columns = slice(top, top + _SAMPLE_PX), slice(left, left + _SAMPLE_PX)
                digest.update(self.read(plane, rows, columns).tobytes())
        return digest.hexdigest()

    def _name(self, t: int, z: int) -> str:
        named = (("T", t), ("Z", z))
        return "_".join(f"{axis.lower()}{i:03d}" for axis, i in named if axis in self.axes)


def _status(file: Path) -> tuple[str, int, int]:
    found = file.stat()
    return file.name, found.st_size, found.st_mtime_ns


@contextmanager
def open_volume(path: Path, reading: Reading = BY_FILE) -> Iterator[Volume]:
    """Open an image to be read window by window.

    Parameters
    ----------
    path : TIFF, of which the full resolution is taken; Zarr of format 2 or 3, an array or an
        OME-Zarr 0.4 or 0.5; or ND2, CZI or LIF
    reading : how to read it, as the user says

    Raises
    ------
    FileError : the file or a part of it is missing or damaged, it is of another format, nothing
        tells its axes, or it is stored in pieces that are too large to be read one by one
    SettingError : `reading` does not fit the file
    """
    if is_zarr(path):
        zarr_image = open_zarr(path, reading.axes)
        stored = zarr_image.stored
        choose_scene([("", stored.shape)], reading.scene, path)
        folder = path / stored.path
        yield _make_volume(
            path, (folder,), zarr_image, stored.shape, stored.dtype, _reader(stored), reading
        )
        return
    if not path.is_file():
        kind = "is a folder of no Zarr" if path.is_dir() else "does not exist"
        raise FileError(f"{path} {kind}; give one TIFF file or the folder of an OME-Zarr")
    with ExitStack() as opened:
        try:
            if microscope_format(path):
                volume = _open_scene(opened.enter_context(open_scene(path, reading)), path, reading)
            else:
                volume = _open_tiff(opened.enter_context(open_tiff(path, reading)), path, reading)
        except (DataError, SettingError, MemoryError):
            raise
        except Exception as error:  # metadata can be wrong in many ways
            raise FileError(
                f"{path} cannot be read window by window ({error}); that takes TIFF, OME-Zarr, "
                "ND2, CZI or LIF; convert the image, or segment it into a folder"
            ) from error
        yield volume


def _open_scene(content: SceneImage, path: Path, reading: Reading) -> Volume:
    scene = content.scene
    check_dtype(scene.dtype, path)
    return _make_volume(path, (path,), content, scene.shape, scene.dtype, scene.cut, reading)


def _open_tiff(content: TiffImage, path: Path, reading: Reading) -> Volume:
    series = content.series
    check_dtype(series.dtype, path)
    cut: Cut
    if series.dataoffset is not None and series.keyframe.is_memmappable:
        offset = series.dataoffset
        dtype = np.dtype(series.keyframe.parent.byteorder + series.dtype.char)

        def cut(where: tuple[slice | int, ...]) -> np.ndarray:
            # mapped again each time, so that what was read counts no longer as memory in use
            mapped = np.memmap(path, dtype, "r", offset, series.shape)
            return content.as_shown(np.array(mapped[where], series.dtype))

    else:
        import zarr

        stored = zarr.open_array(series.aszarr(level=0), mode="r")
        check_pieces(stored, path)
        read = _reader(stored)

        def cut(where: tuple[slice | int, ...]) -> np.ndarray:
            return content.as_shown(read(where))

    files = {Path(page.parent.filehandle.path) for page in series.pages if page is not None}
    return _make_volume(
        path, tuple(sorted(files)), content, series.shape, series.dtype, cut, reading,
        num_alpha=content.num_alpha, orientation=content.orientation,
    )  # fmt: skip


def _reader(stored: Any) -> Cut:
    import zarr

    # no more memory for pieces that are being decoded than the largest alone may take
    num_pieces = min(_MOST_PIECES_AT_ONCE, LARGEST_PIECE_BYTES // piece_bytes(stored))

    def cut(where: tuple[slice | int, ...]) -> np.ndarray:
        with zarr.config.set({"async.concurrency": num_pieces}):
            return np.asarray(stored[where])

    return cut


def _make_volume(
    path: Path,
    files: tuple[Path, ...],
    content: TiffImage | ZarrImage | SceneImage,
    stored_shape: tuple[int, ...],
    dtype: np.dtype,
    cut: Cut,
    reading: Reading,
    *,
    num_alpha: int = 0,
    orientation: int = 1,
) -> Volume:
    stored_axes = content.axes.stored
    lengths = dict(zip(stored_axes, stored_shape, strict=True))
    if num_alpha:
        lengths["C"] -= num_alpha
    channels = reading.choose_channels(lengths.get("C", 1), content.channel_names, path)
    if "C" in lengths:
        lengths["C"] = len(channels.chosen)
    lengths["Y"], lengths["X"] = turn_sides((lengths["Y"], lengths["X"]), orientation)
    named = [letter for letter in "TCZYX" if letter in "YX" or lengths.get(letter, 1) > 1]
    return Volume(
        path=path,
        files=files,
        axes="".join(named),
        shape=tuple(lengths[letter] for letter in named),
        channels=channels,
        dtype=dtype,
        spacing_um=content.spacing_um,
        steps=content.steps,
        axes_from=content.axes.found,
        notes=(*content.notes, *channels.notes),
        part=reading.part,
        stored_axes=stored_axes,
        orientation=orientation,
        cut=cut,
    )

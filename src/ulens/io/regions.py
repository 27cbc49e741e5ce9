"""Images that stay in their files and are read window by window: TIFF and OME-Zarr."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from ulens.errors import FileError, SettingError
from ulens.io.files import name_some
from ulens.io.tiff import check_page_chain, in_um, only_series, read_spacing_um

_LARGEST_PIECE_BYTES = 2**27  # three times as much is taken while it is decoded
_MOST_PIECES_AT_ONCE = 8
_SAMPLE_PX = 64
_ZARR_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


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
    axes : letters from ``TCZYX`` in that order; those of length one are left out, but Y and X
    shape : pixels along each
    num_channels : 1 without an axis C; alpha is left out
    dtype : of the pixels
    spacing_um : (y, x) pixel size in µm, or None where the file does not say
    stored_axes : letters of the array in the file, "_" for those of no meaning
    cut : returns a window of that array
    """

    path: Path
    axes: str
    shape: tuple[int, ...]
    num_channels: int
    dtype: np.dtype
    spacing_um: tuple[float, float] | None
    stored_axes: str
    cut: Callable[[tuple[slice | int, ...]], np.ndarray]

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
        """Return the (C, y, x) pixels of a window that lies within the plane."""
        where: dict[str, slice | int] = {
            "T": plane.t, "Z": plane.z, "C": slice(0, self.num_channels), "Y": rows, "X": columns,
            "_": 0,
        }  # fmt: skip
        window = self.cut(tuple(where[letter] for letter in self.stored_axes))
        letters = [letter for letter in self.stored_axes if letter in "CYX"]
        if "C" not in letters:
            window, letters = window[None], ["C", *letters]
        return window.transpose([letters.index(letter) for letter in "CYX"])

    def fingerprint(self) -> str:
        """Return a hash of what is known of the image and of samples of its pixels."""
        facts: list[Any] = [self.axes, self.shape, self.dtype.str, self.spacing_um]
        if self.path.is_file():
            status = self.path.stat()
            facts += [status.st_size, status.st_mtime_ns]
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


def is_zarr(path: Path) -> bool:
    """Return whether a path is the folder of a Zarr group or array."""
    return path.is_dir() and any((path / name).is_file() for name in _ZARR_METADATA)


@contextmanager
def open_volume(path: Path, axes: str | None = None) -> Iterator[Volume]:
    """Open an image to be read window by window.

    Parameters
    ----------
    path : TIFF, of which the full resolution is taken; or Zarr of format 2 or 3, an array or an
        OME-Zarr 0.4 or 0.5
    axes : letters from ``TCZYX``, one for each axis of the file or for each that is longer than
        one pixel; overrules what the file says

    Raises
    ------
    FileError : the file is missing, damaged, of another format, or stored in pieces that are
        too large to be read one by one
    SettingError : `axes` does not fit the file
    """
    if is_zarr(path):
        yield _open_zarr(path, axes)
        return
    if not path.is_file():
        kind = "is a folder of no Zarr" if path.is_dir() else "does not exist"
        raise FileError(f"{path} {kind}; give one TIFF file or the folder of an OME-Zarr")
    try:
        tif = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, OSError) as error:
        raise FileError(
            f"{path} cannot be read window by window ({error}); that takes TIFF or OME-Zarr; "
            "convert the image, or segment it into a folder"
        ) from error
    with tif:
        check_page_chain(tif, path)
        yield _open_tiff(tif, path, axes)


def _open_tiff(tif: tifffile.TiffFile, path: Path, axes: str | None) -> Volume:
    series = only_series(tif, path)
    num_alpha = sum(kind in (1, 2) for kind in tif.pages.first.extrasamples)
    # S = color samples; I and Q = pages whose meaning the file does not tell
    letters = series.axes.replace("S", "C").replace("I", "T").replace("Q", "T")
    cut: Callable[[tuple[slice | int, ...]], np.ndarray]
    if series.dataoffset is not None and series.keyframe.is_memmappable:
        offset, dtype = series.dataoffset, np.dtype(tif.byteorder + series.dtype.char)

        def cut(where: tuple[slice | int, ...]) -> np.ndarray:
            # mapped again each time, so that what was read counts no longer as memory in use
            mapped = np.memmap(path, dtype, "r", offset, series.shape)
            return np.array(mapped[where], series.dtype)

    else:
        import zarr

        stored = zarr.open_array(series.aszarr(level=0), mode="r")
        _check_pieces(stored, path)
        cut = _reader(stored, path)
    return _make_volume(
        path, letters, series.shape, series.dtype, axes, cut,
        num_alpha=num_alpha if "S" in series.axes else 0, spacing_um=read_spacing_um(tif),
    )  # fmt: skip


def _open_zarr(path: Path, axes: str | None) -> Volume:
    import zarr

    try:
        node: Any = zarr.open(path, mode="r")
        attributes = dict(node.attrs)
        ome = attributes.get("ome", attributes)
        multiscales = ome["multiscales"][0] if isinstance(node, zarr.Group) else None
        stored: Any = node if multiscales is None else node[multiscales["datasets"][0]["path"]]
        if multiscales is None:
            letters, spacing_um = "TCZYX"[-stored.ndim :] if stored.ndim <= 2 else "", None
        else:
            letters, spacing_um = _describe_multiscales(multiscales)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise FileError(
            f"{path} is no image in OME-Zarr 0.4 or 0.5 ({type(error).__name__}: {error}), it "
            f"holds {name_some(sorted(path.iterdir()))}; give the folder of one image, such as "
            "the 0 in it"
        ) from error
    _check_pieces(stored, path)
    return _make_volume(
        path, letters, stored.shape, stored.dtype, axes, _reader(stored, path),
        spacing_um=spacing_um,
    )  # fmt: skip


def _describe_multiscales(
    multiscales: dict[str, Any],
) -> tuple[str, tuple[float, float] | None]:
    """Return the letters of the axes and the pixel size that OME-Zarr's metadata tell."""
    described = multiscales["axes"]
    letters = "".join(str(axis["name"]).upper() for axis in described)
    transforms = [
        *multiscales.get("coordinateTransformations", ()),
        *multiscales["datasets"][0].get("coordinateTransformations", ()),
    ]
    scale = np.ones(len(described))
    for transform in transforms:
        if transform["type"] == "scale":
            scale *= transform["scale"]
    sizes = [
        in_um(float(scale[letters.index(letter)]), described[letters.index(letter)].get("unit"))
        for letter in "YX"
    ]
    known = all(np.isfinite(size) and size > 0 for size in sizes)
    return letters, (sizes[0], sizes[1]) if known else None


def _reader(stored: Any, path: Path) -> Callable[[tuple[slice | int, ...]], np.ndarray]:
    import zarr

    # no more memory for pieces that are being decoded than the largest alone may take
    num_pieces = min(_MOST_PIECES_AT_ONCE, _LARGEST_PIECE_BYTES // _piece_bytes(stored))

    def cut(where: tuple[slice | int, ...]) -> np.ndarray:
        try:
            with zarr.config.set({"async.concurrency": num_pieces}):
                return np.asarray(stored[where])
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # decoders raise errors of many kinds for damaged files
            raise FileError(
                f"{path} cannot be read ({str(error) or type(error).__name__}); it is damaged: "
                "copy it again from its source"
            ) from error

    return cut


def _check_pieces(stored: Any, path: Path) -> None:
    piece_bytes = _piece_bytes(stored)
    if piece_bytes > _LARGEST_PIECE_BYTES:
        raise FileError(
            f"{path} is stored in pieces of {'×'.join(map(str, stored.chunks))} pixels, "
            f"{piece_bytes / 2**30:.1f} GB each, which are read as a whole; save it in tiles of "
            "256 or 512 pixels"
        )


def _piece_bytes(stored: Any) -> int:
    return int(np.prod(stored.chunks)) * stored.dtype.itemsize


def _make_volume(
    path: Path,
    letters: str,
    stored_shape: tuple[int, ...],
    dtype: np.dtype,
    axes: str | None,
    cut: Callable[[tuple[slice | int, ...]], np.ndarray],
    *,
    spacing_um: tuple[float, float] | None,
    num_alpha: int = 0,
) -> Volume:
    stored_axes = _name_axes(letters, stored_shape, axes, path)
    if dtype.kind not in "buif":
        raise FileError(f"{path} holds {dtype} pixels; need integers or floats")
    lengths = dict(zip(stored_axes, stored_shape, strict=True))
    if "C" in lengths and axes is None:
        lengths["C"] -= num_alpha
    named = [letter for letter in "TCZYX" if letter in "YX" or lengths.get(letter, 1) > 1]
    return Volume(
        path=path,
        axes="".join(named),
        shape=tuple(lengths[letter] for letter in named),
        num_channels=lengths.get("C", 1),
        dtype=dtype,
        spacing_um=spacing_um,
        stored_axes=stored_axes,
        cut=cut,
    )


def _name_axes(letters: str, shape: tuple[int, ...], axes: str | None, path: Path) -> str:
    """Return a letter for each axis that is stored, by what the user or else the file says."""
    long = [i for i, length in enumerate(shape) if length > 1]
    sizes = "×".join(map(str, shape))
    if axes is not None:
        if len(set(axes)) < len(axes) or not set("YX") <= set(axes) <= set("TCZYX"):
            raise SettingError(
                f"axes are {axes!r}; need Y and X and at most one each of T, C and Z, such as ZYX"
            )
        if len(axes) not in (len(shape), len(long)):
            raise SettingError(
                f"axes {axes!r} name {len(axes)} dimensions, {path} has {len(shape)} ({sizes}); "
                "give one letter per dimension"
            )
        named = dict(zip(range(len(shape)) if len(axes) == len(shape) else long, axes, strict=True))
        return "".join(named.get(i, "_") for i in range(len(shape)))
    kept = "".join(
        letter if letter in "TCZYX" or i in long else "_" for i, letter in enumerate(letters)
    )
    meant = kept.replace("_", "")
    if len(set(meant)) < len(meant) or not set("YX") <= set(meant) <= set("TCZYX"):
        raise FileError(
            f"{path} has axes {letters or 'without names'} of sizes {sizes}; need Y and X and at "
            "most one each of T, C and Z; say which they are, such as --axes ZYX"
        )
    return kept

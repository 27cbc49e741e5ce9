"""Files that are either wholly there or not at all."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np

from ulens.errors import OutputError

LONGEST_NAME = 255
"""Bytes of a file's name on the usual file systems."""


def new_name(path: Path) -> Path:
    """Return the name under which `path` stands until it is complete.

    Where that would be longer than file systems take, it is a hash.

    Examples
    --------
    >>> new_name(Path("model.json")).name
    'model.json.new'
    """
    name = f"{path.name}.new"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.new"
    return path.with_name(name)


def replace_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write several files of a folder; none is touched before all are on the disk.

    Parameters
    ----------
    files : content by name; renamed into place in this order, so that a kill between two
        renames leaves the later ones under `new_name`

    Raises
    ------
    OSError : what the system says, e.g. that the disk is full; the old files are unharmed
    """
    try:
        for name, data in files.items():
            write_new(folder / name, data)
    except OSError:
        for name in files:
            new_name(folder / name).unlink(missing_ok=True)
        raise
    for name in files:
        new_name(folder / name).replace(folder / name)
        _flush_folder(folder)


def write_file(path: Path, data: bytes, *, new: Path | None = None) -> None:
    """Write one file, replacing one of that name.

    Parameters
    ----------
    new : its name in the same folder until it is complete; None is `new_name`

    Raises
    ------
    OutputError : the system refuses, e.g. because the disk is full; the old file is unharmed
    """
    new = new or new_name(path)
    try:
        _write_flushed(new, data)
        new.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); a file of that name, if "
            "there was one, is unchanged; free space or choose another folder"
        ) from error


def put_in_place(new: Path, path: Path) -> None:
    """Give a complete file or folder its name; a folder that stands there is moved, then removed.

    After a kill in between, the same call goes on.
    """
    old = new.with_name(f"{new.name}.old")
    if new.exists():
        if path.is_dir():
            path.replace(old)
        new.replace(path)
        _flush_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def flush(paths: Iterable[Path]) -> None:
    """Have files that are written, as far as they are there, survive a power cut."""
    written = [path for path in paths if path.is_file()]
    for path in written:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    for folder in {path.parent for path in written}:
        _flush_folder(folder)


def write_array(path: Path, array: np.ndarray, *, new: Path | None = None) -> None:
    """Write an array as .npy, as `write_file` does."""
    encoded = BytesIO()
    np.save(encoded, array, allow_pickle=False)
    write_file(path, encoded.getvalue(), new=new)


def write_new(path: Path, data: bytes) -> None:
    """Write what will stand at `path` under its `new_name`."""
    _write_flushed(new_name(path), data)


def _write_flushed(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut; Windows cannot open folders and does it itself."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

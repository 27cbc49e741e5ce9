"""Files that are either wholly there or not at all."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np

from ulens.errors import OutputError


def new_name(path: Path) -> Path:
    """Return the name under which `path` stands until it is complete.

    Examples
    --------
    >>> new_name(Path("model.json")).name
    'model.json.new'
    """
    return path.with_name(f"{path.name}.new")


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

"""May this be written? Asked before all work, so that nothing that is there already is lost."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ulens.errors import OutputError
from ulens.io.files import name_some
from ulens.io.lock import LOCK


def check_writable(
    path: Path,
    called: str,
    *,
    is_folder: bool = False,
    replaces: str | None = "it",
    overwrite: bool = False,
    is_no: str | None = None,
    instead: str | None = None,
    is_left: Callable[[Path], bool] = lambda entry: entry.name == LOCK,
) -> None:
    """Raise OutputError where a file or a folder may not be written.

    A name that is free may be written to, and so may an empty folder.

    Parameters
    ----------
    path : of the file or folder
    called : what it is called in messages, such as "table"
    is_folder : whether a folder is to be written
    replaces : what overwrite replaces of all that is there, such as "label images of the same
        names"; None where nothing ever is
    overwrite : the user allows that
    is_no : where what is there is not of the kind to be written, that kind, such as "ulens model";
        then it is never replaced
    instead : what the user can do besides, such as "go on with --resume"
    is_left : whether an entry of a folder is what a killed run leaves, which counts as nothing

    Examples
    --------
    >>> check_writable(Path("nothing-here.csv"), "table")
    """
    try:
        if path.is_symlink() and not path.exists():
            raise OutputError(f"{called} {path} is a link that leads nowhere; remove it")
        if not path.exists():
            return
        if path.is_dir() != is_folder:
            came, needed = ("file", "folder") if is_folder else ("folder", "file")
            raise OutputError(
                f"{called} {path} is a {came}, a {needed} is needed; choose another name"
            )
        content = (
            [each for each in sorted(path.iterdir()) if not is_left(each)] if is_folder else []
        )
    except OSError as error:
        raise OutputError(
            f"{called} {path} cannot be looked at ({error.strerror or error}); choose another name"
        ) from error
    if is_folder and not content:
        return
    found = f"holds {name_some(content)}" if is_folder else "exists"
    if is_no is not None:
        raise OutputError(
            f"{called} {path} {found} and is no {is_no}, so it is never replaced; choose another "
            "name, or move what is there"
        )
    if overwrite and replaces is not None:
        return
    advice = [instead] if instead else []
    advice.append("choose another name")
    if replaces is not None:
        advice.append(f"allow {replaces} to be replaced with overwrite (--overwrite)")
    *first, last = advice
    todo = f"{', '.join(first)}, or {last}" if first else last
    raise OutputError(f"{called} {path} {found}; {todo}")


ZARR_FILES = re.compile(
    r"(.+/)?(zarr\.json|\.z(attrs|group|array|metadata))|(.+/)?(c|(c/)?\d+([./]\d+)*)"
)
"""Paths of all files that a Zarr consists of."""


def find_foreign(folder: Path, own: re.Pattern[str]) -> list[Path]:
    """Return the files in a folder whose paths, with slashes, are of no kind of its own."""
    inside = [Path(root) / name for root, folders, files in os.walk(folder) for name in files
              + [each for each in folders if (Path(root) / each).is_symlink()]]  # fmt: skip
    return sorted(f for f in inside if not own.fullmatch(f.relative_to(folder).as_posix()))


def remove_own(folder: Path, own: re.Pattern[str]) -> None:
    """Remove the files of a folder that are its own, and it, unless something else is in it."""
    foreign = set(find_foreign(folder, own))
    for root, folders, files in os.walk(folder, topdown=False):
        for path in (Path(root) / name for name in (*files, *folders)):
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):  # not empty
                    path.rmdir()
            elif path not in foreign:
                path.unlink()
    with suppress(OSError):
        folder.rmdir()


def check_parent(path: Path, called: str) -> None:
    """Raise OutputError where the folder of a file to be written is missing or read-only."""
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent} for {called} {path.name}; make it")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(
            f"folder {path.parent} may not be written to, but {called} {path.name} is to lie "
            "there; choose another"
        )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, or raise OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be made ({error.strerror or error}); choose another"
        ) from error

"""One command at a time for one output: a lock in its folder, which tells who holds it.

The system's own lock on a file is let go of when its process dies, however it dies. The record in
that file is for the message, and for drives whose locks reach no other computer.
"""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path

from ulens.errors import OutputError, SettingError
from ulens.record import read_json, read_record

LOCK = ".ulens-lock"
"""Hidden, and removed at the end; a kill leaves it, and the next command takes it over."""

_PAST_THE_RECORD = 4096
_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a lock.

    Parameters
    ----------
    host, process : computer, and number of the process there
    started : what tells the process from a later one of that number; '' where nothing does
    since : date and time
    """

    host: str
    process: int
    started: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since}"


@contextmanager
def hold(folder: Path) -> Iterator[str | None]:
    """Hold the lock of an output folder, which is made if missing, and removed if it stays empty.

    Yields
    ------
    what to tell where a crash left the lock; else None

    Raises
    ------
    OutputError : another process holds it, or the folder cannot be written
    """
    is_new = not os.path.lexists(folder)  # which never raises
    try:
        file, left = _acquire(folder)
        try:
            told = f"took over {folder} from {left}, which ended before it was done"
            yield told if left else None
        finally:
            _release(file, folder / LOCK)
    finally:
        if is_new:
            with suppress(OSError):
                folder.rmdir()


def check_free(folder: Path) -> None:
    """Raise OutputError where another process holds the lock of a folder; nothing is written."""
    with suppress(OSError), (folder / LOCK).open("r+b", buffering=0) as file:
        _check_holder(file, folder / LOCK)


def _acquire(folder: Path) -> tuple[FileIO, Holder | None]:
    """Return the locked file, and who held it before and never let go of it."""
    try:
        return _make(folder / LOCK)
    except OSError as error:
        raise OutputError(
            f"folder {folder} cannot be made or written ({error.strerror or error}); choose another"
        ) from error


def _make(path: Path) -> tuple[FileIO, Holder | None]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
        try:
            left = _check_holder(file, path)
            is_there = _stands_at(file, path)
        except BaseException:
            file.close()
            raise
        if is_there:
            break
        file.close()  # who held it removed it just now
    try:
        file.truncate(0)
        file.write(json.dumps(asdict(_this_process())).encode())
    except OSError:
        _release(file, path)
        raise
    return file, left


def _release(file: FileIO, path: Path) -> None:
    """Remove the lock, unless the folder was moved away, or another one stands in its place."""
    is_there = _stands_at(file, path)
    if os.name == "nt":  # which removes no open file
        file.close()
    if is_there:
        with suppress(OSError):
            path.unlink()
    file.close()


def _stands_at(file: FileIO, path: Path) -> bool:
    """Return whether an open file is the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _check_holder(file: FileIO, path: Path) -> Holder | None:
    """Lock a file, and return who left it; raise OutputError where that one may be at work."""
    is_locked = _try_lock(file)
    holder = _read_holder(file)
    if is_locked is False:
        raise OutputError(
            f"{path.parent} is in use by {holder or 'another process'}; wait for it, or stop it. "
            "After a crash of that process the same command takes over by itself"
        )
    if holder is not None and (
        holder.host != socket.gethostname() or (is_locked is None and _lives(holder))
    ):
        raise OutputError(
            f"{path.parent} is in use by {holder}; wait for it, or stop it. If it crashed, "
            f"remove {path}, and the same command takes over"
        )
    return holder


def _try_lock(file: FileIO) -> bool | None:
    """Lock a file until it is closed; None where the system or the drive has no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_PAST_THE_RECORD)  # what is locked, no other process may read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _read_holder(file: FileIO) -> Holder | None:
    file.seek(0)
    try:
        return read_record(Holder, read_json(file.read(_PAST_THE_RECORD), LOCK), LOCK)
    except (OSError, SettingError):
        return None  # a crash cut it off


def _this_process() -> Holder:
    return Holder(
        host=socket.gethostname(),
        process=os.getpid(),
        started=_started(os.getpid()),
        since=datetime.now().astimezone().isoformat(" ", "seconds"),
    )


def _lives(holder: Holder) -> bool:
    """Return whether a process of this computer is still there, as far as can be told."""
    if os.name == "nt":
        return True  # there os.kill ends a process, whatever the signal
    try:
        os.kill(holder.process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is another user's
    return holder.started == _started(holder.process)


def _started(process: int) -> str:
    """Return when a process started, in ticks since Linux did; '' on other systems."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]

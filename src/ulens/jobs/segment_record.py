"""What a folder of segmentations was made by, and which are done: a second run goes on there."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ulens
from ulens.bundle import find_model
from ulens.errors import OutputError, SettingError
from ulens.io.atomic import write_file
from ulens.io.files import name_some
from ulens.io.reading import BY_FILE, Reading, as_texts
from ulens.io.segmentations import Targets
from ulens.jobs.segmenting import Finding, SegmentSettings
from ulens.predict.large.job import hash_model
from ulens.predict.unlike import Unlike
from ulens.record import read_json, read_record

RECORD = ".ulens-segmentations.jsonl"
"""Hidden, so that no folder of labels seems to hold it.

A line on the run, one on the files of earlier runs, and two for each image.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The record of a folder.

    Parameters
    ----------
    path : of its file
    made_by : the model and the options that the segmentations depend on
    ours : names of the files that may have been written, by this run or earlier ones
    done : by name of the image, the state of its file, what was found, and how it is unlike those
        of the training
    goes_on : whether an earlier run left it
    """

    path: Path
    made_by: dict[str, Any]
    ours: set[str]
    done: dict[str, tuple[list[int], Finding, tuple[Unlike, ...]]]
    goes_on: bool

    def find_kept(
        self, outputs: dict[Path, Targets], reading: Reading = BY_FILE
    ) -> dict[Path, tuple[Finding, tuple[Unlike, ...]]]:
        """Return the images that need not be segmented again, with what is known of each."""
        return {
            file: self.done[file.name][1:]
            for file, targets in outputs.items()
            if file.name in self.done
            and self.done[file.name][0] == look_at(*reading.files(file))
            and all(target.exists() for target in targets.paths)
        }

    def check_others(self, outputs: Iterable[Path]) -> None:
        """Raise OutputError where a file would be replaced that ulens did not write."""
        foreign = [
            target
            for target in outputs
            if target.is_dir()
            or (target.name not in self.ours and (target.exists() or target.is_symlink()))
        ]
        if foreign:
            raise OutputError(
                f"{self.path.parent} holds {name_some(foreign)}, which this run would replace and "
                f"did not write: {RECORD} in that folder does not tell of it; move what is there, "
                "or choose another folder"
            )

    def start(self) -> None:
        """Make the record where there is none of this run."""
        if not self.goes_on:
            write_file(self.path, _line(self.made_by) + _line({"files": sorted(self.ours)}))

    def begin(self, outputs: Iterable[Path]) -> None:
        """Tell of files before the first of them is written."""
        self._append({"files": [target.name for target in outputs]})

    def finish(
        self, file: Path, state: list[int], finding: Finding, unlike: tuple[Unlike, ...]
    ) -> None:
        """Tell that all outputs of an image are written.

        Parameters
        ----------
        state : of the file, from `look_at` before it was read
        """
        found = {"found": asdict(finding), "unlike": unlike}
        self._append({"done": file.name, "state": state, **found})

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            with self.path.open("ab") as record:
                record.write(b"\n" + _line(entry))  # apart from a line that a crash cut off
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written ({error.strerror or error}); free space or choose "
                "another folder"
            ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """A line after the first: which files ulens writes, or that an image is done."""

    files: tuple[str, ...] = ()
    done: str | None = None
    state: tuple[int, ...] = ()
    found: Finding = field(default_factory=Finding)
    unlike: tuple[tuple[str, str], ...] = ()


def open_record(settings: SegmentSettings) -> Record:
    """Return the record of `settings.out`, where it is of the same run, or a new one.

    Raises
    ------
    OutputError : the folder holds segmentations by another model or other options, and may not be
        overwritten
    """
    path, made_by = settings.out / RECORD, _describe_run(settings)
    first, *rest = lines = _read_lines(path) or [{}]
    ours = _names(lines)
    if settings.overwrite or not ours:
        goes_on = first == made_by and not settings.overwrite
        return Record(path=path, made_by=made_by, ours=ours, done={}, goes_on=goes_on)
    if first != made_by:
        other = [name for name in made_by if first.get(name) != made_by[name]]
        raise OutputError(
            f"output folder {settings.out} holds segmentations made otherwise (other: "
            f"{', '.join(other)}); choose another name, or allow them to be replaced with "
            "overwrite (--overwrite)"
        )
    try:
        entries = [read_record(_Entry, each, "entry") for each in rest]
    except SettingError as error:
        raise OutputError(
            f"{path} is damaged ({error}); choose another folder, or allow what is there to be "
            "replaced with overwrite (--overwrite)"
        ) from error
    done = {
        entry.done: (
            list(entry.state),
            entry.found,
            tuple(Unlike(*each) for each in entry.unlike),
        )
        for entry in entries
        if entry.done is not None
    }
    return Record(path=path, made_by=made_by, ours=ours, done=done, goes_on=True)


def read_ours(folder: Path) -> set[str]:
    """Return the names of the files that ulens wrote in a folder, as its record tells."""
    return _names(_read_lines(folder / RECORD))


def _names(lines: list[dict[str, Any]]) -> set[str]:
    listed = [entry.get("files") for entry in lines]
    named = [name for names in listed if isinstance(names, list) for name in names]
    return {name for name in named if isinstance(name, str)}


def write_ours(folder: Path, names: set[str]) -> None:
    """Write a record that tells of files alone; raises as `write_file`."""
    write_file(folder / RECORD, _line({"files": sorted(names)}))


def _describe_run(settings: SegmentSettings) -> dict[str, Any]:
    """Return what the segmentations depend on."""
    return {
        "version": ulens.__version__,
        "model": hash_model(find_model(settings.model)),
        "average": settings.average,
        "engine": settings.engine,
        "zoom": settings.zoom,
        "axes": settings.axes,
        "scene": settings.scene,
        "channel": list(as_texts(settings.channel)),
        "probabilities": settings.probabilities,
        "rois": settings.rois,
    }


def look_at(*files: Path) -> list[int]:
    """Return what tells files from later ones of their names; nothing where one cannot be seen."""
    try:
        found = [file.stat() for file in files]
    except OSError:
        return []
    return [number for each in found for number in (each.st_size, each.st_mtime_ns)]


def _line(entry: dict[str, Any]) -> bytes:
    return (json.dumps(entry) + "\n").encode()  # file names may be no UTF-8


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the entries but those that a crash cut off."""
    entries: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        with suppress(SettingError):
            entry = read_json(line, path.name)
            if isinstance(entry, dict):
                entries.append(entry)
    return entries

"""The story of a public data set: show the terms, fetch, unpack, say how to train on it."""

import shlex
import shutil
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Literal

import pooch

from ulens.datasets.catalogue import Dataset, training_paths
from ulens.datasets.checksums import CHECKSUMS, cached_file, record_checksum
from ulens.datasets.download import (
    MOST_BYTES,
    Cut,
    Patience,
    Received,
    fetch,
)
from ulens.datasets.unpack import refuse_existing, unpack
from ulens.errors import FileError, SettingError
from ulens.io.writable import make_folder
from ulens.jobs.options import FLAG, OUT


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """What a user asks of public data sets; `ulens datasets` has an option for each.

    Parameters
    ----------
    name
        data set to fetch; without it all are listed, with their terms and what to cite
    out
        new folder for the data set; without it one of its name, here
    accept_terms
        you accept the terms of use, which are shown; without this nothing is downloaded
    cache
        folder in which downloaded archives are kept, so that a cut download goes on; without
        it the system's own for ulens
    data
        folder of a copy that you have: nothing is downloaded, ulens says how to train on it
    """

    name: str | None = None
    _: KW_ONLY
    out: Annotated[Path | None, OUT] = None
    accept_terms: Annotated[bool, FLAG] = False
    cache: Path | None = None
    data: Path | None = None

    def __post_init__(self) -> None:
        if self.data is not None and self.out is not None:
            raise SettingError(
                f"--data {self.data} came with --out {self.out}, but a copy is used where it is; "
                "leave one out"
            )
        if self.name is None and (self.out or self.accept_terms or self.cache or self.data):
            raise SettingError("options came without the name of a data set; name one of the list")


@dataclass(frozen=True, slots=True)
class Terms:
    """The first event: on what terms the data set may be used."""

    dataset: Dataset


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should read."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """How far a stage is; the total is None where nobody knows it."""

    stage: Literal["downloading", "unpacking"]
    num_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The last event: where the data set is.

    Parameters
    ----------
    dataset : which one
    paths : images and labels, or the folder that holds both
    """

    dataset: Dataset
    paths: list[Path]

    @property
    def train_command(self) -> str:
        """What to type next."""
        model = f"{self.dataset.name.lower()}.model"
        return shlex.join(["ulens", "train", *map(str, self.paths), "-o", model])


DatasetEvent = Terms | Note | Step | Ready


def run_fetch(
    dataset: Dataset,
    out: Path | None = None,
    *,
    accept_terms: bool,
    cache: Path | None = None,
    patience: Patience | None = None,
) -> Iterator[DatasetEvent]:
    """Fetch a data set and unpack it into a new folder.

    Parameters
    ----------
    out : that folder; without it one of the data set's name, here
    accept_terms : the terms are shown in any case; nothing is fetched before they are accepted
    cache : folder in which archives and their checksums are kept; without it that of the system
    patience : how often to try again

    Yields
    ------
    `Terms`, notes, steps, and at last `Ready`

    Raises
    ------
    UlensError : with what to do
    """
    yield Terms(dataset)
    if not accept_terms:
        raise SettingError(
            f"nothing was downloaded: {dataset.name} may be used on the terms above alone; if "
            "you accept them, run the same command with --accept-terms"
        )
    out = out or Path(dataset.name)
    refuse_existing(out)
    cache = cache or Path(pooch.os_cache("ulens"))
    make_folder(cache)
    archive, is_downloaded = cached_file(dataset.url, cache), False
    # publishers add an image now and then, but no archive becomes many times as large
    most = MOST_BYTES if dataset.size_mb is None else 2 * dataset.size_mb * 10**6 + 2**24
    for event in fetch(dataset.url, cache, patience, most_bytes=most):
        is_downloaded = True
        yield _in_words(event)
    if not is_downloaded:
        yield Note(f"{archive} is there already")
    for unpacked in unpack(archive, out):
        yield Step(
            stage="unpacking", num_bytes=unpacked.num_bytes, total_bytes=unpacked.total_bytes
        )
    try:
        paths = training_paths(dataset, out)
    except FileError as error:
        shutil.rmtree(out)
        raise FileError(
            f"{archive} is not {dataset.name} ({error}); remove it and run the same command again"
        ) from error
    # Only now: an archive that is not the data set is nothing to measure others by.
    if checksum := record_checksum(dataset.url, cache):
        yield Note(f"sha256 {checksum}, recorded in {cache / CHECKSUMS} for later downloads")
    else:
        yield Note("sha256 as at the first download")
    yield Note(f"the archive stays in {archive}; remove it when you like")
    yield Ready(dataset=dataset, paths=paths)


def use_copy(dataset: Dataset, folder: Path) -> Iterator[DatasetEvent]:
    """Use a copy that is there already, instead of fetching one.

    Parameters
    ----------
    folder : the unpacked data set, or the folder that holds it under its name

    Yields
    ------
    `Terms` and `Ready`

    Raises
    ------
    DataError : the folder holds no such copy
    """
    yield Terms(dataset)
    yield Ready(dataset=dataset, paths=training_paths(dataset, folder))


def _in_words(event: Received | Cut) -> Step | Note:
    if isinstance(event, Received):
        return Step(stage="downloading", num_bytes=event.num_bytes, total_bytes=event.total_bytes)
    return Note(f"cut off after {event.num_bytes:,} bytes ({event.reason}); trying again")

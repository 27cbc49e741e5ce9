"""Channels that lie beside each other as files, known by their names; joined to one image.

Microscopes call them ``a_ch00.tif`` and ``a_ch01.tif`` (Leica), ``a_w1DAPI.tif`` (MetaMorph),
``a_C0001.tif`` (Olympus), ``a_c1.tif`` (Zeiss), ``C1-a.tif`` (ImageJ).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import PIL.Image
import tifffile

from ulens.errors import FileError, ShapeError
from ulens.image import Image, name_shape

MOST_CHANNELS = 8
_SEPARATORS = "_-. "
_BEFORE, _AFTER = r"(?:^|(?<=[_\-. ]))", r"(?=$|[_\-. ]|[ztsZTS][kK]?\d)"
_TOKENS = (
    re.compile(rf"{_BEFORE}(?:ch|channel)_?(?P<number>\d{{1,4}}){_AFTER}", re.IGNORECASE),
    re.compile(rf"{_BEFORE}w(?P<number>\d)(?P<name>[^_.]*)", re.IGNORECASE),
    re.compile(rf"{_BEFORE}c(?P<number>\d{{1,4}}){_AFTER}", re.IGNORECASE),
)
"""The last one alone, a single letter, may be anything: cells, crops, conditions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelFiles:
    """The files of images, those of one image taken together.

    Parameters
    ----------
    images : the first file of each image, in their order
    beside : by the first file the others, in the order of the channels
    called : by the first file its name without the channel
    notes : what the user should know of what was joined, and what was not
    """

    images: list[Path] = field(default_factory=list)
    beside: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    called: Mapping[Path, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def files(self, image: Path) -> tuple[Path, ...]:
        """Return the files of an image."""
        return (image, *self.beside.get(image, ()))

    def names(self, image: Path) -> tuple[Path, ...]:
        """Return what an image may be called by: one of its files, or none of its channels."""
        called = self.called.get(image)
        return self.files(image) if called is None else (*self.files(image), called)


def find_channel_files(
    files: Sequence[Path], axes: str | None = None, apart: str | None = None
) -> ChannelFiles:
    """Find the files that are channels of one image.

    Parameters
    ----------
    files : of images, in one folder
    axes : what the user says of them; letters without C say that each is an image of its own
    apart : why each is an image of its own, if it is

    Notes
    -----
    They are called alike but for the channel, and of one size; there are two to eight, numbered
    from 0 or 1 without a gap. Images that lack one which others have are refused when they are
    read. The letter c alone is taken for a channel only where no image of the folder lacks one,
    and where there is more in the name.
    """
    if apart is None and axes is not None and "C" not in axes.upper():
        apart = f"axes are {axes}, without C"
    joined: dict[Path, tuple[Path, ...]] = {}
    called: dict[Path, Path] = {}
    notes = []
    left = list(files)
    for token in _TOKENS:
        groups = _group(left, token)
        if all(len(group) == 1 for group in groups.values()):
            continue
        first = next(group for group in groups.values() if len(group) > 1)
        shown = " and ".join(file.name for file in [*first.values()][:2])
        why = apart or _refuse(groups, is_weak=token is _TOKENS[-1])
        if why:
            notes.append(
                f"{shown} are called like channels of one image, but each is taken for an image "
                f"of its own, since {why}"
            )
            continue
        notes.append(
            f"files beside each other are taken for channels of one image, such as {shown}; "
            "--axes without C, such as --axes YX, takes each for an image of its own"
        )
        model = max(groups.values(), key=len)
        for key, group in groups.items():
            paths = [
                group.get(number, _path(key, _channel(file, token)))
                for number, file in sorted(model.items())
            ]
            there = [path for path in paths if path in group.values()]
            joined[there[0]] = tuple(path for path in paths if path != there[0])
            called[there[0]] = _without_channel(key)
            left = [file for file in left if file not in there]
    inner = {file for beside in joined.values() for file in beside}
    return ChannelFiles(
        images=[file for file in files if file not in inner],
        beside=joined,
        called=called,
        notes=tuple(notes),
    )


def join_channels(images: Sequence[Image]) -> Image:
    """Return one image of all channels of several, in their order.

    Parameters
    ----------
    images : each of a file, which names the channel

    Raises
    ------
    ShapeError : they differ in size or axes
    """
    first = images[0]
    axes = "".join(letter for letter in "TCZYX" if letter in {*first.axes, "C"})
    axis = axes.index("C")
    each: list[np.ndarray] = []
    for image in images:
        data = image.data if "C" in image.axes else np.expand_dims(image.data, axis)
        if {*image.axes, "C"} != {*axes} or (each and not _fit(data, each[0], axis)):
            raise ShapeError(
                f"{image.source} is {name_shape(image.data.shape)} ({image.axes}), {first.source} "
                f"{name_shape(first.data.shape)} ({first.axes}); channels of one image need one "
                "size; --axes without C, such as --axes YX, takes each for an image of its own"
            )
        each.append(data)
    return replace(
        first,
        data=np.concatenate(each, axis=axis),
        axes=axes,
        channel_names=tuple(_name(image.source) for image in images if image.source),
        notes=tuple(dict.fromkeys(note for image in images for note in image.notes)),
    )


def check_there(files: Sequence[Path]) -> None:
    """Raise FileError where a channel of an image lacks its file."""
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise FileError(
            f"{files[0]} is a channel of an image that lacks {', '.join(missing)}, which others in "
            "the folder have; put it there, or move what there is of this image elsewhere"
        )


_Key = tuple[Path, str, str]
"""Of the files of one image: their folder, and what is before and after the channel in the name."""


def _match(file: Path, token: re.Pattern[str]) -> re.Match[str] | None:
    return ([None, *token.finditer(file.stem)])[-1]


def _channel(file: Path, token: re.Pattern[str]) -> str:
    found = _match(file, token)
    return found[0] if found else ""


def _group(files: Sequence[Path], token: re.Pattern[str]) -> dict[_Key, dict[int, Path]]:
    """Return the files by image and number of their channel."""
    groups: dict[_Key, dict[int, Path]] = defaultdict(dict)
    for file in files:
        if found := _match(file, token):
            key = file.parent, file.stem[: found.start()], file.stem[found.end() :] + file.suffix
            groups[key][int(found["number"])] = file
    return groups


def _path(key: _Key, channel: str) -> Path:
    folder, before, after = key
    return folder / f"{before}{channel}{after}"


def _without_channel(key: _Key) -> Path:
    folder, before, after = key
    start = before.rstrip(_SEPARATORS)
    return folder / (start + after if start else after.lstrip(_SEPARATORS))


def _refuse(groups: Mapping[_Key, Mapping[int, Path]], *, is_weak: bool) -> str | None:
    """Return why groups of files are no channels; None where they may be."""
    numbers = {number for group in groups.values() for number in group}
    if len(numbers) > MOST_CHANNELS:
        return f"there are {len(numbers)} numbers"
    if sorted(numbers) not in ([*range(len(numbers))], [*range(1, len(numbers) + 1)]):
        return "their numbers have gaps"
    if not any(len(group) == len(numbers) for group in groups.values()):
        return "no image has all of them"
    if is_weak and any(len(group) < len(numbers) for group in groups.values()):
        return "some lack what others have"
    if is_weak and any(not before and not Path(after).suffix for _, before, after in groups):
        return "nothing else is in their names"
    for group in groups.values():
        sizes = {size for file in group.values() if (size := _size(file)) is not None}
        if len(sizes) > 1:
            return f"they differ in size ({' and '.join(map(name_shape, sorted(sizes)))})"
    return None


def _size(file: Path) -> tuple[int, ...] | None:
    """Return the (Y, X) size of an image as its header says; None where that is not known."""
    try:
        with file.open("rb") as opened:
            is_tiff = opened.read(2) in (b"II", b"MM")
        if is_tiff:
            with tifffile.TiffFile(file) as tif:
                page = tif.pages.first
                return page.imagelength, page.imagewidth
        with PIL.Image.open(file) as image:
            return image.height, image.width
    except Exception:  # decoders raise errors of many kinds; reading it says what is wrong
        return None


def _fit(data: np.ndarray, first: np.ndarray, axis: int) -> bool:
    sizes, others = list(data.shape), list(first.shape)
    return sizes[:axis] + sizes[axis + 1 :] == others[:axis] + others[axis + 1 :]


def _name(file: Path) -> str:
    """Return the name of the channel that a file holds: that of the dye, or its number."""
    found = next(match for token in _TOKENS if (match := _match(file, token)))
    return found.groupdict().get("name") or found[0]

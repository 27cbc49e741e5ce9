"""How a user wants images read: their axes, the scene of a file, and channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ulens.errors import FileError, SettingError
from ulens.image import Image, name_shape
from ulens.io.axes import check_axes


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How images are read.

    Parameters
    ----------
    axes : letters that the user gives, see `find_axes`; None to go by the file
    scene : number, from 1, or name of the image to read in a file of several
    channels : numbers, from 1, or names of those to read, in this order; none for all
    unless : images of so many channels are left as they are, since `channels` are not asked for,
        but those of a training
    beside : by the first file of an image whose channels lie in several, the others
    """

    axes: str | None = None
    scene: str | None = None
    channels: tuple[str, ...] = ()
    unless: int | None = None
    beside: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.axes is not None:
            check_axes(self.axes)

    @property
    def part(self) -> str:
        """What of a file is read; empty for all of it."""
        scene = [] if self.scene is None else [f"scene {self.scene}"]
        return ", ".join(scene + [f"channel {each}" for each in self.channels])

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files of an image."""
        return (path, *self.beside.get(path, ()))

    def choose_channels(self, num: int, names: Sequence[str], path: Path) -> "Channels":
        """Return which of the `num` channels of an image to read.

        Parameters
        ----------
        names : of the channels, as far as the file tells; passed over where they are not as many

        Raises
        ------
        SettingError : it has no such channel
        """
        every = tuple(range(num))
        if not self.channels:
            return Channels(chosen=every)
        names = names if len(names) == num else ()
        found = [_find(each, num, names) for each in self.channels]
        if self.unless is not None and (None in found or self._fits_unnamed(num, names)):
            return Channels(chosen=every, notes=self._tell_of_others(num, names))
        if None in found:
            missing = self.channels[found.index(None)]
            raise SettingError(
                f"{path} has no channel {missing!r}, it has {_list_channels(num, names)}; give "
                "the number, from 1, or the name of a channel"
            )
        chosen = tuple(i for i in found if i is not None)
        if chosen == every:
            return Channels(chosen=every)
        told = ", ".join(_name(i, names) for i in chosen)
        why = "as asked for" if self.unless is None else "as in the training"
        return Channels(chosen=chosen, notes=(f"of {num} channels, {told} taken {why}",))

    def _fits_unnamed(self, num: int, names: Sequence[str]) -> bool:
        """Whether there are as many channels as in the training, not all of them by its names."""
        return num == self.unless and not {*map(str.casefold, self.channels)} <= {
            *map(str.casefold, names)
        }

    def _tell_of_others(self, num: int, names: Sequence[str]) -> tuple[str, ...]:
        """Return a note where the channels have names, and others than in the training."""
        named = [each for each in self.channels if not each.isdecimal()]
        if not any(names) or not named:
            return ()
        return (
            f"the model was trained on channel {' and '.join(named)}; here is "
            f"{_list_channels(num, names)}",
        )

    def pick(self, image: Image) -> Image:
        """Return an image with the channels to read alone.

        Raises
        ------
        SettingError : it has no such channel
        """
        axis = image.axes.find("C")
        num, path = image.data.shape[axis] if axis >= 0 else 1, image.source or Path("the image")
        picked = self.choose_channels(num, image.channel_names, path)
        if axis < 0 or not picked.notes:
            return replace(image, notes=(*image.notes, *picked.notes))
        data, axes = np.take(image.data, picked.chosen, axis), image.axes
        if len(picked.chosen) == 1:
            data, axes = data.squeeze(axis), axes.replace("C", "")
        return replace(
            image,
            data=data,
            axes=axes,
            channel_names=picked.names(image.channel_names),
            notes=(*image.notes, *picked.notes),
        )


BY_FILE = Reading()
"""All of an image, as its file says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """Those channels of an image, counted from 0, that are read.

    An array is cut by `span` along its channels, and what comes of it by `within`.
    """

    chosen: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of those that are read, of all names; none where they do not fit."""
        fit = len(names) > max(self.chosen)
        return tuple(names[i] for i in self.chosen) if fit else ()

    @property
    def span(self) -> slice:
        """From the first to the last channel."""
        return slice(min(self.chosen), max(self.chosen) + 1)

    def within(self, data: np.ndarray, axis: int) -> np.ndarray:
        """Return the channels of an array that was cut to `span`; itself where these are all."""
        places = [i - min(self.chosen) for i in self.chosen]
        return data if places == [*range(data.shape[axis])] else np.take(data, places, axis)


def choose_scene(scenes: Sequence[tuple[str, Sequence[int]]], asked: str | None, path: Path) -> int:
    """Return the place of the scene to read.

    Parameters
    ----------
    scenes : name and shape of each in the file
    asked : number, from 1, or name; None where the user does not say

    Raises
    ------
    FileError : the file holds none, or several and none is asked for
    SettingError : the one asked for is not there, or several are called so

    Examples
    --------
    >>> choose_scene([("left", (4, 5)), ("right", (4, 5))], "Right", Path("a.czi"))
    1
    """
    if not scenes:
        raise FileError(f"{path} cannot be read: it holds no image; copy it again from its source")
    if asked is None and len(scenes) == 1:
        return 0
    shown = 20
    listed = "; ".join(
        f"{i}: {f'{name} ' if name else ''}({name_shape(shape)})"
        for i, (name, shape) in enumerate(scenes[:shown], start=1)
    )
    more = f"; and {len(scenes) - shown} more" if len(scenes) > shown else ""
    held = f"{path} holds {len(scenes)} scene{'s' if len(scenes) > 1 else ''} ({listed}{more})"
    if asked is None:
        raise FileError(f"{held}; say which to read by its number or name, such as --scene 1")
    called = [
        i for i, (name, _) in enumerate(scenes) if name and name.casefold() == asked.casefold()
    ]
    if len(called) == 1:
        return called[0]
    if called:
        raise SettingError(f"{held}; several are called {asked!r}: give the number")
    if asked.isdecimal() and 1 <= int(asked) <= len(scenes):
        return int(asked) - 1
    raise SettingError(f"{held}, none of them {asked!r}; give the number or the name of one")


def as_texts(asked: str | int | Sequence[str | int]) -> tuple[str, ...]:
    """Return numbers or names as they are given on the command line.

    Examples
    --------
    >>> as_texts("DAPI"), as_texts([2, "GFP"])
    (('DAPI',), ('2', 'GFP'))
    """
    return tuple(map(str, [asked] if isinstance(asked, str | int) else asked))


def _find(asked: str, num: int, names: Sequence[str]) -> int | None:
    """Return the place of a channel; names go first, since some are numbers, such as 488."""
    folded = [name.casefold() for name in names]
    if folded.count(asked.casefold()) == 1:
        return folded.index(asked.casefold())
    is_number = asked.isdecimal() and 1 <= int(asked) <= num
    return int(asked) - 1 if is_number else None


def _list_channels(num: int, names: Sequence[str]) -> str:
    channels = "1 channel" if num == 1 else f"{num} channels"
    return f"{channels}: {', '.join(_name(i, names) for i in range(num))}" if names else channels


def _name(place: int, names: Sequence[str]) -> str:
    return f"{place + 1} ({names[place]})" if names and names[place] else str(place + 1)

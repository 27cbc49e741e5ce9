"""Which object becomes which: tracks over frames and their parents."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ulens.errors import LabelError

LARGEST_TRACK = 65535


class Track(NamedTuple):
    """One object over consecutive frames.

    Parameters
    ----------
    label : its value in the label images, 1…65535
    start, end : first and last frame, counted from 0
    parent : label of the track that it comes from, by division or after a gap; 0 = none
    """

    label: int
    start: int
    end: int
    parent: int


class Link(NamedTuple):
    """An object in one frame and what it becomes in a later one, each as (frame, label)."""

    source: tuple[int, int]
    target: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lineage:
    """All tracks of a sequence.

    Parameters
    ----------
    tracks : in any order; plain tuples (label, start, end, parent) will do

    Raises
    ------
    LabelError : the tracks break a rule of the Cell Tracking Challenge (the row is named):
        labels are unique and in 1…65535, no track ends before it starts, a parent is 0 or the
        label of a track that ends before its child starts

    Examples
    --------
    >>> division = Lineage([(1, 0, 4, 0), (2, 5, 9, 1), (3, 5, 7, 1)])
    >>> division.parent_links()[1]
    Link(source=(4, 1), target=(5, 3))
    """

    tracks: tuple[Track, ...]

    def __post_init__(self) -> None:
        tracks = tuple(Track(*row) for row in self.tracks)
        object.__setattr__(self, "tracks", tracks)
        known: dict[int, Track] = {}
        for track in tracks:
            _check_alone(track)
            if track.label in known:
                raise LabelError(
                    f"{_name(track)} repeats the label of {_name(known[track.label])}; "
                    "give every track its own label"
                )
            known[track.label] = track
        for track in tracks:
            if track.parent:
                _check_parent(track, known.get(track.parent))

    def parent_links(self) -> list[Link]:
        """Return the links from the last frame of a parent to the first of its child."""
        end_of = {track.label: track.end for track in self.tracks}
        return [
            Link((end_of[track.parent], track.parent), (track.start, track.label))
            for track in self.tracks
            if track.parent
        ]


def divisions(lineage: Lineage) -> list[int]:
    """Return the labels of the tracks that divide.

    Examples
    --------
    >>> divisions(Lineage([(1, 0, 4, 0), (2, 5, 9, 1), (3, 5, 7, 1), (4, 9, 9, 3)]))
    [1]
    """
    num_children = Counter(each.parent for each in lineage.tracks if each.parent)
    return sorted(parent for parent, number in num_children.items() if number > 1)


def join_gaps(lineage: Lineage) -> dict[int, int]:
    """Return for every track the first one of its object, of which it may be a part after gaps.

    Examples
    --------
    >>> join_gaps(Lineage([(1, 0, 4, 0), (2, 6, 9, 1), (3, 10, 11, 2), (4, 10, 11, 2)]))
    {1: 1, 2: 1, 3: 3, 4: 4}
    """
    dividing = set(divisions(lineage))
    first: dict[int, int] = {}
    for each in sorted(lineage.tracks, key=lambda track: track.start):  # parents come first
        goes_on = each.parent and each.parent not in dividing
        first[each.label] = first[each.parent] if goes_on else each.label
    return first


def check_result(masks: Iterable[tuple[int, np.ndarray]], lineage: Lineage) -> list[str]:
    """Say where masks and tracks disagree, which makes a result invalid.

    Parameters
    ----------
    masks : frame and its labels, in order; taken one by one
    lineage : the tracks

    Returns
    -------
    sentences for the user, one per track at fault; none if the result is valid

    Examples
    --------
    >>> check_result([(0, np.array([[1, 0]])), (1, np.array([[0, 0]]))], Lineage([(1, 0, 1, 0)]))
    ["row '1 0 1 0' (label start end parent) has no object in frame 1; end a track before a gap \
and begin another with it as parent"]
    """
    tracks = {track.label: track for track in lineage.tracks}
    frames: list[int] = []
    extra: dict[int, list[int]] = {}
    absent: dict[int, list[int]] = {}
    for frame, mask in masks:
        frames.append(frame)
        seen = set(np.unique(mask).tolist()) - {0}
        expected = {label for label, each in tracks.items() if each.start <= frame <= each.end}
        for label in seen - expected:
            extra.setdefault(label, []).append(frame)
        for label in expected - seen:
            absent.setdefault(label, []).append(frame)
    return [
        *_describe_span(frames, lineage),
        *(_describe_extra(label, extra[label], tracks.get(label)) for label in sorted(extra)),
        *(_describe_absent(tracks[label], absent[label]) for label in sorted(absent)),
    ]


def name_frames(frames: list[int]) -> str:
    """Return the numbers of the first few frames and how many more there are.

    Examples
    --------
    >>> name_frames([3])
    'frame 3'
    """
    shown = 6
    more = f" and {len(frames) - shown} more" if len(frames) > shown else ""
    plural = "s" if len(frames) > 1 else ""
    return f"frame{plural} {', '.join(map(str, frames[:shown]))}{more}"


def _describe_span(frames: list[int], lineage: Lineage) -> list[str]:
    if not frames:
        return ["there are no masks; write one for every frame, empty ones too"]
    first, last = min(frames), max(frames)
    problems = [
        f"{_name(track)} leaves the masks, which are of frames {first} to {last}; "
        "write the others too, or correct start and end"
        for track in lineage.tracks
        if track.start < first or track.end > last
    ]
    without = sorted(set(range(first, last)) - set(frames))
    if without:
        problems.append(f"there is no mask of {name_frames(without)}; write one, even if empty")
    return problems


def _describe_extra(label: int, frames: list[int], track: Track | None) -> str:
    where = f"label {label} is in the mask of {name_frames(frames)}"
    if track is None:
        return f"{where}, but has no row; add a row 'label start end parent' for it"
    return f"{where}, but {_name(track)} does not cover that; correct start or end"


def _describe_absent(track: Track, frames: list[int]) -> str:
    return (
        f"{_name(track)} has no object in {name_frames(frames)}; end a track before a gap "
        "and begin another with it as parent"
    )


def _name(track: Track) -> str:
    return f"row '{' '.join(map(str, track))}' (label start end parent)"


def _check_alone(track: Track) -> None:
    if not 1 <= track.label <= LARGEST_TRACK:
        raise LabelError(
            f"{_name(track)} has the label {track.label}; use labels of 1...{LARGEST_TRACK}"
        )
    if track.start < 0:
        raise LabelError(f"{_name(track)} starts in frame {track.start}; frames count from 0")
    if track.end < track.start:
        raise LabelError(
            f"{_name(track)} ends before it starts; its end must be {track.start} or later"
        )
    if track.parent < 0:
        raise LabelError(
            f"{_name(track)} has the parent {track.parent}; use 0 for none or a track's label"
        )


def _check_parent(track: Track, parent: Track | None) -> None:
    if parent is None:
        raise LabelError(
            f"{_name(track)} has the parent {track.parent}, which is no track; add its row, or "
            "use 0 for none"
        )
    if parent.end >= track.start:
        raise LabelError(
            f"{_name(track)} starts in frame {track.start}, but its parent ends in frame "
            f"{parent.end}; a parent must end before its child starts"
        )

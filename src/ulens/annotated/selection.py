"""Selections of frames as the user writes them: ``0-9,12``, or ``01:0-49,02:3,5`` of sequences."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from ulens.errors import SettingError


class Range(NamedTuple):
    """Numbers from `first` to `last`, both included, of a sequence if one is named."""

    sequence: str | None
    first: int
    last: int


def read_ranges(spec: str, separators: str = ",") -> Iterator[Range | None]:
    """Yield the ranges of a selection, and None for what is none.

    Examples
    --------
    >>> [first, second] = read_ranges("01:0-49,3")
    >>> first, second
    (Range(sequence='01', first=0, last=49), Range(sequence=None, first=3, last=3))
    """
    for part in re.split(f"[{separators}]", spec):
        match = re.fullmatch(r"\s*(?:(\d\d)\s*:)?\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        found = Range(match[1], int(match[2]), int(match[3] or match[2])) if match else None
        yield found if found is not None and found.first <= found.last else None


def name_ranges(numbers: Sequence[int]) -> str:
    """Write numbers as a selection.

    Examples
    --------
    >>> name_ranges([0, 1, 2, 4])
    '0-2,4'
    """
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, each)) for each in ranges)


def parse_frames(spec: str, num_frames: int) -> list[int]:
    """Return the frames that a selection names, in ascending order.

    Parameters
    ----------
    spec : numbers and inclusive ranges from 0, separated by commas
    num_frames : how many frames there are

    Raises
    ------
    SettingError : the selection cannot be read or names a frame that is not there

    Examples
    --------
    >>> parse_frames("0-2,5", 10)
    [0, 1, 2, 5]
    """
    there_are = f"there are {num_frames} images, 0-{num_frames - 1}"
    chosen: set[int] = set()
    for each in read_ranges(spec):
        if each is None or each.sequence is not None:
            raise SettingError(
                f"frames {spec!r} is no selection; write numbers and ranges such as 0-9,12; "
                f"{there_are}"
            )
        if each.last >= num_frames:
            raise SettingError(f"frames {spec!r} asks for image {each.last}; {there_are}")
        chosen.update(range(each.first, each.last + 1))
    return sorted(chosen)


def select_planes(spec: str | None, counts: Sequence[int]) -> list[list[int]]:
    """Return the planes of each file that a selection over all files names.

    Parameters
    ----------
    spec : as in `parse_frames`; None for all
    counts : planes in each file

    Raises
    ------
    SettingError : as `parse_frames`

    Examples
    --------
    >>> select_planes("0,3-4", [2, 1, 3])
    [[0], [], [0, 1]]
    """
    chosen = None if spec is None else set(parse_frames(spec, sum(counts)))
    starts = accumulate(counts, initial=0)
    return [
        [i for i in range(count) if chosen is None or start + i in chosen]
        for start, count in zip(starts, counts, strict=False)
    ]

"""What tells instances from classes: signs in the values and in how they lie, weighed together."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import skimage as ski

# An id may have stray pixels.
_LARGEST_SHARE = 0.9
_MANY_VALUES = 20
_HIGHEST_CLASS = 255
# What programs paint classes with: white is the highest.
_WHITE = (255, 65535)
CLEAR = 1.0
"""Signs that weigh no more than this together do not decide."""


class Sign(NamedTuple):
    """Something that speaks for instances (weight above 0) or for classes (below)."""

    weight: float
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """How the values above 0 lie in one plane.

    Parameters
    ----------
    ids : the values, ascending
    num_connected : how many are one 8-connected region, but for stray pixels
    num_enclosed : how many touch one other value above 0 and nothing else
    has_background : whether there are pixels of value 0
    """

    ids: tuple[int, ...]
    num_connected: int
    num_enclosed: int
    has_background: bool


def examine(label: np.ndarray) -> Plane:
    """Look at one (Y, X) int64 plane, −1 where ignored.

    Examples
    --------
    >>> examine(np.array([[7, 7, 0, 9, 0, 9]]))
    Plane(ids=(7, 9), num_connected=1, num_enclosed=0, has_background=True)
    """
    ids, numbers = np.unique(np.maximum(label, 0), return_inverse=True)
    numbers = numbers.reshape(label.shape)
    if ids[0] > 0:
        ids, numbers = np.insert(ids, 0, 0), numbers + 1
    regions = ski.measure.label(numbers, background=0, connectivity=2)
    areas = np.bincount(regions.ravel())
    _, first_pixels = np.unique(regions, return_index=True)
    owners = numbers.flat[first_pixels]
    # without ground, region 0 is missing
    areas = areas[areas > 0]
    largest = np.zeros(len(ids), int)
    np.maximum.at(largest, owners, areas)
    total = np.bincount(numbers.ravel(), minlength=len(ids))
    return Plane(
        ids=tuple(ids[1:].tolist()),
        num_connected=int((largest >= _LARGEST_SHARE * total)[1:].sum()),
        num_enclosed=_count_enclosed(numbers, len(ids)),
        has_background=bool((label == 0).any()),
    )


def weigh(planes: list[Plane]) -> list[Sign]:
    """Return the signs in all planes together; of masks none.

    Examples
    --------
    >>> [sign.reason for sign in weigh([examine(np.array([[1, 0, 2, 0, 300]]))])]
    ['each is one connected object', 'ids go up to 300', 'ids have gaps']
    """
    planes = [plane for plane in planes if plane.ids]
    values = sorted({value for plane in planes for value in plane.ids})
    if len(values) < 2:
        return []
    return [sign for sign in _signs(planes, values) if sign.weight]


def share_connected(planes: list[Plane]) -> float:
    """Return how many of all values in all planes are one region."""
    return sum(p.num_connected for p in planes) / max(1, sum(len(p.ids) for p in planes))


def _signs(planes: list[Plane], values: list[int]) -> Iterator[Sign]:
    yield _by_pieces(planes, len(values))
    if len(values) > _MANY_VALUES:
        yield Sign(2, f"there are {len(values)} of them")
    steps = {above - below for below, above in pairwise([0, *values])}
    is_painted = values[-1] in _WHITE and len(values) <= 8 and max(steps) - min(steps) <= 1
    if is_painted:
        yield Sign(-2.5, f"they are even grey levels up to {values[-1]}, white")
    elif values[-1] > _HIGHEST_CLASS:
        yield Sign(2, f"ids go up to {values[-1]}")
    if not is_painted and len(values) > 2 and len(steps) > 1:
        yield Sign(1, "ids have gaps")
    yield _by_sameness(planes)
    if 3 * sum(plane.num_enclosed for plane in planes) >= sum(len(plane.ids) for plane in planes):
        yield Sign(-2, "one lies inside another")
    if not any(plane.has_background for plane in planes):
        yield Sign(-2, "no pixel is background")


def _by_pieces(planes: list[Plane], num_values: int) -> Sign:
    num_seen = sum(len(plane.ids) for plane in planes)
    num_split = num_seen - sum(plane.num_connected for plane in planes)
    share = share_connected(planes)
    if share >= 0.8:
        each = "each is" if num_split == 0 else f"{share:.0%} are"
        return Sign(min(5, num_seen / 4, 0.75 * num_values), f"{each} one connected object")
    weight = -min(3, 1.5 * num_split) if share <= 0.5 else 0
    return Sign(weight, f"{1 - share:.0%} are in several pieces")


def _by_sameness(planes: list[Plane]) -> Sign:
    """Ids differ from image to image and count up in each; classes come again."""
    counts_up = all(plane.ids == tuple(range(1, len(plane.ids) + 1)) for plane in planes)
    if len(planes) == 1:
        return Sign(0.25 if counts_up else 0, "they count up from 1")
    if len({plane.ids for plane in planes}) == 1:
        return Sign(-min(3, 0.75 * len(planes)), f"all {len(planes)} images hold the same")
    return Sign(2 if counts_up else 0, "they count up from 1 in every image")


def _count_enclosed(numbers: np.ndarray, num_ids: int) -> int:
    """Count the values above 0 that touch one other value above 0 alone, but for stray pixels."""
    beside = [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])]
    contacts = [(a[a != b], b[a != b]) for a, b in beside]
    own = np.concatenate([part for a, b in contacts for part in (a, b)])
    other = np.concatenate([part for a, b in contacts for part in (b, a)])
    pairs, counts = np.unique(own * num_ids + other, return_counts=True)
    own, other = pairs // num_ids, pairs % num_ids
    most = np.zeros(num_ids, int)
    np.maximum.at(most, own[other > 0], counts[other > 0])
    total = np.bincount(own, weights=counts, minlength=num_ids)
    return int(((most > 0) & (most >= _LARGEST_SHARE * total))[1:].sum())

"""Whether files hold label values, a mask with soft edges, or grey values that are no labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ulens.channels import is_grey
from ulens.errors import LabelError

# A mask with fewer grey levels between its two values cannot be told from classes.
_LEAST_RANGE = 16
# Interpolation and antialiasing blend at most so many pixels on each side of an edge.
_BLEND_PX = 3
_JPEG_BLOCK_PX = 8
# Fewer values are classes, however they are scattered.
_FEW_VALUES = 8
LOSSY = (".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftMask:
    """Two values, and others between them along their edges alone.

    Parameters
    ----------
    low, high : the two
    num_values : how many values there are in all
    cause : what made the others
    """

    low: int
    high: int
    num_values: int
    cause: str

    def harden(self, label: np.ndarray) -> np.ndarray:
        """Return a (Y, X) int64 label with the two values alone, and −1 where ignored."""
        hard = np.where(2 * label > self.low + self.high, self.high, self.low)
        return np.where(label < 0, -1, hard)


def find_soft_mask(labels: list[np.ndarray], files: Sequence[Path]) -> SoftMask | None:
    """Return the mask that the planes hold with soft edges; None where they hold anything else.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored
    files : where they are from

    Notes
    -----
    Besides two values there are others; those about half way lie between neighbours of both
    sides, at most 3 px from the edge; nearly all lie there or, as JPEG has it, in blocks of
    8×8 px that an edge runs through. To cut such a mask half way moves no edge by more than a
    pixel.
    """
    low, high, num_values = _find_extremes(labels)
    if num_values < 4 or high - low < _LEAST_RANGE:
        return None
    middles: set[int] = set()
    counts = _Counts(*(0,) * 9)
    is_low_noise = is_high_noise = False
    for label in labels:
        off = (label >= 0) & (label != low) & (label != high)
        middle = off & (np.abs(2 * label - low - high) * 2 < high - low)
        hard = 2 * label > low + high
        counts = _Counts(*map(add, counts, _count(label, off, middle, hard, low, high)))
        if counts.unexplained > 0.5 * counts.off:
            return None  # already clear, which saves the time for many ids
        middles.update(np.unique(label[middle]).tolist())
        is_low_noise |= bool((off & ~middle & ~hard).any())
        is_high_noise |= bool((off & ~middle & hard).any())
    if (
        not (len(middles) > 1 or (is_low_noise and is_high_noise))
        or counts.unexplained > 0.05 * counts.off
        or counts.between < 0.8 * counts.middle
        or counts.far > 0.3 * counts.known
    ):
        return None
    if any(file.suffix.lower() in LOSSY for file in files):
        cause = "JPEG compression"
    elif counts.away > 0.01 * counts.off and counts.beside_blocks <= 0.01 * counts.off:
        cause = "JPEG compression before they were saved in this format"
    elif counts.away > 0.01 * counts.off or counts.wide > 0.1 * counts.middle:
        cause = "interpolation or blur"
    else:
        cause = "soft edges as drawn"
    return SoftMask(low=low, high=high, num_values=num_values, cause=cause)


class _Counts(NamedTuple):
    """Pixels: annotated ones, those off the two values, and of these some."""

    known: int
    off: int
    far: int
    middle: int
    between: int
    unexplained: int
    away: int
    beside_blocks: int
    wide: int


def _count(
    label: np.ndarray, off: np.ndarray, middle: np.ndarray, hard: np.ndarray, low: int, high: int
) -> _Counts:
    """Count how the pixels off the two values lie.

    Parameters
    ----------
    label : (Y, X) int64, −1 where ignored
    off, middle, hard : bool; neither low nor high, about half way, on the side of the higher
    """
    extent = high - low
    along, in_blocks = _near_edge(hard, _BLEND_PX), _edge_blocks(hard)
    offset = np.minimum(np.abs(label - low), np.abs(label - high))
    outside = (label < low - extent // 4) | (label > high + extent // 4)
    ringing = (offset * 16 < extent) & _near_edge(hard, _JPEG_BLOCK_PX)
    masks = {
        "known": label >= 0,
        "off": off,
        "far": (label >= 0) & (offset * 8 > extent),
        "middle": middle,
        "between": middle & along & _between_neighbours(label)[0],
        "unexplained": off & (outside | ~(along | ringing | in_blocks)),
        "away": off & ~along,
        "beside_blocks": off & ~in_blocks,
        "wide": middle & ~_near_edge(hard, 1),
    }
    return _Counts(**{name: int(mask.sum()) for name, mask in masks.items()})


def refuse_blends(
    labels: list[np.ndarray], files: Sequence[Path], called: str, *, share_connected: float
) -> None:
    """Raise LabelError where values are no labels: grey values, or labels that were blended.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored; no soft mask
    files : where they are from
    called : what they are called in messages, such as "label images"
    share_connected : of all values in an image, how many are one connected region

    Raises
    ------
    LabelError : values of a JPEG file; many values that lie between those of their neighbours
    """
    _, _, num_values = _find_extremes(labels)
    lossy = [file for file in files if file.suffix.lower() in LOSSY]
    blended, of_values, flat = _measure_blends(labels)
    is_blended = num_values > _FEW_VALUES and (
        blended > 0.6 or of_values > 0.5 or (blended > 0.12 and share_connected < 0.8)
    )
    such = f"{called} such as {(lossy or files)[0]} hold {num_values} values"
    if is_blended and flat < 0.25:
        raise GreyValuesError(
            f"{such}, most of them between those of their neighbours: these look like images or "
            "probabilities in grey values, not labels; give label images; make labels of "
            "probabilities with a threshold, or save them as floating-point TIFF in 0…1"
        )
    if lossy and num_values > 2:
        raise LabelError(
            f"{such}: JPEG compression does not keep label values, and more than two cannot be "
            "told apart again; save the labels as PNG or TIFF files from where they were made"
        )
    if is_blended:
        raise LabelError(
            f"{such}, many of them only along edges and between those of their neighbours: these "
            "look like labels resized with interpolation, which mixes classes or ids into others; "
            "resize the original labels anew by nearest neighbours (order 0)"
        )


class GreyValuesError(LabelError):
    """Files that should be labels hold grey values."""


def _find_extremes(labels: list[np.ndarray]) -> tuple[int, int, int]:
    """Return the commonest value of the lower and of the upper half, and the number of values."""
    counts: dict[int, int] = {}
    for label in labels:
        found = zip(*np.unique(label[label >= 0], return_counts=True), strict=True)
        for value, count in found:
            counts[int(value)] = counts.get(int(value), 0) + int(count)
    if not counts:
        return 0, 0, 0
    half = (min(counts) + max(counts)) / 2
    low = max((value for value in counts if value <= half), key=lambda v: (counts[v], -v))
    high = max((value for value in counts if value >= half), key=lambda v: (counts[v], v))
    return low, high, len(counts)


def _near_edge(hard: np.ndarray, reach_px: int) -> np.ndarray:
    """Return where pixels of both sides lie within a few pixels."""
    size = 2 * reach_px + 1
    near_high = ndimage.maximum_filter(hard, size)
    near_low = ~ndimage.minimum_filter(hard, size)
    return near_high & near_low


def _edge_blocks(hard: np.ndarray) -> np.ndarray:
    """Return the pixels of those 8×8 blocks of JPEG that hold both sides."""
    size = _JPEG_BLOCK_PX
    height, width = hard.shape
    padding = ((0, -height % size), (0, -width % size))
    blocks = np.pad(hard, padding, mode="edge")
    blocks = blocks.reshape(blocks.shape[0] // size, size, blocks.shape[1] // size, size)
    mixed = blocks.any(axis=(1, 3)) & ~blocks.all(axis=(1, 3))
    return np.kron(mixed, np.ones((size, size), bool))[:height, :width]


def _between_neighbours(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where a pixel lies strictly between its 3×3 neighbours, and where all are equal."""
    highest, lowest = ndimage.maximum_filter(label, 3), ndimage.minimum_filter(label, 3)
    return (lowest >= 0) & (lowest < label) & (label < highest), lowest == highest


def _measure_blends(labels: list[np.ndarray]) -> tuple[float, float, float]:
    """Return the shares of pixels at edges that are blends, of values that are, and of flat areas.

    A value is a blend where half of its pixels in a plane are. Of flat areas the ground is left
    out, which is the commonest value.
    """
    num_between = num_uneven = num_flat = num_above = num_blends = num_values = 0
    low, high, _ = _find_extremes(labels)
    num_low = sum(int((label == low).sum()) for label in labels)
    num_high = sum(int((label == high).sum()) for label in labels)
    ground = low if num_low >= num_high else high
    for label in labels:
        between, flat = _between_neighbours(label)
        above = (label >= 0) & (label != ground)
        num_between += int(between.sum())
        num_uneven += int((~flat).sum())
        num_flat += int((flat & above).sum())
        num_above += int(above.sum())
        _, numbers = np.unique(label[above], return_inverse=True)
        sizes = np.bincount(numbers)
        num_blends += int((2 * np.bincount(numbers, weights=between[above]) > sizes).sum())
        num_values += len(sizes)
    return (
        num_between / max(1, num_uneven),
        num_blends / max(1, num_values),
        num_flat / max(1, num_above),
    )


def look_like_labels(plane: np.ndarray) -> bool:
    """Tell whether a (C, Y, X) image plane could hold labels: areas of one whole number each."""
    if not is_grey(plane) or plane.dtype.kind not in "ui":
        return False
    label = plane[0].astype(np.int64)
    blended, _, flat = _measure_blends([label])
    is_soft = find_soft_mask([label], []) is not None
    return bool(label.any()) and (is_soft or (blended < 0.2 and flat > 0.2))

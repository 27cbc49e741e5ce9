"""The block of an image that is held out, and the gap between it and what is trained on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ulens.annotated.samples import Sample
from ulens.labels.meaning import IGNORED

BLOCK_FRACTION = 0.2
LEAST_LEFT = 0.5


class Block(NamedTuple):
    """A block of an image, from a line to another, or to the end.

    Parameters
    ----------
    axis : along which the image is divided
    start : first line there that is held out
    gap : lines before and after it that are neither trained on nor scored
    stop : first line after it; None = it reaches to the end
    """

    axis: int
    start: int
    gap: int = 0
    stop: int | None = None


def find_block(labels: Sequence[np.ndarray], fraction: float = BLOCK_FRACTION) -> Block:
    """Return the block that holds the last part of the annotated pixels along the longer axis.

    Parameters
    ----------
    labels : (Y, X) of one shape, −1 where not annotated: of an image, or of the planes of a stack,
        which are divided at one place
    fraction : of the annotated pixels
    """
    axis, (start,) = _lines_at(labels, [1 - fraction])
    return Block(axis, start)


def find_blocks(labels: Sequence[np.ndarray], num: int) -> list[Block]:
    """Return blocks of as many annotated pixels each, which together are the whole image.

    Parameters
    ----------
    labels : as in `find_block`
    """
    axis, starts = _lines_at(labels, [k / num for k in range(num)])
    stops = [*starts[1:], None]
    return [Block(axis, start, stop=stop) for start, stop in zip(starts, stops, strict=True)]


def _lines_at(labels: Sequence[np.ndarray], shares: Sequence[float]) -> tuple[int, list[int]]:
    """Return the longer axis, and the lines there before which these shares are annotated."""
    axis = int(np.argmax(labels[0].shape))
    annotated = sum((label != IGNORED).sum(axis=1 - axis) for label in labels)
    before = np.append(0, np.cumsum(annotated))
    return axis, [int(np.argmin(np.abs(before - share * before[-1]))) for share in shares]


def widen_gap(
    sample: Sample, block: Block, reach_px: tuple[int, int], labels_are: str
) -> Block | None:
    """Return the block with a gap as wide as the network sees, or None where there is no room.

    Parameters
    ----------
    reach_px : (y, x) how far around a pixel the network sees, in pixels of the image

    Notes
    -----
    There is room where at least half of what would be trained on without the gap is left, of the
    annotated pixels and of those of objects.
    """
    wide = block._replace(gap=reach_px[block.axis])
    without, left = (divide(sample, each, labels_are)[0].label for each in (block, wide))
    for is_counted in (without != IGNORED, without > 0):
        if (is_counted & (left != IGNORED)).sum() < LEAST_LEFT * is_counted.sum():
            return None
    return wide


def divide(sample: Sample, block: Block, labels_are: str) -> tuple[Sample, Sample]:
    """Divide the annotated pixels of an image in two: to train on, and to score.

    An instance goes whole to its centroid's side. The gaps lie beside what is scored; an instance
    that reaches into one is on neither side.
    """
    label, (axis, start, gap, stop) = sample.label, block
    end = label.shape[axis] if stop is None else stop
    lines = np.arange(label.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    held_out = np.broadcast_to((lines >= start) & (lines < end), label.shape)
    if labels_are == "instances":
        held_out = np.where(label > 0, objects_between(label, axis, start, end), held_out)
    left_out = held_out
    if gap and held_out.any():
        scored = np.flatnonzero(held_out.any(axis=1 - axis))
        after = label.shape[axis] if stop is None else scored[-1] + 1 + gap
        left_out = held_out | ((lines >= scored[0] - gap) & (lines < after))
        if labels_are == "instances":
            left_out = left_out | ((label > 0) & np.isin(label, label[left_out]))
    return (
        replace(sample, label=np.where(left_out, IGNORED, label)),
        replace(sample, label=np.where(held_out, label, IGNORED)),
    )


def objects_between(label: np.ndarray, axis: int, start: int, end: int) -> np.ndarray:
    """Return the (Y, X) mask of the objects with centroids on lines from start to before end."""
    places = np.nonzero(label > 0)
    _, each = np.unique(label[places], return_inverse=True)
    centres = np.bincount(each, places[axis]) / np.maximum(1, np.bincount(each))
    is_between = np.zeros(label.shape, bool)
    is_between[places] = ((centres >= start) & (centres < end))[each]
    return is_between

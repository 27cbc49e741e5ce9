"""Objects matched frame by frame, and the graphs that their tracks form.

A reference object R is matched by the result object S that covers more than half of it,
|R∩S| > 0.5·|R|; there is at most one, but one S may match several R.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ulens.labels.overlap import contingency
from ulens.tracking.field_of_interest import drop_outside_field
from ulens.tracking.lineage import Lineage

Pairs = Iterable[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedFrame:
    """The objects of one frame.

    Parameters
    ----------
    reference, result : (R,) and (S,) int64, their labels, ascending
    matched_reference, matched_result : (M,) int64, the labels of each match
    jaccard : (M,) float64 in (0, 1], intersection over union of each match
    num_outside_field : result objects that were dropped, outside the field of interest
    """

    reference: np.ndarray
    result: np.ndarray
    matched_reference: np.ndarray
    matched_result: np.ndarray
    jaccard: np.ndarray
    num_outside_field: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkCounts:
    """What it takes to correct the links.

    Parameters
    ----------
    num_links : links of the reference, the edges of its graph
    num_redundant : ED, links between uniquely matched objects that the reference lacks
    num_missing : EA, links that only the reference has
    num_wrong : EC, links within a track that should join parent and child, or vice versa
    """

    num_links: int
    num_redundant: int
    num_missing: int
    num_wrong: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Graph:
    """Links between objects, which are numbered through all frames.

    Parameters
    ----------
    starts : number of the first object of each frame, and of all objects last
    sources, targets : (K,) int64, objects that are linked
    to_child : (K,) bool, the link joins a parent and its child, not objects of one track
    """

    starts: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    to_child: np.ndarray


def match_frames(pairs: Pairs, *, field_of_interest_px: int) -> Iterator[MatchedFrame]:
    """Match the objects of each frame.

    Parameters
    ----------
    pairs : (reference, result) label images, integers, (Y, X) or (Z, Y, X), 0 = background
    field_of_interest_px : width of the border where result objects are dropped (px)

    Raises
    ------
    ShapeError, LabelError : as `ulens.labels.overlap.contingency`

    Examples
    --------
    >>> pairs = [(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 0, 0]]))]
    >>> [frame.matched_reference.tolist() for frame in match_frames(pairs, field_of_interest_px=0)]
    [[1]]
    """
    for reference, result in pairs:
        kept = drop_outside_field(result, field_of_interest_px)
        num_dropped = 0 if kept is result else _num_objects(result) - _num_objects(kept)
        yield _match(reference, kept, num_dropped)


def compare_links(
    frames: list[MatchedFrame], reference: Lineage, result: Lineage, *, first_frame: int
) -> LinkCounts:
    """Compare the links of two graphs, where result objects match one reference object alone.

    Parameters
    ----------
    frames : consecutive
    reference, result : whose parents are linked to their children, as far as the frames hold both;
        objects of one label in consecutive frames are linked without
    first_frame : number of the first frame
    """
    wanted = _build_graph([frame.reference for frame in frames], reference, first_frame)
    given = _build_graph([frame.result for frame in frames], result, first_frame)
    reference_of = _find_references(frames, wanted, given)
    sources, targets = reference_of[given.sources], reference_of[given.targets]
    comparable = (sources >= 0) & (targets >= 0)
    num_objects = int(wanted.starts[-1])
    common, at_wanted, at_given = np.intersect1d(
        wanted.sources * num_objects + wanted.targets,
        (sources * num_objects + targets)[comparable],
        assume_unique=True,
        return_indices=True,
    )
    wrong = wanted.to_child[at_wanted] != given.to_child[comparable][at_given]
    return LinkCounts(
        num_links=wanted.sources.size,
        num_redundant=int(comparable.sum()) - common.size,
        num_missing=wanted.sources.size - common.size,
        num_wrong=int(wrong.sum()),
    )


def _match(reference: np.ndarray, result: np.ndarray, num_outside_field: int) -> MatchedFrame:
    table = contingency(reference, result)
    reference_labels, reference_sizes = _sizes(table.truth, table.num_pixels)
    result_labels, result_sizes = _sizes(table.predicted, table.num_pixels)
    of_reference = reference_sizes[np.searchsorted(reference_labels, table.truth)]
    of_result = result_sizes[np.searchsorted(result_labels, table.predicted)]
    objects = (table.truth > 0) & (table.predicted > 0)
    matched = objects & (2 * table.num_pixels > of_reference)
    union = of_reference + of_result - table.num_pixels
    return MatchedFrame(
        reference=reference_labels[reference_labels > 0],
        result=result_labels[result_labels > 0],
        matched_reference=table.truth[matched],
        matched_result=table.predicted[matched],
        jaccard=table.num_pixels[matched] / union[matched],
        num_outside_field=num_outside_field,
    )


def _num_objects(label_image: np.ndarray) -> int:
    return int(np.count_nonzero(np.unique(label_image)))


def _sizes(labels: np.ndarray, num_pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, inverse = np.unique(labels, return_inverse=True)
    return found, np.bincount(inverse, weights=num_pixels)


def _build_graph(labels: list[np.ndarray], lineage: Lineage, first_frame: int) -> _Graph:
    """Number the objects of all frames and link them; `labels` are ascending in each frame."""
    starts = np.cumsum([0, *(found.size for found in labels)])
    within = [np.empty((2, 0), np.int64)]
    for i, (before, after) in enumerate(pairwise(labels)):
        _, at_source, at_target = np.intersect1d(before, after, return_indices=True)
        within.append(np.stack([starts[i] + at_source, starts[i + 1] + at_target]))
    to_children = _parent_links(labels, starts, lineage, first_frame)
    sources, targets = np.concatenate([*within, to_children], axis=1)
    is_within = np.arange(sources.size) < sources.size - to_children.shape[1]
    return _Graph(starts=starts, sources=sources, targets=targets, to_child=~is_within)


def _parent_links(
    labels: list[np.ndarray], starts: np.ndarray, lineage: Lineage, first_frame: int
) -> np.ndarray:
    """Return the (2, K) int64 sources and targets of the links whose objects are both there."""

    def number(frame: int, label: int) -> int | None:
        i = frame - first_frame
        if not 0 <= i < len(labels) or label not in labels[i]:
            return None
        return int(starts[i] + np.searchsorted(labels[i], label))

    ends = [(number(*link.source), number(*link.target)) for link in lineage.parent_links()]
    return np.array([pair for pair in ends if None not in pair], np.int64).reshape(-1, 2).T


def _find_references(frames: list[MatchedFrame], reference: _Graph, result: _Graph) -> np.ndarray:
    """Return the reference vertex of each result vertex, -1 where it matches none or several."""
    found = np.full(result.starts[-1], -1)
    for i, frame in enumerate(frames):
        labels, first, num_matches = np.unique(
            frame.matched_result, return_index=True, return_counts=True
        )
        alone = num_matches == 1
        at_result = np.searchsorted(frame.result, labels[alone])
        at_reference = np.searchsorted(frame.reference, frame.matched_reference[first[alone]])
        found[result.starts[i] + at_result] = reference.starts[i] + at_reference
    return found

"""Tracks from frames whose instances were segmented one by one.

Objects of consecutive frames are linked one to one by overlap and distance, what stays unlinked
is looked for in the frames before those (gap closing), and an object that is still new may be the
second daughter of a division. The links then make tracks, by the rules of the Cell Tracking
Challenge: a track has an object in each of its frames, so a gap and a division begin new tracks,
which name their parent.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ulens.errors import LabelError, SettingError, ShapeError
from ulens.labels.overlap import contingency
from ulens.tracking.lineage import LARGEST_TRACK, Lineage, Track

_Node = tuple[int, int]  # an object: its frame and its place among the labels of that


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSettings:
    """What may be linked.

    Parameters
    ----------
    max_distance : how far an object's centroid moves from frame to frame, in diameters of the
        disc of its area; raise it where cells move by more than their size
    max_gap : frames in which an object may be missing between two that show it; 0 = none
    min_daughter_overlap : the part of each daughter, in 0…1, that lies where the parent was
    min_sister_ratio : area of the smaller daughter over that of the larger, in 0…1
    min_daughter_frames : frames for which each daughter must be seen, else the one that is not
        is taken for a slip of the segmentation; the end of the sequence excuses it

    Raises
    ------
    SettingError : a value out of range
    """

    max_distance: float = 1.0
    max_gap: int = 3
    min_daughter_overlap: float = 0.3
    min_sister_ratio: float = 0.5
    min_daughter_frames: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.max_distance < np.inf:
            raise SettingError(
                f"max_distance is {self.max_distance}; need a positive number of cell diameters"
            )
        for name in ("min_daughter_overlap", "min_sister_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name} is {getattr(self, name)}; choose one of 0...1")
        for name, least in (("max_gap", 0), ("min_daughter_frames", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"{name} is {getattr(self, name)}; need {least} frames or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracking:
    """The tracks, and which object belongs to which.

    Parameters
    ----------
    lineage : the tracks, numbered from 1 in the order of their appearance
    labels : for each frame (N,) int64, its labels as they were given, ascending, without 0
    tracks : for each frame (N,) uint16, the tracks of these
    first_frame : number of the first frame
    """

    lineage: Lineage
    labels: tuple[np.ndarray, ...]
    tracks: tuple[np.ndarray, ...]
    first_frame: int = 0

    def relabel(self, frame: int, label_image: np.ndarray) -> np.ndarray:
        """Give the objects of a frame the labels of their tracks.

        Parameters
        ----------
        frame : its number
        label_image : (Y, X) integer, as it was given to `track`

        Returns
        -------
        (Y, X) uint16; 0 = background

        Raises
        ------
        LabelError : these are not the labels that were tracked
        """
        i = frame - self.first_frame
        if not 0 <= i < len(self.labels):
            last = self.first_frame + len(self.labels) - 1
            raise LabelError(
                f"frame {frame} was not tracked, only {self.first_frame} to {last} were; give "
                "these, or track all frames again"
            )
        found, index = np.unique(label_image, return_inverse=True)
        known = np.concatenate([[0], self.labels[i]])
        at = np.searchsorted(known, found).clip(max=known.size - 1)
        if (known[at] != found).any():
            raise LabelError(
                f"frame {frame} holds the label {found[known[at] != found][0]}, which it did not "
                "when it was tracked; give the same label image, or track all frames again"
            )
        tracks = np.concatenate([np.zeros(1, np.uint16), self.tracks[i]])
        return tracks[at][index].reshape(label_image.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """The objects of one frame.

    Parameters
    ----------
    number : of the frame
    image : (Y, X) int64, 0 = background, then 1…N: the ranks of their labels from 1
    labels : (N,) int64, as they were given
    areas : (N,) float64 (px)
    centroids : (N, 2) float64, (y, x) (px)
    diameters : (N,) float64, of discs of these areas (px)
    """

    number: int
    image: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    centroids: np.ndarray
    diameters: np.ndarray


class _Links:
    """From which object of an earlier frame each one comes."""

    def __init__(self) -> None:
        self.source: dict[_Node, _Node] = {}
        self.targets: dict[_Node, list[_Node]] = {}

    def add(self, source: _Node, target: _Node) -> None:
        self.source[target] = source
        self.targets.setdefault(source, []).append(target)

    def cut(self, target: _Node) -> None:
        self.targets[self.source.pop(target)].remove(target)


def track(
    frames: Iterable[np.ndarray], settings: TrackSettings | None = None, *, first_frame: int = 0
) -> Tracking:
    """Find the tracks of objects that were segmented frame by frame.

    Parameters
    ----------
    frames : (Y, X) label images of one shape, integers, 0 = background, of consecutive frames;
        taken one by one, and let go after `max_gap` others
    settings : None for the defaults
    first_frame : number of the first one

    Returns
    -------
    Tracking, whose `relabel` gives each image the labels of the tracks

    Raises
    ------
    ShapeError : frames are not (Y, X) or differ in shape
    LabelError : labels are negative or not whole numbers, or make more tracks than the 16 bits
        of the Cell Tracking Challenge can number

    Notes
    -----
    Links maximize the summed affinity, IoU + 1 - distance / `max_distance`, one to one.

    The challenge's measures count the link over a gap as one too many where the reference goes
    on through it, even if it joins the same cell; `max_gap` = 0 scores higher where objects are
    missed, at the price of broken tracks.

    Examples
    --------
    >>> frames = [np.array([[7, 7, 0, 0]]), np.array([[0, 4, 4, 0]])]
    >>> tracking = track(frames)
    >>> tracking.lineage.tracks
    (Track(label=1, start=0, end=1, parent=0),)
    >>> tracking.relabel(1, frames[1])
    array([[0, 1, 1, 0]], dtype=uint16)
    """
    settings = settings or TrackSettings()
    links = _Links()
    labels: list[np.ndarray] = []
    recent: deque[_Frame] = deque(maxlen=settings.max_gap + 1)
    for number, label_image in enumerate(frames, start=first_frame):
        frame = _measure(number, label_image, recent[0].image.shape if recent else None)
        for earlier in recent:
            _link(earlier, frame, links, settings)
        for earlier in recent:
            _link_daughters(earlier, frame, links, settings)
        recent.appendleft(frame)
        labels.append(frame.labels)
    _cut_slips(links, first_frame + len(labels) - 1, settings.min_daughter_frames)
    return _build_tracking(labels, links, first_frame)


def _measure(number: int, label_image: np.ndarray, shape: tuple[int, ...] | None) -> _Frame:
    if label_image.ndim != 2 or shape not in (None, label_image.shape):
        raise ShapeError(
            f"frame {number} has shape {label_image.shape}; need (Y, X), the same for "
            f"all frames{'' if shape is None else f', here {shape}'}; track stacks slice by slice"
        )
    if label_image.dtype.kind not in "ui" or label_image.min(initial=0) < 0:
        raise LabelError(
            f"frame {number} is of type {label_image.dtype}, from "
            f"{label_image.min(initial=0)} up; need whole numbers from 0 up, one for each object"
        )
    with_background = np.concatenate([np.zeros(1, label_image.dtype), label_image.ravel()])
    found, ranks = np.unique(with_background, return_inverse=True)
    image = ranks[1:].reshape(label_image.shape)
    areas = np.bincount(ranks[1:], minlength=found.size)[1:].astype(float)
    y, x = np.nonzero(image)
    of_pixel = image[y, x]
    sums = [np.bincount(of_pixel, weights=at, minlength=found.size)[1:] for at in (y, x)]
    return _Frame(
        number=number,
        image=image,
        labels=found[1:].astype(np.int64),
        areas=areas,
        centroids=np.stack(sums, axis=1) / areas[:, None],
        diameters=np.sqrt(4 / np.pi * areas),
    )


def _link(earlier: _Frame, frame: _Frame, links: _Links, settings: TrackSettings) -> None:
    """Link objects that have no target to those that have no source."""
    sources = [i for i in range(earlier.areas.size) if (earlier.number, i) not in links.targets]
    targets = [j for j in range(frame.areas.size) if (frame.number, j) not in links.source]
    if not sources or not targets:
        return
    distances = _near(earlier, frame, np.array(sources), np.array(targets), settings.max_distance)
    if not distances.nnz:
        return
    rows, columns = distances.coords
    i, j = np.array(sources)[rows], np.array(targets)[columns]
    shared = _shared_pixels(earlier, frame, i, j)
    iou = shared / (earlier.areas[i] + frame.areas[j] - shared)
    gain = iou + 1 - distances.data / settings.max_distance
    for row, column in _assign(coo_array((gain, distances.coords), shape=distances.shape)):
        links.add((earlier.number, sources[row]), (frame.number, targets[column]))


def _near(
    earlier: _Frame, frame: _Frame, sources: np.ndarray, targets: np.ndarray, max_distance: float
) -> coo_array:
    """Return the distances of less than `max_distance`, both in mean diameters of the pair."""
    largest = max(earlier.diameters[sources].max(), frame.diameters[targets].max())
    found = KDTree(earlier.centroids[sources]).sparse_distance_matrix(
        KDTree(frame.centroids[targets]), max_distance * largest, output_type="ndarray"
    )
    diameter = (earlier.diameters[sources[found["i"]]] + frame.diameters[targets[found["j"]]]) / 2
    distance = found["v"] / diameter
    near = distance < max_distance
    ends = (found["i"][near], found["j"][near])
    return coo_array((distance[near], ends), shape=(sources.size, targets.size))


def _shared_pixels(earlier: _Frame, frame: _Frame, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return the (K,) int64 numbers of pixels that object i shares with object j, pair by pair."""
    table = contingency(earlier.image, frame.image)
    num_columns = frame.areas.size + 1
    keys = table.truth * num_columns + table.predicted
    wanted = (i + 1) * num_columns + j + 1
    at = np.searchsorted(keys, wanted).clip(max=keys.size - 1)
    return np.where(keys[at] == wanted, table.num_pixels[at], 0)


def _assign(affinity: coo_array) -> list[tuple[int, int]]:
    """Return the pairs of greatest summed affinity, each group of competitors by itself."""
    num_rows, num_columns = affinity.shape
    rows, columns = affinity.coords
    size = num_rows + num_columns
    graph = coo_array((np.ones(rows.size), (rows, columns + num_rows)), shape=(size, size))
    group = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    pairs: list[tuple[int, int]] = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        own_rows, at_row = np.unique(rows[members], return_inverse=True)
        own_columns, at_column = np.unique(columns[members], return_inverse=True)
        gain = np.zeros((own_rows.size, own_columns.size))
        gain[at_row, at_column] = affinity.data[members]
        best = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
        pairs += [(int(own_rows[a]), int(own_columns[b])) for a, b in best if gain[a, b] > 0]
    return pairs


def _link_daughters(parents: _Frame, frame: _Frame, links: _Links, settings: TrackSettings) -> None:
    """Link new objects to the parent that they share with the object which continues it."""
    if all((frame.number, b) in links.source for b in range(frame.areas.size)):
        return
    table = contingency(parents.image, frame.image)
    both = (table.truth > 0) & (table.predicted > 0)
    i, j = table.truth[both] - 1, table.predicted[both] - 1
    overlap = table.num_pixels[both] / frame.areas[j]
    part = {(a, b): share for a, b, share in zip(i.tolist(), j.tolist(), overlap, strict=True)}
    for a, b in sorted(part, key=lambda pair: (-part[pair], pair)):
        targets = links.targets.get((parents.number, a), [])
        if (frame.number, b) in links.source or [at for at, _ in targets] != [frame.number]:
            continue  # not new, or no parent of a single object of this frame
        sister = targets[0][1]
        small, large = sorted(frame.areas[[b, sister]])
        if (
            min(part[a, b], part.get((a, sister), 0)) >= settings.min_daughter_overlap
            and small >= settings.min_sister_ratio * large
            and large < parents.areas[a]
        ):
            links.add((parents.number, a), (frame.number, b))


def _cut_slips(links: _Links, last: int, min_frames: int) -> None:
    """Cut daughters that are lost too soon, so that the other one continues the parent."""
    for source in sorted(links.targets, reverse=True):  # later divisions are settled first
        daughters = links.targets[source]
        if len(daughters) == 2:
            shortest, other = sorted(daughters, key=lambda node: _lifetime(links, node, last))
            lifetime = _lifetime(links, shortest, last)
            if lifetime < min_frames and lifetime < _lifetime(links, other, last):
                links.cut(shortest)


def _lifetime(links: _Links, node: _Node, last: int) -> float:
    """Return for how many frames an object is seen; without end if it divides or is seen last."""
    start, end = node[0], node
    while len(links.targets.get(end, [])) == 1:
        end = links.targets[end][0]
    ongoing = end[0] == last or links.targets.get(end)
    return np.inf if ongoing else end[0] - start + 1


def _build_tracking(labels: list[np.ndarray], links: _Links, first_frame: int) -> Tracking:
    tracks: list[Track] = []
    of_node: dict[_Node, int] = {}
    for frame, found in enumerate(labels, start=first_frame):
        for node in ((frame, i) for i in range(found.size)):
            source = links.source.get(node)
            if source and source[0] == frame - 1 and len(links.targets[source]) == 1:
                of_node[node] = of_node[source]
                tracks[of_node[node] - 1] = tracks[of_node[node] - 1]._replace(end=frame)
            else:
                of_node[node] = len(tracks) + 1
                tracks.append(Track(of_node[node], frame, frame, of_node[source] if source else 0))
    if len(tracks) > LARGEST_TRACK:
        raise LabelError(
            f"{len(labels)} frames make {len(tracks)} tracks; at most {LARGEST_TRACK} have a "
            "number in the files; remove small objects or track fewer frames"
        )
    return Tracking(
        lineage=Lineage(tuple(tracks)),
        labels=tuple(labels),
        tracks=tuple(
            np.array([of_node[frame, i] for i in range(found.size)], np.uint16)
            for frame, found in enumerate(labels, start=first_frame)
        ),
        first_frame=first_frame,
    )

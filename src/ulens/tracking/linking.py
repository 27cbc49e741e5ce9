"""Which objects of consecutive frames are the same, and which are daughters of one."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ulens.errors import LabelError, SettingError, ShapeError
from ulens.labels.overlap import contingency

Node = tuple[int, int]  # an object: its frame and its place among the labels of that


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
class Frame:
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


class Links:
    """From which object of an earlier frame each one comes."""

    def __init__(self) -> None:
        self.source: dict[Node, Node] = {}
        self.targets: dict[Node, list[Node]] = {}

    def add(self, source: Node, target: Node) -> None:
        """Link two objects."""
        self.source[target] = source
        self.targets.setdefault(source, []).append(target)

    def cut(self, target: Node) -> None:
        """Take away the link that ends at an object."""
        self.targets[self.source.pop(target)].remove(target)


def measure_objects(number: int, label_image: np.ndarray, shape: tuple[int, ...] | None) -> Frame:
    """Return the objects of a (Y, X) label image.

    Raises
    ------
    ShapeError : the image is not (Y, X), or not of the shape of those before
    LabelError : labels are negative or not whole numbers
    """
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
    return Frame(
        number=number,
        image=image,
        labels=found[1:].astype(np.int64),
        areas=areas,
        centroids=np.stack(sums, axis=1) / areas[:, None],
        diameters=np.sqrt(4 / np.pi * areas),
    )


def link(earlier: Frame, frame: Frame, links: Links, settings: TrackSettings) -> None:
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
    earlier: Frame, frame: Frame, sources: np.ndarray, targets: np.ndarray, max_distance: float
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


def _shared_pixels(earlier: Frame, frame: Frame, i: np.ndarray, j: np.ndarray) -> np.ndarray:
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


def link_daughters(parents: Frame, frame: Frame, links: Links, settings: TrackSettings) -> None:
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


def cut_slips(links: Links, last: int, min_frames: int) -> None:
    """Cut daughters that are lost too soon, so that the other one continues the parent."""
    for source in sorted(links.targets, reverse=True):  # later divisions are settled first
        daughters = links.targets[source]
        if len(daughters) == 2:
            shortest, other = sorted(daughters, key=lambda node: _lifetime(links, node, last))
            lifetime = _lifetime(links, shortest, last)
            if lifetime < min_frames and lifetime < _lifetime(links, other, last):
                links.cut(shortest)


def _lifetime(links: Links, node: Node, last: int) -> float:
    """Return for how many frames an object is seen; without end if it divides or is seen last."""
    start, end = node[0], node
    while len(links.targets.get(end, [])) == 1:
        end = links.targets[end][0]
    ongoing = end[0] == last or links.targets.get(end)
    return np.inf if ongoing else end[0] - start + 1

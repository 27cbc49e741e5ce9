"""Objects that a segmentation missed in a few frames, drawn from the frames before and after."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ulens.labels.regions import largest_region
from ulens.tracking.lineage import Track
from ulens.tracking.tracks import Tracking

# of the outline that is expected, this part has to be free for the object to be there
_MIN_FREE = 0.5


class _Gap(NamedTuple):
    """A track that ends, and the one that goes on from it some frames later."""

    before: Track
    after: Track

    @property
    def frames(self) -> range:
        return range(self.before.end + 1, self.after.start)


def fill_gaps(read: Callable[[int], np.ndarray], tracking: Tracking) -> dict[int, np.ndarray]:
    """Draw objects where they were missed.

    Parameters
    ----------
    read : returns the (Y, X) label image of a frame by its number, as it was given to `track`
    tracking : of these

    Returns
    -------
    for each frame that has more objects now: (Y, X) labels, those that were there and new ones
    above them. Track all frames again with these.

    Notes
    -----
    The outline lies between those before and after, by interpolation of signed distances at a
    centroid that moves evenly. The object takes what is free of it, and of a neighbour with which
    it was merged what the neighbour's own outline, found likewise, does not hold. Where less than
    half of the outline is left, the gap stays.

    Source: Raya and Udupa, shape-based interpolation of multidimensional objects, 1990.
    """
    filled: dict[int, np.ndarray] = {}
    for gap in _find_gaps(tracking):
        for frame in gap.frames:
            labels = filled[frame] if frame in filled else read(frame)
            drawn = _draw(gap, frame, labels, read, tracking)
            if drawn is not None:
                filled[frame] = drawn
    return filled


def _find_gaps(tracking: Tracking) -> Iterator[_Gap]:
    tracks = {track.label: track for track in tracking.lineage.tracks}
    for after in tracks.values():
        before = tracks.get(after.parent)
        if before is not None and after.start > before.end + 1:
            yield _Gap(before, after)


def _draw(
    gap: _Gap,
    frame: int,
    labels: np.ndarray,
    read: Callable[[int], np.ndarray],
    tracking: Tracking,
) -> np.ndarray | None:
    """Return the labels of a frame with the object that is missing there, or None."""
    ends = (gap.before.end, gap.after.start)
    first, last = (read(end) for end in ends)
    share = (frame - ends[0]) / (ends[1] - ends[0])
    expected = _between(
        first == _label(tracking, ends[0], gap.before.label),
        last == _label(tracking, ends[1], gap.after.label),
        share,
    )
    free = expected & (labels == 0)
    for label in np.unique(labels[expected & ~free]).tolist():
        masks = _masks_of(tracking, frame, label, ends, (first, last))
        if masks is not None:
            free |= expected & (labels == label) & ~_between(*masks, share)
    free = largest_region(free)
    if free.sum() < max(1, _MIN_FREE * expected.sum()):
        return None
    new = int(labels.max()) + 1
    return np.where(free, new, labels)


def _masks_of(
    tracking: Tracking,
    frame: int,
    label: int,
    ends: tuple[int, int],
    images: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where the object of a label was and will be, if it is seen on both sides."""
    index = frame - tracking.first_frame
    own = tracking.tracks[index][tracking.labels[index] == label]
    if not own.size:
        return None  # drawn a moment ago
    found = [_label(tracking, end, int(own[0])) for end in ends]
    if None in found:
        return None
    return images[0] == found[0], images[1] == found[1]


def _label(tracking: Tracking, frame: int, track: int) -> int | None:
    index = frame - tracking.first_frame
    found = tracking.labels[index][tracking.tracks[index] == track]
    return int(found[0]) if found.size else None


def _between(first: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
    """Return the (Y, X) mask that lies at `share` of the way from one to the other."""
    points = [np.argwhere(mask) for mask in (first, last)]
    centroids = [each.mean(axis=0) for each in points]
    aim = (1 - share) * centroids[0] + share * centroids[1]
    distances = []
    for each, centroid in zip(points, centroids, strict=True):
        moved = each + np.rint(aim - centroid).astype(int)
        inside = ((moved >= 0) & (moved < first.shape)).all(axis=1)
        mask = np.zeros(first.shape, bool)
        mask[tuple(moved[inside].T)] = True
        distances.append(_signed_distance(mask))
    return (1 - share) * distances[0] + share * distances[1] > 0


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return how far inside each pixel is; negative outside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask) if mask.any() else np.inf
    return inside - outside

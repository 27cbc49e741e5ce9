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

from ulens.errors import LabelError
from ulens.tracking.lineage import LARGEST_TRACK, Lineage, Track
from ulens.tracking.linking import (
    Frame,
    Links,
    Node,
    TrackSettings,
    cut_slips,
    link,
    link_daughters,
    measure_objects,
)


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
    links = Links()
    labels: list[np.ndarray] = []
    recent: deque[Frame] = deque(maxlen=settings.max_gap + 1)
    for number, label_image in enumerate(frames, start=first_frame):
        frame = measure_objects(number, label_image, recent[0].image.shape if recent else None)
        for earlier in recent:
            link(earlier, frame, links, settings)
        for earlier in recent:
            link_daughters(earlier, frame, links, settings)
        recent.appendleft(frame)
        labels.append(frame.labels)
    cut_slips(links, first_frame + len(labels) - 1, settings.min_daughter_frames)
    return _build_tracking(labels, links, first_frame)


def _build_tracking(labels: list[np.ndarray], links: Links, first_frame: int) -> Tracking:
    tracks: list[Track] = []
    of_node: dict[Node, int] = {}
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

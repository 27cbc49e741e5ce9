"""The page that shows the tracks of a sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from scipy.ndimage import maximum_filter, minimum_filter

from ulens.report.charts import figure_png
from ulens.report.lineage_chart import divisions, join_gaps, lineage_chart
from ulens.report.overlays import color_labels, stretch_contrast
from ulens.report.page import Picture, Section, write_report
from ulens.tracks import Tracking

_MOST_SHOWN = 12
_LARGEST_SIDE = 560  # pixels of a picture; twelve of them still make a light page


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A frame of the contact sheet.

    Parameters
    ----------
    number : of the frame
    image : (C, Y, X), any real numeric dtype
    labels : (Y, X) uint16, the tracks
    """

    number: int
    image: np.ndarray
    labels: np.ndarray


def choose_frames(num_frames: int) -> set[int]:
    """Return the frames to show, evenly spread from the first to the last, counted from 0.

    Examples
    --------
    >>> sorted(choose_frames(23))
    [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
    """
    num_shown = min(_MOST_SHOWN, num_frames)
    return {int(i) for i in np.linspace(0, num_frames - 1, num_shown).round()}


def write_tracking_report(
    path: Path, *, out: Path, tracking: Tracking, shown: Sequence[Shown], field: str
) -> None:
    """Write the page: counts, frames with outlines, the tracks over time.

    Parameters
    ----------
    path : the HTML file
    out : the folder of the result
    tracking : of all frames
    shown : frames for the contact sheet
    field : width of the border and name of the data set whose field of interest was applied, or
        empty
    """
    num_objects = [labels.size for labels in tracking.labels]
    summary = [
        ("tracks", str(len(tracking.lineage.tracks))),
        ("divisions", str(len(divisions(tracking.lineage)))),
        ("frames", str(len(num_objects))),
        ("objects per frame", _span(num_objects)),
    ]
    chart = lineage_chart(tracking.lineage, num_objects, first_frame=tracking.first_frame)
    caption = (
        "a row for each object, named by its first track, in the colour of its outlines; dot: a "
        "division; dotted: a gap in which the object was not found, after which a track begins anew"
    )
    first = join_gaps(tracking.lineage)
    objects = np.array([first.get(i, 0) for i in range(max(first, default=0) + 1)])
    sections = [
        Section(
            title="The sequence",
            text="Every object keeps its colour through all frames; daughters have their own. "
            "Click a frame to enlarge it.",
            images=[_picture(each, objects) for each in shown],
        ),
        Section(title="The tracks", images=[Picture(image=figure_png(chart), caption=caption)]),
        Section(title="The files", text=_describe_files(out, field)),
    ]
    write_report(path, title=f"Tracks in {out.absolute().name}", summary=summary, sections=sections)


def _span(num_objects: Sequence[int]) -> str:
    low, high = min(num_objects), max(num_objects)
    return str(low) if low == high else f"{low} – {high}"


def _picture(shown: Shown, objects: np.ndarray) -> Picture:
    num_objects = np.unique(shown.labels[shown.labels > 0]).size
    plural = "" if num_objects == 1 else "s"
    return Picture(
        image=outline_objects(shown.image, objects[shown.labels]),
        caption=f"frame {shown.number}: {num_objects} object{plural}",
    )


def outline_objects(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw outlines that remain visible where many frames share a screen.

    Parameters
    ----------
    image : (C, Y, X), any real numeric dtype
    labels : (Y, X) integers

    Returns
    -------
    (Y, X, 3) uint8 RGB, shrunk where it is larger than a part of the screen needs
    """
    height, width = labels.shape
    shrink = min(1.0, _LARGEST_SIDE / max(height, width))
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    grey = PillowImage.fromarray(stretch_contrast(image))
    picture = np.array(grey.resize(size[::-1], PillowImage.Resampling.BOX)) * 0.75
    rows = (np.arange(size[0]) + 0.5) * height / size[0]
    columns = (np.arange(size[1]) + 0.5) * width / size[1]
    small = labels[np.ix_(rows.astype(int), columns.astype(int))]
    span = 2 * max(1, round(max(size) / 250)) + 1
    is_rim = (small > 0) & (minimum_filter(small, span) != maximum_filter(small, span))
    colors = color_labels(small)
    picture[small > 0] += 0.12 * colors[small > 0]
    picture[is_rim] = colors[is_rim]
    return picture.clip(0, 255).astype(np.uint8)


def _describe_files(out: Path, field: str) -> str:
    text = (
        f"The folder {out.absolute().name} is a result of the Cell Tracking Challenge: a label "
        "image mask….tif for every frame, in which an object has the number of its track, and "
        "res_track.txt with number, first frame, last frame and parent of every track. The "
        "parent is the track it divided from, or the same object before a gap."
    )
    if field:
        text += (
            f"\n\nObjects outside the field of interest, wholly within its border ({field}), were "
            "left out, as the challenge does in its references."
        )
    return text

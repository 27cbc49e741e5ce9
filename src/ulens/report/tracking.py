"""The page that shows the tracks of a sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.report.charts import figure_png
from ulens.report.lineage_chart import lineage_chart
from ulens.report.page import Picture, Section, write_report
from ulens.report.track_pictures import (
    color_tracks,
    draw_tracks,
    encode_animation,
    encode_still,
    find_sisters,
)
from ulens.tracking.lineage import Lineage, divisions
from ulens.tracking.tracks import Tracking

_MOST_SHOWN = 96  # in the animation; more would make a heavy page
_MOST_STILL = 12
_JOINED_PICTURES = 6  # of the animation, in which a line joins daughters


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A frame of the page.

    Parameters
    ----------
    number : of the frame
    picture : (Y, X, 3) uint8 RGB, of `fit_image`
    labels : (Y, X) uint16, the tracks, resized as the picture
    """

    number: int
    picture: np.ndarray
    labels: np.ndarray


def choose_frames(num_frames: int, most: int = _MOST_SHOWN) -> list[int]:
    """Return the frames to show, evenly spread from the first to the last, counted from 0.

    Examples
    --------
    >>> choose_frames(23, most=12)
    [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
    """
    return [int(i) for i in np.linspace(0, num_frames - 1, min(most, num_frames)).round()]


def write_tracking_report(
    path: Path,
    *,
    out: Path,
    tracking: Tracking,
    shown: Sequence[Shown],
    field: str,
    num_drawn: int,
) -> None:
    """Write the page: counts, a film and frames with outlines, the tracks over time.

    Parameters
    ----------
    path : the HTML file
    out : the folder of the result
    tracking : of all frames
    shown : the frames that `choose_frames` names, in order
    field : width of the border and name of the data set whose field of interest was applied, or
        empty
    num_drawn : objects that were missed in a frame and drawn by those before and after
    """
    lineage = tracking.lineage
    num_objects = [labels.size for labels in tracking.labels]
    summary = [
        ("tracks", str(len(lineage.tracks))),
        ("divisions", str(len(divisions(lineage)))),
        ("frames", str(len(num_objects))),
        ("objects per frame", _span(num_objects)),
    ]
    film = [_show_film(shown, lineage)] if len(shown) > 1 else []
    sections = [
        *film,
        _show_frames(shown, lineage, num_objects, tracking.first_frame),
        Section(title="The tracks", images=[_chart(tracking, num_objects)]),
        Section(title="The files", text=_describe_files(out, field, num_drawn)),
    ]
    write_report(path, title=f"Tracks in {out.absolute().name}", summary=summary, sections=sections)


def _show_film(shown: Sequence[Shown], lineage: Lineage) -> Section:
    colors = color_tracks(lineage)
    before = shown[0].number - 1  # the frame before the last few pictures
    drawn: list[np.ndarray] = []
    for i, each in enumerate(shown):
        if i >= _JOINED_PICTURES:
            before = shown[i - _JOINED_PICTURES].number
        sisters = find_sisters(lineage, each.number, num_frames=each.number - before)
        drawn.append(draw_tracks(each.picture, each.labels, colors, sisters))
    text = (
        "Every object keeps its colour through all frames. Daughters have their own; a white line "
        "joins them for a moment. The line at the lower edge is the time."
    )
    numbers = f"frames {shown[0].number} to {shown[-1].number}"
    if shown[-1].number - shown[0].number >= len(shown):
        numbers = f"{len(shown)} frames from {shown[0].number} to {shown[-1].number}"
    film = Picture(image=encode_animation(drawn), caption=numbers)
    return Section(title="The film", text=text, images=[film])


def _show_frames(
    shown: Sequence[Shown], lineage: Lineage, num_objects: Sequence[int], first_frame: int
) -> Section:
    colors = color_tracks(lineage)
    before = first_frame - 1
    pictures: list[Picture] = []
    for each in (shown[i] for i in choose_frames(len(shown), _MOST_STILL)):
        sisters = find_sisters(lineage, each.number, num_frames=each.number - before)
        drawn = draw_tracks(each.picture, each.labels, colors, sisters)
        number = num_objects[each.number - first_frame]
        caption = f"frame {each.number}: {number} object{'' if number == 1 else 's'}"
        pictures.append(Picture(image=encode_still(drawn), caption=caption))
        before = each.number
    text = (
        "A white line joins the daughters of a division since the picture before. Click a picture "
        "to enlarge it."
    )
    return Section(title="The frames", text=text, images=pictures)


def _chart(tracking: Tracking, num_objects: Sequence[int]) -> Picture:
    chart = lineage_chart(tracking.lineage, num_objects, first_frame=tracking.first_frame)
    caption = (
        "a row for each object, named by its first track, in the colour of its outlines; dot: a "
        "division; dotted: a gap in which the object was not found; after it a new track begins"
    )
    return Picture(image=figure_png(chart), caption=caption)


def _span(num_objects: Sequence[int]) -> str:
    low, high = min(num_objects), max(num_objects)
    return str(low) if low == high else f"{low} – {high}"


def _describe_files(out: Path, field: str, num_drawn: int) -> str:
    text = (
        f"The folder {out.absolute().name} is a result of the Cell Tracking Challenge: a label "
        "image mask….tif for every frame, in which an object has the number of its track, and "
        "res_track.txt with number, first frame, last frame and parent of every track. The "
        "parent is the track it divided from, or the same object before a gap."
    )
    if num_drawn:
        text += (
            f"\n\n{num_drawn} outline{'' if num_drawn == 1 else 's'} of objects that were missed "
            "in up to three frames lie between those before and after: interpolated, not seen."
        )
    if field:
        text += (
            f"\n\nObjects outside the field of interest, wholly within its border ({field}), were "
            "left out, as the challenge does in its references."
        )
    return text

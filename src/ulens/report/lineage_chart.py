"""Charts of tracks: each a line over its frames, daughters branching off their parents."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ulens.report.charts import INK, LINES, calm
from ulens.report.overlays import color_labels
from ulens.tracking.lineage import Lineage, Track, divisions, join_gaps

_MOST_NAMED = 70  # tracks; the numbers of more would overlap


def order_rows(lineage: Lineage) -> list[int]:
    """Return the first tracks of all objects from the top row down, parents between children.

    Examples
    --------
    >>> order_rows(Lineage([(1, 0, 4, 0), (2, 0, 9, 0), (3, 5, 9, 1), (4, 5, 7, 1)]))
    [3, 1, 4, 2]
    """
    first = join_gaps(lineage)
    children: dict[int, list[int]] = {}
    for each in lineage.tracks:
        if first[each.label] == each.label:
            children.setdefault(first.get(each.parent, 0), []).append(each.label)
    rows: list[int] = []
    # not by recursion: lineages may be thousands of divisions deep
    waiting = [(label, False) for label in reversed(children.get(0, []))]
    while waiting:
        label, is_due = waiting.pop()
        own = [] if is_due else children.get(label, [])
        if not own:
            rows.append(label)
            continue
        half = len(own) // 2
        below = [(child, False) for child in reversed(own[half:])]
        above = [(child, False) for child in reversed(own[:half])]
        waiting += [*below, (label, True), *above]
    return rows


def lineage_chart(lineage: Lineage, num_objects: Sequence[int], *, first_frame: int = 0) -> Figure:
    """Draw the tracks over the frames, and below them how many objects each frame has.

    Parameters
    ----------
    lineage : the tracks; each has the colour that `color_labels` gives the label that
        `join_gaps` names
    num_objects : of every frame
    first_frame : number of the first

    Returns
    -------
    a figure of a row for each object; dots are divisions, dotted lines gaps in which it was not
    seen
    """
    num_rows = len(set(join_gaps(lineage).values()))
    height = float(np.clip(0.2 * num_rows, 2, 16))
    figure = Figure(figsize=(9, height + 1.6), layout="constrained")
    rows, counts = figure.subplots(2, sharex=True, gridspec_kw={"height_ratios": (height, 1.2)})
    _draw_tracks(rows, lineage, min(3.0, 40 * height / max(1, num_rows)))
    frames = np.arange(first_frame, first_frame + len(num_objects))
    counts.fill_between(frames, num_objects, step="mid", color=LINES[0], alpha=0.25, linewidth=0)
    counts.step(frames, num_objects, where="mid", color=LINES[0], linewidth=1.4)
    counts.set_ylim(0, 1.15 * max(1, max(num_objects, default=1)))
    counts.set_title("objects", loc="left", color=INK, fontsize=10)
    counts.set_xlabel("frame", color=INK)
    counts.set_xlim(first_frame - 0.8, first_frame + len(num_objects) - 0.2)
    counts.xaxis.get_major_locator().set_params(integer=True)
    for panel in (rows, counts):
        calm(panel, axis="x", alpha=0.15)
    rows.spines["left"].set_visible(False)
    return figure


def _draw_tracks(panel: Axes, lineage: Lineage, width: float) -> None:
    order = order_rows(lineage)
    place = {label: row for row, label in enumerate(order)}
    row_of = {label: place[first] for label, first in join_gaps(lineage).items()}
    track_of = {each.label: each for each in lineage.tracks}
    # a little darker than on images, so that they can be seen on white too
    colors = 0.8 * color_labels(np.array([order or [0]]))[0] / 255
    dividing = set(divisions(lineage))
    for each in lineage.tracks:
        row = row_of[each.label]
        ends = (each.start - 0.4, each.end + 0.4)
        panel.plot(ends, (row, row), color=colors[row], linewidth=width, solid_capstyle="round")
        if each.parent:
            parent = track_of[each.parent]
            _draw_link(panel, parent, each, row_of, colors[row], each.parent in dividing)
    panel.set_ylim(len(order) - 0.4, -0.6)
    panel.set_title("tracks", loc="left", color=INK, fontsize=10)
    named = order if len(order) <= _MOST_NAMED else []
    panel.set_yticks(range(len(named)), [str(label) for label in named])
    panel.tick_params(axis="y", length=0)
    panel.yaxis.set_tick_params(labelsize=7)


def _draw_link(
    panel: Axes,
    parent: Track,
    child: Track,
    row_of: dict[int, int],
    color: np.ndarray,
    divides: bool,
) -> None:
    x, y = parent.end + 0.4, row_of[parent.label]
    style = "-" if divides else ":"
    panel.plot((x, child.start - 0.4), (y, row_of[child.label]), style, color=color, linewidth=1)
    if divides:
        panel.plot(x, y, "o", color=INK, markersize=3.5, zorder=3)

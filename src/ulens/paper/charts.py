"""Charts that compare networks: where they err, and what their predictions cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ulens.report.charts import INK, LINES, calm


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A network in the chart of the trade-off.

    Parameters
    ----------
    title : below it
    boundary, context : shares of wrong pixels near borders and elsewhere, in [0, 1]
    in_series : whether a line joins it with its neighbours, as for windows of growing size
    """

    title: str
    boundary: float
    context: float
    in_series: bool = False


def trade_off_chart(marks: Sequence[Mark]) -> Figure:
    """Draw localisation against context: errors near borders and elsewhere, network by network.

    Parameters
    ----------
    marks : those of a series first, in its order

    Returns
    -------
    a figure of two panels, each with the networks from left to right and its own scale

    Examples
    --------
    >>> len(trade_off_chart([Mark(title="U-Net", boundary=0.1, context=0.01)]).axes)
    2
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_errors(left, marks, [each.boundary for each in marks], LINES[1])
    _draw_errors(right, marks, [each.context for each in marks], LINES[0])
    left.set_title("wrong near borders (localisation)", loc="left", color=INK, fontsize=10)
    right.set_title("wrong elsewhere (context)", loc="left", color=INK, fontsize=10)
    return figure


def _draw_errors(panel: Axes, marks: Sequence[Mark], values: Sequence[float], color: str) -> None:
    percent = [100 * value for value in values]
    series = [place for place, each in enumerate(marks) if each.in_series]
    panel.plot(series, [percent[k] for k in series], "-", color=color, linewidth=1.5)
    for place, each in enumerate(marks):
        face = color if each.in_series else "none"
        panel.plot(place, percent[place], "o", color=color, markersize=7, markerfacecolor=face)
        panel.annotate(
            f"{percent[place]:.2f}",
            (place, percent[place]),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=9,
        )
    panel.set_xticks(range(len(marks)), [each.title for each in marks], rotation=30, ha="right")
    panel.set_xlim(-0.6, len(marks) - 0.4)
    panel.set_ylim(0, 1.25 * max([*percent, 1e-3]))
    panel.set_ylabel("% of these pixels", color=INK, fontsize=9)
    calm(panel)


def seconds_chart(seconds: dict[str, float]) -> Figure:
    """Draw how long each network needs for an image, on a logarithmic scale.

    Parameters
    ----------
    seconds : by title, from top to bottom

    Examples
    --------
    >>> len(seconds_chart({"U-Net": 0.5, "patch by patch": 90.0}).axes)
    1
    """
    figure = Figure(figsize=(9, 0.8 + 0.42 * len(seconds)), layout="constrained")
    panel = figure.subplots()
    places = range(len(seconds))
    panel.barh(places, list(seconds.values()), color=LINES[0], height=0.6)
    for place, value in zip(places, seconds.values(), strict=True):
        panel.annotate(
            f"{value:.3g} s",
            (value, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )
    panel.set_yticks(places, list(seconds))
    panel.invert_yaxis()
    panel.set_xscale("log")
    panel.set_xlim(min(seconds.values()) / 3, 4 * max(seconds.values()))
    panel.set_title("seconds for an image", loc="left", color=INK, fontsize=10)
    calm(panel)
    panel.grid(visible=False, axis="y")
    return figure

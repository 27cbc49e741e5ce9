"""Charts of a training run."""

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Readable on white and on black: the page follows the reader's colour scheme, a PNG cannot.
INK = "#808790"
LINES = ("#3b82f6", "#e0663f", "#17a589", "#a56cc1")


def figure_png(figure: Figure) -> bytes:
    """Draw a figure as a PNG with a transparent ground.

    Examples
    --------
    >>> figure_png(Figure(figsize=(1, 1)))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, transparent=True, metadata={"Software": None})
    return buffer.getvalue()


def loss_chart(log: Sequence[dict[str, Any]]) -> Figure:
    """Draw how the loss fell and, where it was measured, how the validation score rose.

    Parameters
    ----------
    log : one row per training step with ``step``, ``seconds`` (of training so far) and ``loss``;
        rows with a validation carry ``score``, a dict of values by name

    Returns
    -------
    a figure with the loss, and below it the scores if there are any, over minutes

    Examples
    --------
    >>> rows = [{"step": 1, "seconds": 2.0, "loss": 0.7, "learning_rate": 1e-3}]
    >>> len(loss_chart(rows).axes)
    1
    """
    scored = [row for row in log if row.get("score")]
    figure = Figure(figsize=(8, 5 if scored else 3), layout="constrained")
    panels = figure.subplots(2 if scored else 1, sharex=True, squeeze=False)[:, 0]
    _draw_loss(panels[0], log)
    if scored:
        _draw_scores(panels[1], scored)
    panels[-1].set_xlabel("minutes of training", color=INK)
    for panel in panels:
        calm(panel)
    return figure


def _draw_loss(panel: Axes, log: Sequence[dict[str, Any]]) -> None:
    minutes = np.array([row["seconds"] / 60 for row in log])
    loss = np.array([row["loss"] for row in log], dtype=float)
    panel.plot(minutes, loss, color=LINES[0], alpha=0.25, linewidth=0.8)
    span = max(1, len(loss) // 40)
    if len(loss) > span:
        mean = np.convolve(loss, np.ones(span) / span, mode="valid")
        start = (span - 1) // 2
        panel.plot(minutes[start : start + len(mean)], mean, color=LINES[0], linewidth=1.8)
    finite = loss[np.isfinite(loss)]
    if finite.size:
        # The first steps of a fresh network would flatten everything after them.
        panel.set_ylim(0, 1.15 * max(np.percentile(finite, 99), 1e-6))
    panel.set_title("loss", loc="left", color=INK, fontsize=10)


def _draw_scores(panel: Axes, scored: Sequence[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for row in scored for name in row["score"])
    for name, color in zip(names, LINES * len(names), strict=False):
        rows = [row for row in scored if name in row["score"]]
        minutes = [row["seconds"] / 60 for row in rows]
        values = [row["score"][name] for row in rows]
        label = f"{name}  {values[-1]:.3f}"
        panel.plot(minutes, values, "o-", color=color, markersize=3.5, label=label)
    panel.set_title("score on held-out images", loc="left", color=INK, fontsize=10)
    panel.legend(frameon=False, labelcolor=INK, fontsize=9)


def calm(panel: Axes, *, axis: Literal["x", "y"] = "y", alpha: float = 0.2) -> None:
    """Leave of a panel's frame and grid what the eye needs: the lines across one axis."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(INK)
    panel.tick_params(colors=INK, labelsize=9)
    panel.grid(axis=axis, color=INK, alpha=alpha, linewidth=0.6)

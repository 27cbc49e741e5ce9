"""The page and the table of a comparison."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ulens.annotated.unseen import Division
from ulens.io.atomic import replace_files
from ulens.metrics.boundary_error import REACH_PX
from ulens.paper.charts import Mark, seconds_chart, trade_off_chart
from ulens.paper.contenders import CLEARLY_BETTER, DIVERGED, FINAL_SHARE, SEARCH_SHARE
from ulens.paper.measures import SIDE_PX, Outcome, Redundancy
from ulens.report.charts import figure_png
from ulens.report.overlays import color_labels, overlay, stretch_contrast
from ulens.report.page import Picture, Section, Table, write_report
from ulens.training.validate import Prediction

_KEPT_ALIKE = (
    "Every network saw the same images, encoding, variety of grey values, optimizer and seed, and "
    f"had the same length of training. Of it {SEARCH_SHARE:.0%} went to each of three learning "
    f"rates, {FINAL_SHARE:.0%} to the training with the best of them, by annotations held out from "
    "the training images; the first, which is what trials on other occasions found, is kept unless "
    f"another scores {CLEARLY_BETTER:.0%} better. All start from random weights: the published "
    "FCNs start from ImageNet. The U-Net is that of the default recipe, normalised in the first "
    "part of its training, with leaky ReLUs and little dropout; the others are without "
    "normalisation, with ReLUs and the dropout they were published with. The sliding window learns "
    "from balanced windows, mirrored and rotated, without elastic deformation and weight map, as "
    "published, and its outputs are corrected for the true share of the classes; its published "
    "median filter and mean of several networks are left out, as they could help any of these "
    "networks."
)


def write_comparison(
    path: Path,
    *,
    outcomes: Sequence[Outcome],
    shown: Sequence[Prediction],
    redundancy: Redundancy | None,
    division: Division,
    device: str,
) -> None:
    """Write the page, and beside it compare.json with all numbers and the charts as PNG files.

    Parameters
    ----------
    path : of the page
    outcomes : of the networks
    shown : what each of them made of the same unseen image
    redundancy : of the prediction window by window, or None
    """
    shown_side = f"{SIDE_PX}×{SIDE_PX} px"
    trade_off = figure_png(trade_off_chart(_marks(outcomes)))
    seconds = figure_png(seconds_chart(_seconds(outcomes, redundancy)))
    sections = [
        Section(
            title="Scores on unseen images",
            text=f"Trained on images {division.training}, scored on images {division.unseen}, "
            "which no network had seen, each in one view.",
            table=score_table(outcomes),
        ),
        Section(title="Side by side", images=_pictures(outcomes, shown)),
        Section(
            title="Localisation and context",
            text=f"Near borders are the pixels within {REACH_PX} px of a true one. A wrong pixel "
            "there is one of localisation, a wrong pixel elsewhere one of context."
            + _explain_errors(outcomes, division),
            images=[
                Picture(
                    image=trade_off,
                    caption="wrong pixels, % of those near borders and of all others; lines join "
                    "windows of growing size",
                )
            ],
        ),
        Section(
            title=f"Cost of predicting {shown_side}",
            text=f"On {device}: the median of runs in turn, one view. The receptive field is the "
            "side of the square that a pixel's decision depends on."
            + (_explain_redundancy(redundancy) if redundancy else ""),
            table=cost_table(outcomes),
            images=[
                Picture(
                    image=seconds,
                    caption=f"seconds for {shown_side}, logarithmic",
                )
            ],
        ),
        Section(
            title="What was the same for all",
            text=_KEPT_ALIKE,
            table=_training_table(outcomes),
        ),
    ]
    summary = _headline(outcomes)
    record = _record(outcomes, redundancy, division, device)
    data = json.dumps(record, indent=2, ensure_ascii=False).encode()
    files = {"compare.json": data, "trade_off.png": trade_off, "seconds.png": seconds}
    replace_files(path.parent, files)
    write_report(path, title="Networks compared", summary=summary, sections=sections)


def _headline(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    name = next(iter(outcomes[0].scores))
    return [(f"{name}, {each.title}", f"{each.scores[name]:.3f}") for each in outcomes]


def score_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the scores on unseen images, a column for each network."""
    errors = [each.errors for each in outcomes]
    return Table(
        header=("measure", *(_short_title(each) for each in outcomes)),
        rows=[
            *(_row(name, [each.scores[name] for each in outcomes]) for name in outcomes[0].scores),
            ("wrong near borders", *(each.boundary for each in errors)),
            ("wrong elsewhere", *(each.context for each in errors)),
        ],
    )


def _short_title(each: Outcome) -> str:
    return f"window {each.window}" if each.window else each.title


def _row(name: str, values: Sequence[float]) -> tuple[str | float, ...]:
    """Return a row of scores; warping errors are too small for four decimals."""
    if name == "warping error":
        return f"{name} × 1000", *(1000 * value for value in values)
    return name, *values


def _pictures(outcomes: Sequence[Outcome], shown: Sequence[Prediction]) -> list[Picture]:
    sample = shown[0].sample
    truth = np.maximum(sample.label, 0)
    views = [
        Picture(image=stretch_contrast(sample.image), caption=f"{sample.name}: image"),
        Picture(image=color_labels(truth), caption="annotation"),
    ]
    return views + [
        Picture(
            image=overlay(sample.image, each.labels, truth=truth),
            caption=f"{result.title}; yellow: the annotation where it differs",
        )
        for result, each in zip(outcomes, shown, strict=True)
    ]


def _explain_errors(outcomes: Sequence[Outcome], division: Division) -> str:
    if division.labels_are == "instances":
        return (
            " A pixel is right where annotation and prediction both see background, or two "
            "instances that share at least half of their union."
        )
    if outcomes[0].errors.threshold is None:
        return ""
    return " Each network is taken at the threshold at which it has the fewest wrong pixels."


def _marks(outcomes: Sequence[Outcome]) -> list[Mark]:
    windows = sorted((each for each in outcomes if each.window), key=lambda each: each.window or 0)
    return [
        Mark(
            title=_short_title(each),
            boundary=each.errors.boundary,
            context=each.errors.context,
            in_series=each.window is not None,
        )
        for each in [*windows, *(each for each in outcomes if not each.window)]
    ]


def _explain_redundancy(redundancy: Redundancy) -> str:
    patchwise = redundancy.patchwise
    return (
        f"\n\nThe sliding window of {redundancy.window} px was timed here scanning densely, every "
        "value computed once. As published, window by window, it needs "
        f"{redundancy.num_windows:,} windows of {redundancy.window_multiplications:,} "
        f"multiplications: {redundancy.times_the_work:,.0f} times those of the dense scan. It was "
        f"timed on a part of {patchwise.num_windows:,} windows, at its fastest batch of "
        f"{patchwise.batch_size} ({patchwise.part_seconds:.3g} s), and scaled up: "
        f"{patchwise.seconds:.3g} s, {redundancy.times_as_long:,.0f} times as long."
    )


def cost_table(outcomes: Sequence[Outcome]) -> Table:
    """Return what a prediction costs, a line for each network."""
    return Table(
        header=("network", "seconds", "10⁹ multiplications", "parameters", "receptive field (px)"),
        rows=[
            (
                each.title,
                float(each.seconds),
                each.num_multiplications / 1e9,
                each.num_parameters,
                each.receptive_field_px,
            )
            for each in outcomes
        ],
    )


def _seconds(outcomes: Sequence[Outcome], redundancy: Redundancy | None) -> dict[str, float]:
    seconds = {each.title: each.seconds for each in outcomes}
    if redundancy is not None:
        seconds[f"window by window, {redundancy.window} px"] = redundancy.patchwise.seconds
    return seconds


def _training_table(outcomes: Sequence[Outcome]) -> Table:
    return Table(
        header=(
            "network",
            "width",
            "crop (px)",
            "batch",
            "steps",
            "minutes",
            "learning rate",
            "rates tried, with their score",
        ),
        rows=[
            (
                each.title,
                each.plan.network.width,
                each.plan.tiles.crop,
                each.plan.tiles.batch,
                each.steps,
                each.training_seconds / 60,
                f"{each.plan.optimizer.learning_rate:.2g}",
                f"{each.chosen_by}: {name_rates(each.rates)}",
            )
            for each in outcomes
        ],
    )


def name_rates(rates: Mapping[float, float]) -> str:
    """Return the rates tried with their scores, and whether a rate beyond them may be better.

    Examples
    --------
    >>> name_rates({1e-3: 0.8, 2e-3: 0.9})
    '0.001 0.800, 0.002 0.900; the largest scored best, so a larger one may be better still'
    """
    tried = ", ".join(
        f"{rate:.2g} {'diverged' if score == DIVERGED else f'{score:.3f}'}"
        for rate, score in sorted(rates.items())
    )
    best = max(rates, key=lambda rate: rates[rate])
    for edge, beyond, side in (("smallest", "smaller", min), ("largest", "larger", max)):
        if len(rates) > 1 and best == side(rates):
            return f"{tried}; the {edge} scored best, so a {beyond} one may be better still"
    return tried


def _record(
    outcomes: Sequence[Outcome], redundancy: Redundancy | None, division: Division, device: str
) -> dict[str, Any]:
    return {
        "training": division.training,
        "scored": division.unseen,
        "device": device,
        "side_px": SIDE_PX,
        "networks": [_plain(asdict(each)) for each in outcomes],
        "redundancy": None
        if redundancy is None
        else {
            **asdict(redundancy),
            "times_the_work": redundancy.times_the_work,
            "times_as_long": redundancy.times_as_long,
        },
    }


def _plain(value: Any) -> Any:
    """Return what JSON knows: no NaN, no keys but strings."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value

"""The page of the demo: what each story gave, in numbers and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.io.atomic import replace_files
from ulens.report.charts import INK, figure_png
from ulens.report.overlays import color_labels, color_probability, stretch_contrast
from ulens.report.page import Picture, Section, Table, write_report
from ulens.training.validate import Prediction

HEADLINES = ("V_Rand", "V_Info", "AP@0.5", "AP@0.5 of Otsu + components", "mean IoU")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a story of the demo gave.

    Parameters
    ----------
    name : of the story
    bundle : the model
    predictions : of the images it had never seen
    scores : of these, by name
    """

    name: str
    bundle: ModelBundle
    predictions: list[Prediction]
    scores: dict[str, float]


def write_demo_report(out: Path, told: Sequence[Told]) -> Path:
    """Write report.html into the folder, and picture.png, a row for each story; return the page."""
    facts = [
        (f"{each.name}: {name}", f"{value:.3f}")
        for each in told
        for name, value in each.scores.items()
        if name in HEADLINES
    ]
    page = out / "report.html"
    sections = [_section(each) for each in told]
    write_report(page, title="ulens demo", summary=facts, sections=sections)
    rows = {each.name: _views(each.predictions[0], each.bundle.encoding) for each in told}
    replace_files(out, {"picture.png": figure_png(_picture(rows))})
    return page


def _section(told: Told) -> Section:
    bundle, predictions = told.bundle, told.predictions
    pictures = [
        Picture(image=view, caption=f"{each.sample.name}: {name}")
        for each in predictions[:2]
        for name, view in _views(each, bundle.encoding).items()
    ]
    seconds = bundle.provenance["training_seconds"]
    return Section(
        title=told.name,
        text=f"Trained for {seconds:.0f} s on {bundle.provenance['num_images']} images, then "
        f"segmented {len(predictions)} images it had never seen (mean over 8 views). The "
        f"model and its own report lie in {told.name}.model.",
        table=Table(header=("measure on unseen images", "value"), rows=list(told.scores.items())),
        images=pictures,
    )


def _views(prediction: Prediction, name: EncodingName) -> dict[str, np.ndarray]:
    encoding = ENCODINGS[name]
    return {
        "image": stretch_contrast(prediction.sample.image),
        "truth": color_labels(np.maximum(prediction.sample.label, 0)),
        encoding.view_name: color_probability(encoding.view(prediction.maps)),
        "segmentation": color_labels(prediction.labels),
    }


def _picture(rows: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw one row of pictures per story, on white: it stands alone, as in a README."""
    columns = len(next(iter(rows.values())))
    figure = Figure(figsize=(2.6 * columns, 2.75 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for row, (story, views) in zip(panels, rows.items(), strict=True):
        for panel, (name, view) in zip(row, views.items(), strict=True):
            panel.imshow(view, interpolation="nearest")
            panel.set_axis_off()
            panel.set_title(f"{story}: {name}" if name == "image" else name, fontsize=10, color=INK)
    return figure

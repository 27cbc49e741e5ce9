"""The page that tells a biologist how good a trained model is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ulens.bundle import ModelBundle
from ulens.data.fingerprint import Fingerprint
from ulens.data.plan import Plan
from ulens.instances.encodings import ENCODINGS
from ulens.report.charts import figure_png, loss_chart
from ulens.report.overlays import color_labels, color_probability, overlay, stretch_contrast
from ulens.report.page import Picture, Section, Table, write_report
from ulens.train.validate import Prediction, quality

EXPLANATIONS = {
    "AP@0.5": "objects found ÷ (found + missed + invented); found = overlap of at least one half",
    "mean AP": "the same, averaged over overlaps of 0.50, 0.55 … 0.95",
    "mean IoU": "shared ÷ united area of a class, averaged over the classes",
    "Dice": "twice the shared area ÷ the sum of both areas, foreground",
    "V_Rand": "ISBI 2012: agreement on which pixels belong to one cell; 1 = perfect",
    "V_Info": "ISBI 2012: the same in bits of information; 1 = perfect",
    "Rand error": "ISBI 2012: pairs of pixels wrongly joined or parted; 0 = perfect",
    "pixel error": "ISBI 2012: 1 − F-score of the interior pixels; 0 = perfect",
    "warping error": "ISBI 2012: pixels that merge or split cells, per pixel; 0 = perfect",
}


def write_training_report(
    path: Path,
    *,
    bundle: ModelBundle,
    plan: Plan,
    fingerprint: Fingerprint,
    held_out: str,
    predictions: Sequence[Prediction],
    log: Sequence[dict[str, Any]],
) -> None:
    """Write report.html: the score, pictures, the training curve, the plan."""
    steps = bundle.provenance["steps"]
    minutes = bundle.provenance["training_seconds"] / 60
    summary = [(name, f"{value:.3f}") for name, value in bundle.scores.items()]
    summary += [("steps", str(steps)), ("minutes", f"{minutes:.1f}")]
    curve = [row for row in log if "loss" in row or "score" in row]
    sections = [
        Section(
            title="How good is it?",
            text=_how_measured(bundle, held_out) + _tuned(bundle),
            table=Table(
                header=("measure", "value", "meaning"),
                rows=[(n, v, EXPLANATIONS[n]) for n, v in bundle.scores.items()],
            ),
        ),
        *_pictures(predictions, bundle),
        Section(
            title="The training",
            text=f"{steps} steps in {minutes:.1f} minutes with the {plan.recipe} recipe.",
            images=[Picture(image=figure_png(loss_chart(_merge(curve))), caption="loss and score")],
        ),
        Section(title="The images", table=_facts(fingerprint)),
        Section(
            title="The plan",
            text="Every choice stands in plan.json; change it and train with --plan plan.json.",
            table=Table(header=("choice", "value", "why"), rows=_choices(plan)),
        ),
    ]
    write_report(path, title=f"Model {path.parent.name}", summary=summary, sections=sections)


def _how_measured(bundle: ModelBundle, held_out: str) -> str:
    step, steps = bundle.provenance["scored_at_step"], bundle.provenance["steps"]
    if step == steps:
        return f"Measured on annotations the network was never trained on; {held_out}."
    return (
        f"Measured after {step} of {steps} steps on annotations that the network had not been "
        f"trained on; {held_out}. The other {steps - step} steps were on all annotations, these "
        "included, so the model is likely to be a little better than the score."
    )


def _tuned(bundle: ModelBundle) -> str:
    names = ENCODINGS[bundle.encoding].grid
    if not names:
        return ""
    thresholds = ", ".join(f"{name} {bundle.decoding[name]:g}" for name in names)
    return (
        f" The decoding thresholds ({thresholds}) were chosen on the same held-out annotations, "
        "which flatters the score a little."
    )


def _pictures(predictions: Sequence[Prediction], bundle: ModelBundle) -> list[Section]:
    ranked = sorted(predictions, key=lambda each: -quality(each, bundle.labels_are))
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    if len(ranked) < 3:
        places = {"best": 0, "worst": len(ranked) - 1} if len(ranked) == 2 else {"only": 0}
    sections = []
    for word, place in places.items():
        shown = ranked[place]
        value = quality(shown, bundle.labels_are)
        name = next(iter(bundle.scores))
        sections.append(
            Section(
                title=f"The {word} held-out image: {shown.sample.name}",
                text=f"{name} {value:.3f}",
                images=_views(shown, bundle),
            )
        )
    return sections


def _views(shown: Prediction, bundle: ModelBundle) -> list[Picture]:
    image, truth = shown.sample.image, shown.sample.label.clip(0)
    encoding = ENCODINGS[bundle.encoding]
    views = [
        Picture(image=stretch_contrast(image), caption="image"),
        Picture(image=color_labels(truth), caption="annotation"),
        Picture(image=color_labels(shown.labels), caption="segmentation"),
    ]
    if len(bundle.class_values) == 2:
        views.insert(
            2,
            Picture(
                image=color_probability(encoding.view(shown.maps)),
                caption=f"{encoding.view_name}, 0 blue to 1 yellow",
            ),
        )
    if bundle.labels_are == "instances":
        views.append(
            Picture(
                image=overlay(image, shown.labels, truth=truth),
                caption="outlines; yellow: the annotation where it differs",
            )
        )
    return views


def _merge(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Attach each validation to the training step it follows."""
    merged: list[dict[str, Any]] = []
    for row in rows:
        if "loss" in row:
            merged.append(dict(row))
        elif merged:
            merged[-1]["score"] = row["score"]
    return merged


def _facts(fingerprint: Fingerprint) -> Table:
    (low_y, low_x), (high_y, high_x) = fingerprint.sizes
    rows: list[tuple[str, str | int | float]] = [
        ("images", fingerprint.num_images),
        ("channels", fingerprint.num_channels),
        ("sizes", f"{low_y}×{low_x} to {high_y}×{high_x} px"),
        ("grey values", fingerprint.dtype),
        ("labels are", fingerprint.labels_are),
        ("classes", fingerprint.num_classes),
        ("share of each class", ", ".join(f"{s:.1%}" for s in fingerprint.class_fractions)),
        ("not annotated", f"{fingerprint.ignored_fraction:.1%}"),
    ]
    if fingerprint.labels_are == "instances":
        rows += [
            ("instances", fingerprint.num_instances),
            ("median area (px)", fingerprint.median_area_px),
            ("instances that touch another", f"{fingerprint.touching_fraction:.0%}"),
        ]
    return Table(header=("what", "value"), rows=rows)


def _choices(plan: Plan) -> list[tuple[str, str, str]]:
    record = plan.to_json()
    reasons = record.pop("reasons")
    return [(name, _readable(value), reasons.get(name, "")) for name, value in record.items()]


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return " – ".join(_readable(each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)

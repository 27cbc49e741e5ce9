"""The page that tells a biologist how good a trained model is."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS
from ulens.io.files import list_some
from ulens.planning.fingerprint import Fingerprint
from ulens.planning.plan import Plan
from ulens.planning.plan_in_words import put_in_words
from ulens.report.charts import figure_png, loss_chart
from ulens.report.overlays import color_labels, color_probability, overlay, stretch_contrast
from ulens.report.page import Picture, Section, Table, write_report
from ulens.training.evidence import find_evidence, name_grounds
from ulens.training.validate import Prediction, quality

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
KINDS = {
    "classes": "classes: a pixel's value tells what it is",
    "instances": "instances: every object has a value of its own",
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
    """Write report.html: the score, pictures, the training curve, how it was trained."""
    steps = bundle.provenance["steps"]
    minutes = bundle.provenance["training_seconds"] / 60
    summary = [(name, f"{value:.3f}") for name, value in bundle.scores.items()]
    summary += [("steps", str(steps)), ("minutes", f"{minutes:.1f}")]
    curve = [row for row in log if "loss" in row or "score" in row]
    sections = [
        Section(
            title="How good is it?",
            text=_how_measured(bundle, held_out)
            + "".join(f" The score is {sentence}." for sentence in name_grounds(bundle))
            + _tuned(bundle),
            table=_scores(bundle),
        ),
        *_folds(bundle),
        *_pictures(predictions, bundle),
        Section(
            title="The training",
            text=f"{steps} steps in {minutes:.1f} minutes with the {plan.recipe} recipe. The loss "
            "is how far the network is off on the tiles that it is shown; lower is better.",
            images=[Picture(image=figure_png(loss_chart(_merge(curve))), caption="loss and score")],
        ),
        Section(title="The images", table=_facts(fingerprint)),
        *_how_trained(plan),
    ]
    write_report(path, title=f"Model {path.parent.name}", summary=summary, sections=sections)


def _scores(bundle: ModelBundle) -> Table:
    evidence = find_evidence(bundle)
    intervals = evidence.intervals if evidence else {}
    rows = []
    for name, value in bundle.scores.items():
        interval = intervals.get(name)
        shown = "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        rows.append((name, value, shown, EXPLANATIONS[name]))
    return Table(header=("measure", "value", "95 % interval", "meaning"), rows=rows)


def _folds(bundle: ModelBundle) -> list[Section]:
    """Return how far the folds of a cross-validation differ."""
    folds, rows = bundle.provenance.get("folds", []), []
    for number, fold in enumerate(folds, 1):
        scores = [fold["scores"].get(name, nan) for name in bundle.scores]
        rows.append((str(number), list_some(fold["held_out"]), *scores))
    table = Table(header=("fold", "held out", *bundle.scores), rows=rows)
    return [Section(title="Fold by fold", table=table)] if folds else []


def _how_measured(bundle: ModelBundle, held_out: str) -> str:
    step, steps = bundle.provenance["scored_at_step"], bundle.provenance["steps"]
    is_independent = not bundle.provenance.get("not_independent")
    if step is None:
        return f"Not measured yet; {held_out}. ulens train --resume does it."
    if folds := bundle.provenance.get("folds"):
        return (
            f"Measured by {held_out}: {len(folds)} networks, each trained as long as this model, "
            "segmented the annotations that they had not been trained on. All that they segmented "
            "is scored together. The model itself was trained on all annotations, so it is likely "
            "to be a little better than the score."
        )
    if step == steps:
        which = "the network was never trained on" if is_independent else "that were kept back"
        return f"Measured on annotations {which}; {held_out}."
    which = "that the network had not been trained on" if is_independent else "kept back until then"
    return (
        f"Measured after {step} of {steps} steps on annotations {which}; {held_out}. The other "
        f"{steps - step} steps were on all annotations, these included, so the model is likely to "
        "be a little better than the score."
    )


def _tuned(bundle: ModelBundle) -> str:
    sentence = ENCODINGS[bundle.encoding].in_words.format(**bundle.decoding)
    if not sentence:
        return ""
    return (
        f" In the segmentation {sentence}; these values were chosen on the held-out annotations. "
        "For the score, each half of these was segmented with values chosen on the other half."
    )


def _pictures(predictions: Sequence[Prediction], bundle: ModelBundle) -> list[Section]:
    if not predictions:
        return []
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
    smallest, largest = (f"{y} × {x} px" for y, x in fingerprint.sizes)
    rows = [
        ("images", f"{fingerprint.num_images:,}"),
        ("channels", f"{fingerprint.num_channels}"),
        ("size", smallest if smallest == largest else f"{smallest} to {largest}"),
        ("grey values", _name_grey_values(fingerprint.dtype)),
        ("labels", KINDS[fingerprint.labels_are]),
        (
            "share of the pixels, by rising label value",
            ", ".join(f"{share:.1%}" for share in fingerprint.class_fractions),
        ),
        ("not annotated", f"{fingerprint.ignored_fraction:.1%}"),
    ]
    if fingerprint.labels_are == "instances":
        rows[5:6] = [
            ("objects", f"{fingerprint.num_instances:,}"),
            ("their share of the pixels", f"{fingerprint.class_fractions[1]:.1%}"),
            ("their area (median)", f"{fingerprint.median_area_px:,.0f} px"),
            ("touch another object", f"{fingerprint.touching_fraction:.0%}"),
        ]
    return Table(header=("what", "value"), rows=rows)


def _how_trained(plan: Plan) -> list[Section]:
    """Return the choices of a plan, with a word before them and one after."""
    sections = [
        Section(
            title=f"How it was trained: {about}",
            table=Table(
                header=("what", "choice", "why"),
                rows=[(each.what, each.value, each.why) for each in choices],
            ),
        )
        for about, choices in groupby(put_in_words(plan), key=lambda choice: choice.about)
    ]
    sections[0] = replace(
        sections[0],
        text="Scores in brackets are those of trials on public images: DIC-HeLa and PhC-U373 show "
        "cells, ISBI 2012 membranes in electron micrographs.",
    )
    sections[-1] = replace(
        sections[-1],
        closing="Every number stands in plan.json, beside this page. To train otherwise, change a "
        "copy of it and run: ulens train IMAGES LABELS --plan plan.json -o NEW.model",
    )
    return sections


def _name_grey_values(dtype: str) -> str:
    kind = np.dtype(dtype)
    return f"{8 * kind.itemsize} bits, {'whole' if kind.kind in 'iu' else 'decimal'} numbers"

"""Two recipes for the same network: the default one and the paper's."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.data.fingerprint import Fingerprint
from ulens.data.plan import Plan, Recipe
from ulens.errors import SettingError
from ulens.instances.encodings import EncodingName
from ulens.nets.shapes import unet_geometry

PAPER_OUTPUT = 388
WIDTHS = (16, 24, 32, 48, 64)
FEWEST_STEPS = 3000
LONG_STEPS = 1500
RATE_TIMES_WIDTH = 0.032
DEPTH = 4
NEGATIVE_SLOPE = 0.01
DROPOUT = 0.2
FEWEST_IN_GAPS = 0.5
FEWEST_IN_CONTACT = 5e-4
DEFAULT_WIDTH = 24
PAPER_WIDTH = 64

_UNSTATED = "the paper does not say; chosen by validation"
LEFT_OPEN = {
    "learning_rate": _UNSTATED,
    "schedule": _UNSTATED,
    "warmup_steps": _UNSTATED,
    "weight_decay": "the paper does not say; none",
    "clip_norm": "the paper does not say; no limit",
    "averaging": "the paper does not say; the last weights are kept",
    "precision": "the paper does not say; what this machine computes fastest",
    "class_weights": "paper: w_c balances the classes, no values; here 1/frequency, mean 1",
    "dropout": "paper: at the end of the contracting path, no rate; 0.5 in the released network",
    "geometry": "paper: shift, rotation, displacements of 10 px on a 3×3 grid; no range of "
    "rotation, nothing on mirroring: here any angle, and mirrored",
    "intensity": "paper: grey value variations, no numbers; the curve is that of Falk et al. 2019",
}
"""Choices that the paper leaves open, with what was chosen."""
PAPER_REASONS = {
    "encoding": "paper: foreground with a separation border between touching cells",
    "crop": "paper: large tiles rather than large batches; figure 1",
    "optimizer": "paper: stochastic gradient descent",
    "momentum": "paper: 0.99",
    "border_weight": "paper: w0 = 10",
    "border_sigma_px": "paper: about 5",
    **LEFT_OPEN,
}
DEFAULT_REASONS = {
    "dropout": "0.2 learned cells faster than 0.5 and than none, docs/lab-notes.md",
    "negative_slope": "with ReLUs most channels of the deep levels ceased to learn, "
    "docs/lab-notes.md",
    "batch_norm": "learns faster, and no channel ceases to, docs/lab-notes.md",
    "learning_rate": "by experiment, docs/lab-notes.md",
    "averaging": "smooths the weights over the last hundred steps",
    "class_weights": "all alike: balanced ones scored worse, docs/lab-notes.md",
    "border_weight": "w0 = 10 as in the paper, 50 with the map of Falk et al.; 0 with more than "
    "two classes, which are no instances",
}


def make_plan(
    fingerprint: Fingerprint,
    *,
    recipe: Recipe = "default",
    steps: int | None = None,
    seconds: float | None = None,
    width: int | None = None,
    depth: int = DEPTH,
    slope_of_start: float | None = None,
    class_weights: tuple[float, ...],
    precision: Literal["bf16", "fp32"] = "bf16",
    seed: int = 0,
    measure: Callable[[Plan], float] | None = None,
) -> Plan:
    """Plan a training from what the annotated images are like.

    Parameters
    ----------
    steps, seconds : length of the training; exactly one of them
    width : channels of the network's first level; None = the recipe's choice
    depth : number of poolings
    slope_of_start : of the ReLUs of a trained network that the training starts from; None = anew
    class_weights : w_c that balances the classes, for the paper's recipe
    precision : of the training; bf16 where the device computes it natively
    measure : returns the steps per second of a plan on this machine. With `seconds` the
        default recipe takes the widest network that still makes enough steps; without it,
        or with `steps`, no timing enters the plan.
    """
    given: dict[str, Any] = {
        "depth": depth,
        "precision": precision,
        "steps": steps,
        "seconds": seconds,
        "seed": seed,
        "fingerprint": fingerprint.to_json(),
    }
    if recipe == "paper":
        balanced = {**given, "class_weights": class_weights}
        plans = [_paper_plan(fingerprint, width or PAPER_WIDTH, balanced)]
    elif recipe == "default":
        timed = measure is not None and seconds is not None
        widths = (width,) if width else WIDTHS if timed else (DEFAULT_WIDTH,)
        plans = [_default_plan(fingerprint, each, given) for each in widths]
        if slope_of_start is not None:
            plans = [without_batch_norm(_with_slope(plan, slope_of_start)) for plan in plans]
    else:
        raise SettingError(f"recipe is {recipe!r}; it takes 'default' or 'paper'")
    plan = plans[0]
    if measure is not None and seconds is not None:
        plan = widest(plans, seconds, measure)
    return plan if recipe == "paper" else _augment(plan)


def _default_plan(fingerprint: Fingerprint, width: int, given: Mapping[str, Any]) -> Plan:
    largest = max(fingerprint.sizes[1])
    encoding, reason = _encoding(fingerprint)
    weight_map, border_weight, why = _weighing(fingerprint)
    return Plan(
        recipe="default",
        encoding=encoding,
        width=width,
        negative_slope=NEGATIVE_SLOPE,
        batch_norm=True,
        dropout=DROPOUT,
        crop=unet_geometry(given["depth"]).input_size(min(largest, PAPER_OUTPUT)),
        optimizer="adamw",
        learning_rate=RATE_TIMES_WIDTH / width,
        momentum=0.9,
        weight_decay=1e-4,
        clip_norm=1.0,
        averaging=0.99,
        class_weights=(1.0,) * fingerprint.num_classes,
        weight_map=weight_map,
        border_weight=border_weight,
        geometry=GeometrySettings(scale=(0.95, 1.05)),
        intensity=IntensitySettings(slope=(0.8, 1.25), noise_sd=0.1, blur_sd_px=0.5),
        reasons={"encoding": reason, "weight_map": why, **DEFAULT_REASONS},
        **given,
    )


def _with_slope(plan: Plan, negative_slope: float) -> Plan:
    reasons = {**plan.reasons, "negative_slope": "that of the model it starts from"}
    return replace(plan, negative_slope=negative_slope, reasons=reasons)


def without_batch_norm(plan: Plan) -> Plan:
    """Return the plan of a training that starts from a model."""
    reasons = {
        **plan.reasons,
        "batch_norm": "the training starts from a model, whose convolutions are plain",
    }
    return replace(plan, batch_norm=False, reasons=reasons)


def _augment(plan: Plan) -> Plan:
    """Return the plan with images varied more where there is time to learn from it."""
    num_steps = plan.steps or int((plan.steps_per_second or 0) * (plan.seconds or 0))
    is_long = num_steps >= LONG_STEPS
    why = f"{'at least' if is_long else 'fewer than'} {LONG_STEPS} steps; docs/lab-notes.md"
    reasons = {**plan.reasons, "geometry": why, "intensity": why}
    if not is_long:
        return replace(plan, reasons=reasons)
    return replace(
        plan,
        geometry=GeometrySettings(scale=(0.85, 1.2)),
        intensity=IntensitySettings(slope=(0.66, 1.5), noise_sd=0.3, blur_sd_px=1.0),
        reasons=reasons,
    )


def _encoding(fingerprint: Fingerprint) -> tuple[EncodingName, str]:
    if fingerprint.labels_are == "classes":
        share = f"{fingerprint.membrane_fraction:.0%} of the background lies in narrow gaps"
        if fingerprint.membrane_fraction >= FEWEST_IN_GAPS:
            return "membrane", f"{share}: it parts cells; holes in it are closed"
        return "classes", "the labels are classes"
    return "boundary", (
        f"{fingerprint.touching_fraction:.0%} of the instances touch another one; a border parts "
        "them. 'distance' (with border_weight 0) scored worse in short trainings, "
        "docs/lab-notes.md"
    )


def _weighing(fingerprint: Fingerprint) -> tuple[Literal["paper", "falk"], float, str]:
    """Return the weight map, its w0 and the reason."""
    if fingerprint.num_classes > 2:
        return "paper", 0.0, "the classes alone"
    share = f"{fingerprint.contact_fraction:.2%} of the pixels lie where instances touch"
    if 0 < fingerprint.contact_fraction < FEWEST_IN_CONTACT:
        return "falk", 50.0, f"{share}: far background has to weigh less for them to count"
    return "paper", 10.0, share


def _paper_plan(fingerprint: Fingerprint, width: int, given: Mapping[str, Any]) -> Plan:
    return Plan(
        recipe="paper",
        encoding="boundary" if fingerprint.labels_are == "instances" else "classes",
        width=width,
        crop=unet_geometry(given["depth"]).input_size(PAPER_OUTPUT),
        optimizer="sgd",
        learning_rate=3e-4,
        momentum=0.99,
        weight_decay=0.0,
        clip_norm=0.0,
        averaging=0.0,
        border_weight=10.0,
        geometry=GeometrySettings(),
        intensity=IntensitySettings(),
        reasons=PAPER_REASONS,
        **given,
    )


def widest(plans: Sequence[Plan], seconds: float, measure: Callable[[Plan], float]) -> Plan:
    """Return the widest of plans that makes enough steps, with its speed; else the first.

    Parameters
    ----------
    plans : from narrow to wide
    seconds : of training
    measure : returns the steps per second of a plan on this machine
    """
    chosen, rate = plans[0], measure(plans[0])
    for plan in plans[1:]:
        wider_rate = measure(plan)
        if wider_rate * seconds < FEWEST_STEPS:
            break
        chosen, rate = plan, wider_rate
    why = f"the widest that makes {FEWEST_STEPS} steps; " if len(plans) > 1 else ""
    speed = (
        f"this machine makes {rate:.2f} steps per second at this width, "
        f"about {rate * seconds:.0f} in {seconds / 60:.3g} minutes"
    )
    reasons = {**chosen.reasons, "width": why + speed}
    return replace(chosen, steps_per_second=rate, reasons=reasons)


def parse_duration(text: str) -> float:
    """Return the seconds in a duration such as ``20min``, ``90s``, ``1h`` or ``1h30min``.

    Examples
    --------
    >>> parse_duration("1h30min")
    5400.0
    """
    number = r"(\d+(?:\.\d+)?)\s*"
    pattern = rf"(?:{number}h)?\s*(?:{number}m(?:in)?)?\s*(?:{number}s(?:ec)?)?"
    match = re.fullmatch(pattern, text.strip().lower())
    parts = match.groups() if match else ()
    hours, minutes, seconds = (float(part or 0) for part in parts or (0, 0, 0))
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise SettingError(f"time is {text!r}; write it like 20min, 90s, 1h or 1h30min")
    return total

"""Two recipes for the same network: the default one and the paper's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from ulens.augment.geometry import GeometrySettings
from ulens.augment.intensity import IntensitySettings
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.errors import SettingError
from ulens.nets.shapes import unet_geometry
from ulens.planning.fingerprint import Fingerprint
from ulens.planning.parts import (
    AugmentationPlan,
    EncodingPlan,
    Length,
    NetworkPlan,
    OptimizerPlan,
    TensorFormat,
    TilePlan,
)
from ulens.planning.plan import Plan, Recipe
from ulens.planning.reasons import DEFAULT_REASONS, PAPER_REASONS, WHY_DEFAULT_WIDTH
from ulens.planning.width import widest
from ulens.resample import AS_IT_IS, Zoom, size_at

PAPER_OUTPUT = 388
OUTPUT_PX = 68
WIDTHS = (16, 24, 32, 48, 64)
LONG_STEPS = 3000
WARMUP_STEPS, WARMUP_SHARE = 50, 0.1
RATE_TIMES_WIDTH = 0.032
DEPTH = 4
SMALL_DEPTH = 3
ZOOMS = (1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1.0, 1.5, 2.0)
CLEARLY_OBLONG = 1.1
LARGEST_SHARE = 0.75  # an object's of what a network sees around a pixel
OBJECT_PX = 28.0
WALL_PX = 2.5
ELASTIC_SHARE = 10 / 572  # of the tile's side: the paper's 10 px on its own tile
NEGATIVE_SLOPE = 0.01
DROPOUT = 0.2
FEWEST_IN_GAPS = 0.5
FEWEST_IN_CONTACT = 5e-4
DEFAULT_WIDTH = 24
PAPER_WIDTH = 64


class Start(NamedTuple):
    """What a training takes over of the model that it starts from.

    Parameters
    ----------
    negative_slope : of its leaky ReLUs
    encoding : what it learned; kept where the labels are of the same kind
    """

    negative_slope: float
    encoding: EncodingName


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is asked of a plan; what is None is the recipe's choice.

    Parameters
    ----------
    length : of the training
    recipe : by which the plan is made
    width : channels of the network's first level
    depth : number of poolings
    zoom : (y, x) pixels of the network for each pixel of the image
    seed : of all random draws
    """

    length: Length
    recipe: Recipe = "default"
    width: int | None = None
    depth: int | None = None
    zoom: Zoom | None = None
    seed: int = 0


def make_plan(
    fingerprint: Fingerprint,
    asked: Asked,
    *,
    class_weights: tuple[float, ...],
    start: Start | None = None,
    formats: Sequence[TensorFormat] = (TensorFormat("fp32", "contiguous"),),
    measure: Callable[[Plan], float] | None = None,
) -> Plan:
    """Plan a training from what the annotated images are like.

    Parameters
    ----------
    class_weights : w_c that balances the classes, for the paper's recipe
    start : the model that the training starts from; None = from random weights
    formats : in which the device can compute the training; the first where nothing is measured
    measure : returns the steps per second of a plan on this machine. Where the length is a time
        the fastest format is taken, and in the default recipe the widest network that still makes
        enough steps; without it, or with steps, no timing enters the plan.
    """
    given: dict[str, Any] = {
        "tensors": formats[0],
        "length": asked.length,
        "seed": asked.seed,
        "fingerprint": fingerprint.to_json(),
    }
    seconds = asked.length.seconds
    if asked.recipe == "paper":
        plans = [_paper_plan(fingerprint, asked, class_weights, given)]
    elif asked.recipe == "default":
        timed = measure is not None and seconds is not None
        widths = (asked.width,) if asked.width else WIDTHS if timed else (DEFAULT_WIDTH,)
        plans = [_default_plan(fingerprint, asked, each, given) for each in widths]
        if start is not None:
            plans = [_go_on(plan, start) for plan in plans]
    else:
        raise SettingError(f"recipe is {asked.recipe!r}; it takes 'default' or 'paper'")
    plan = plans[0]
    if measure is not None and seconds is not None:
        plan = widest(plans, seconds, measure, formats)
    return plan if asked.recipe == "paper" else _fit_to_length(plan)


def _default_plan(
    fingerprint: Fingerprint, asked: Asked, width: int, given: Mapping[str, Any]
) -> Plan:
    encoding, reason = choose_encoding(fingerprint)
    zoom, why_zoom = asked.zoom, "as asked"
    if zoom is None:
        zoom, why_zoom = _zoom(fingerprint, encoding)
        zoom, why_zoom = _square(fingerprint, zoom, why_zoom)
    depth = asked.depth or _depth(fingerprint, encoding, zoom)
    largest = max(size_at(fingerprint.sizes[1], zoom))
    crop = unet_geometry(depth).input_size(min(largest, OUTPUT_PX))
    weight_map, border_weight, why = _weighing(fingerprint)
    reasons = {"encoding": reason, "weight_map": why, "zoom": why_zoom, **DEFAULT_REASONS}
    if width == DEFAULT_WIDTH:
        reasons["width"] = WHY_DEFAULT_WIDTH
    return Plan(
        recipe="default",
        network=NetworkPlan(
            width=width,
            depth=depth,
            negative_slope=NEGATIVE_SLOPE,
            batch_norm=True,
            dropout=DROPOUT,
        ),
        encoding=EncodingPlan(
            name=encoding,
            class_weights=_weights_of(encoding, (1.0,) * fingerprint.num_classes),
            weight_map=weight_map,
            border_weight=border_weight,
        ),
        tiles=TilePlan(zoom=zoom, crop=crop),
        augmentation=AugmentationPlan(
            geometry=GeometrySettings(
                elastic_sd_px=ELASTIC_SHARE * crop, scale=(0.95, 1.05), beyond_edges=True
            ),
            intensity=IntensitySettings(slope=(0.8, 1.25), noise_sd=0.1, blur_sd_px=0.5),
        ),
        optimizer=OptimizerPlan(
            name="adamw",
            learning_rate=RATE_TIMES_WIDTH / width,
            momentum=0.9,
            weight_decay=1e-4,
            clip_norm=1.0,
            averaging=0.99,
        ),
        reasons=reasons,
        **given,
    )


def _go_on(plan: Plan, start: Start) -> Plan:
    """Return the plan of a training that begins where a model is."""
    own = "that of the model it starts from"
    reasons = {**plan.reasons, "network": own, "width": own, "negative_slope": own}
    encoding = plan.encoding.name
    if ENCODINGS[start.encoding].labels_are == ENCODINGS[encoding].labels_are:
        encoding, reasons["encoding"] = start.encoding, own
    return replace(
        plan,
        network=replace(plan.network, negative_slope=start.negative_slope, frozen_at=0.0),
        encoding=replace(
            plan.encoding,
            name=encoding,
            border_weight=plan.encoding.border_weight if ENCODINGS[encoding].by_class else 0.0,
            class_weights=_weights_of(encoding, plan.encoding.class_weights),
        ),
        reasons={
            **reasons,
            "batch_norm": "by moments that stay, so that it begins where the model is",
            "learning_rate": "as from noise; smaller and larger ones were worse (DIC-HeLa, one "
            "image, SEG 0.80 instead of 0.74)",
        },
    )


def _weights_of(encoding: EncodingName, class_weights: tuple[float, ...]) -> tuple[float, ...]:
    way = ENCODINGS[encoding]
    return class_weights if way.labels_are == "classes" else (1.0,) * len(way.outputs)


def _fit_to_length(plan: Plan) -> Plan:
    """Return the plan with a warm-up that is short, and images varied more where there is time."""
    plan = warm_up_shortly(plan)
    is_long = _num_steps(plan) >= LONG_STEPS
    why = (
        f"at least {LONG_STEPS} steps: time to learn from more variety (DIC-HeLa, mean AP 0.77 "
        "instead of 0.72)"
        if is_long
        else f"fewer than {LONG_STEPS} steps: little variety is learned best (ISBI 2012, V_Rand "
        "0.964 instead of 0.955)"
    )
    reasons = {**plan.reasons, "geometry": why, "intensity": why}
    if not is_long:
        return replace(plan, reasons=reasons)
    return replace(
        plan,
        augmentation=AugmentationPlan(
            geometry=replace(plan.augmentation.geometry, scale=(0.85, 1.2)),
            intensity=IntensitySettings(slope=(0.66, 1.5), noise_sd=0.3, blur_sd_px=1.0),
        ),
        reasons=reasons,
    )


def warm_up_shortly(plan: Plan) -> Plan:
    """Return the plan with a warm-up that takes no more than a share of its steps."""
    num_steps = _num_steps(plan)
    if not num_steps:
        return plan
    warmup_steps = min(WARMUP_STEPS, max(1, round(WARMUP_SHARE * num_steps)))
    return replace(plan, optimizer=replace(plan.optimizer, warmup_steps=warmup_steps))


def _num_steps(plan: Plan) -> int:
    """Return how many steps a plan is likely to make; 0 where no speed was measured."""
    return plan.length.steps or int((plan.steps_per_second or 0) * (plan.length.seconds or 0))


def choose_encoding(fingerprint: Fingerprint) -> tuple[EncodingName, str]:
    """Return what the default recipe has a network learn, and why."""
    if fingerprint.labels_are == "classes":
        share = f"{fingerprint.membrane_fraction:.0%} of the background lies in narrow gaps"
        if fingerprint.membrane_fraction >= FEWEST_IN_GAPS:
            return "membrane", (
                f"{share} between cells; closing their breaks keeps cells apart (ISBI 2012, Rand "
                "error 0.05 instead of 0.08)"
            )
        return "classes", "the labels are classes"
    return "contact", (
        f"{fingerprint.touching_fraction:.0%} of the objects touch another one; gaps of one pixel "
        "stay, which the border of the paper closes (Data Science Bowl, labels encoded and "
        "decoded: SEG 0.994 instead of 0.976)"
    )


def _zoom(fingerprint: Fingerprint, encoding: EncodingName) -> tuple[Zoom, str]:
    """Return the pixel size at which what is to be found is as large as the network needs it."""
    what = ENCODINGS[encoding].sized_by
    if what is None:
        return AS_IT_IS, "the labels are classes, which may be of any size"
    is_wall = what == "membranes"
    has, needs = (fingerprint.wall_px, WALL_PX) if is_wall else (fingerprint.diameter_px, OBJECT_PX)
    wanted = needs / max(has, 1e-6)
    zoom = min(ZOOMS, key=lambda each: abs(math.log(each / wanted)))
    if zoom == 1:
        return AS_IT_IS, f"{what} are {has:.0f} px wide, no more than needed"
    why = f"{what} are {has:.0f} px wide; seen {has * zoom:.0f} px wide they are learned faster"
    return (zoom, zoom), why


def _square(fingerprint: Fingerprint, zoom: Zoom, why: str) -> tuple[Zoom, str]:
    """Return a zoom at which the network's pixels are square, where those of the images are not."""
    aspect = fingerprint.pixel_aspect
    if max(aspect, 1 / aspect) < CLEARLY_OBLONG:
        return zoom, why
    stretch = math.sqrt(aspect)
    why = f"{why}; pixels are {aspect:.2g} times as high as wide, the network's are square"
    return (zoom[0] * stretch, zoom[1] / stretch), why


def _depth(fingerprint: Fingerprint, encoding: EncodingName, zoom: Zoom) -> int:
    """Return as many poolings as are needed to see an object, or what is around a membrane."""
    seen_px = fingerprint.diameter_px * min(zoom)
    sees_px = 2 * unet_geometry(SMALL_DEPTH).margin
    is_small = ENCODINGS[encoding].sized_by == "membranes" or 0 < seen_px <= LARGEST_SHARE * sees_px
    return SMALL_DEPTH if is_small else DEPTH


def _weighing(fingerprint: Fingerprint) -> tuple[Literal["paper", "falk"], float, str]:
    """Return the weight map, its w0 and the reason."""
    if fingerprint.num_classes > 2:
        return "paper", 0.0, "with more than two classes there are no objects to part"
    if fingerprint.labels_are == "classes":
        return "paper", 10.0, "as in the paper (ISBI 2012, V_Rand 0.955 instead of 0.948)"
    share = f"{fingerprint.contact_fraction:.2%} of the pixels lie where objects touch"
    if 0 < fingerprint.contact_fraction < FEWEST_IN_CONTACT:
        why = f"only {share}: other background must not drown them (PhC-U373, SEG 0.79, else 0.76)"
        return "falk", 50.0, why
    return "paper", 10.0, f"{share}, enough for the weights of the paper"


def _paper_plan(
    fingerprint: Fingerprint,
    asked: Asked,
    class_weights: tuple[float, ...],
    given: Mapping[str, Any],
) -> Plan:
    network = NetworkPlan(width=asked.width or PAPER_WIDTH, depth=asked.depth or DEPTH)
    crop = unet_geometry(network.depth).input_size(PAPER_OUTPUT)
    return Plan(
        recipe="paper",
        network=network,
        encoding=EncodingPlan(
            name="boundary" if fingerprint.labels_are == "instances" else "classes",
            class_weights=class_weights,
            border_weight=10.0,
        ),
        tiles=TilePlan(zoom=asked.zoom or AS_IT_IS, crop=crop),
        augmentation=AugmentationPlan(geometry=GeometrySettings(), intensity=IntensitySettings()),
        optimizer=OptimizerPlan(
            name="sgd",
            learning_rate=3e-4,
            momentum=0.99,
            weight_decay=0.0,
            clip_norm=0.0,
            averaging=0.0,
        ),
        reasons=PAPER_REASONS,
        **given,
    )

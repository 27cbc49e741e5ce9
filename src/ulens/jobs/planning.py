"""What a user asks of a training, and the plan that follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated as With

import torch
from cyclopts import Parameter

from ulens.annotated.holdout import Split
from ulens.annotated.samples import Annotated, Sample
from ulens.bundle import START, ModelBundle, find_model, load_bundle
from ulens.encodings.table import ENCODINGS, EncodingName
from ulens.encodings.weights import class_balance
from ulens.errors import SettingError
from ulens.jobs.inspect import InspectSettings
from ulens.jobs.options import FLAG, FROM_PYTHON_ALONE, OUT, TIME
from ulens.nets.build import describe_architecture
from ulens.planning.fingerprint import Fingerprint
from ulens.planning.parts import WIDEST, Length
from ulens.planning.plan import LARGEST_SEED, Plan, Recipe, read_plan
from ulens.planning.plan_in_words import name_length, put_in_words
from ulens.planning.recipes import Asked, Start, choose_encoding, make_plan
from ulens.resample import Zoom, check_zoom
from ulens.training.model_folder import begun_plan
from ulens.training.speed import MEASURING_SHARE, steps_per_second, tensor_formats

DEFAULT_SECONDS = 20 * 60.0
OTHER_SIZE = 1.5
NOISE = Path("noise")
LONGEST_FROM_START: Mapping[EncodingName, tuple[float, int]] = {
    "contact": (DEFAULT_SECONDS, 30_000),
    "membrane": (120.0, 2000),
}
"""Seconds and steps up to which a training starts from it, by what is learned."""
FEW_IMAGES, LONGER_OF_FEW = 10, 1.5
"""Up to so many images of cells start from it so many times as long."""
START_WIDTH = 16
GREY_OR_COLOR = (1, 3)


@dataclass(frozen=True, slots=True)
class TrainSettings(InspectSettings):
    """What a user asks of a training; `ulens train` has an option for each.

    Which images and labels to read, and how, is said as in `InspectSettings`.

    Parameters
    ----------
    out
        folder of the model
    seconds
        length of the training, such as 20min, 90s or 1h; from Python in seconds. Without it and
        without steps it is 20 minutes
    steps
        length in steps instead; the result is then the same on every run
    recipe
        default, or paper for the training published in 2015
    plan
        plan.json to train by, for example a changed one of another model; the time, the steps and
        the seed given here replace its own
    folds
        cross-validate in so many folds instead of holding out once: each image is held out from one
        of as many more trainings, each as long as that of the model, which is trained on all
    start_from
        model to start from; noise for random weights. Without it trainings of up to 20 minutes
        on objects, with ten images or fewer of up to 30, and of up to two minutes on membranes
        start from the model that comes with ulens where images are grey or in color, all others
        from noise
    width
        channels of the network's first level
    zoom
        pixels of the network for each pixel of the image, such as 0.5 for large cells; without it
        ulens chooses by the size of what is labelled
    seed
        of all random draws; 0 without it, or that of the plan given
    device
        auto, cpu, cuda or mps
    resume
        continue the training in OUT after Ctrl-C, a crash or a power cut; for longer where the
        time or the steps say so
    overwrite
        replace the model in OUT
    plan_only
        write OUT/plan.json and stop; change it, then train with --plan OUT/plan.json
    int8
        prepare the model for 8-bit integers at the end of a training that is not short
    """

    _: KW_ONLY
    out: With[Path, OUT]
    seconds: With[float | None, TIME] = None
    steps: int | None = None
    recipe: Recipe = "default"
    plan: Path | None = None
    folds: int | None = None
    start_from: With[Path | None, Parameter(name="--from")] = None
    width: int | None = None
    zoom: float | None = None
    seed: int | None = None
    device: str = "auto"
    resume: With[bool, FLAG] = False
    overwrite: With[bool, FLAG] = False
    plan_only: With[bool, FLAG] = False
    int8: With[bool, FROM_PYTHON_ALONE] = True

    def __post_init__(self) -> None:
        InspectSettings.__post_init__(self)
        if self.seconds is not None and self.steps is not None:
            raise SettingError(
                f"time ({self.seconds:.0f} s) and steps ({self.steps}) are both "
                "given; give one of them"
            )
        if self.seconds is not None or self.steps is not None:
            Length(seconds=self.seconds, steps=self.steps)
        if self.resume and self.overwrite:
            raise SettingError(
                "resume and overwrite are both given; resume continues the "
                "training in the folder, overwrite throws it away"
            )
        if self.zoom is not None:
            check_zoom((self.zoom, self.zoom))
        if self.folds is not None and self.folds < 2:
            raise SettingError(f"folds is {self.folds}; it needs to be at least 2")
        for name, lowest, highest in (("width", 1, WIDEST), ("seed", 0, LARGEST_SEED)):
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise SettingError(f"{name} is {value}; it needs to be {lowest} to {highest}")


def choose_start(settings: TrainSettings, fingerprint: Fingerprint) -> Path | None:
    """Return the model folder that a training starts from; None = from random weights.

    Where the user does not say, a short training on instances or membranes in images of one channel
    or in color starts from the model that comes with ulens. What is short depends on what is
    learned, and on how many images there are.
    """
    if settings.start_from is not None:
        return None if settings.start_from == NOISE else find_model(settings.start_from)
    encoding, _ = choose_encoding(fingerprint)
    fits = (
        settings.recipe == "default"
        and settings.plan is None
        and not settings.resume
        and settings.width in (None, START_WIDTH)
        and encoding in LONGEST_FROM_START
        and fingerprint.num_channels in GREY_OR_COLOR
    )
    if not fits:
        return None
    seconds, steps = LONGEST_FROM_START[encoding]
    has_few = encoding == "contact" and fingerprint.num_images <= FEW_IMAGES
    times = LONGER_OF_FEW if has_few else 1.0
    is_short = (
        settings.steps <= times * steps
        if settings.steps is not None
        else (settings.seconds or DEFAULT_SECONDS) <= times * seconds
    )
    return START if is_short else None


def choose_plan(
    settings: TrainSettings,
    fingerprint: Fingerprint,
    annotated: Annotated,
    split: Split,
    device: torch.device,
) -> Plan:
    """Return the plan that is resumed, given, or made by the recipe."""
    if settings.resume:
        plan = begun_plan(settings.out)
        _refuse_others(settings, plan, ("width", "zoom", "seed"))
        return _with_length(plan, settings)
    if settings.plan is not None:
        plan = read_plan(settings.plan)
        _refuse_others(settings, plan, ("width", "zoom"))
        if settings.seed is not None:
            plan = replace(plan, seed=settings.seed)
        _refuse_other_labels(settings.plan, plan, fingerprint)
        return _with_length(plan, settings)
    # a model that is started from brings its own width, depth and slope
    begun = load_bundle(settings.start_from) if settings.start_from else None
    theirs = describe_architecture(begun.net) if begun else {}
    slope = theirs.get("negative_slope")
    if settings.recipe == "paper" and slope:
        raise SettingError(
            f"{settings.start_from} has leaky ReLUs of slope {slope}, the paper's recipe plain "
            "ones; leave the recipe out to go on from this model, or start without it"
        )
    seconds = settings.seconds
    if seconds is None and settings.steps is None:
        seconds = DEFAULT_SECONDS
    return make_plan(
        fingerprint,
        Asked(
            length=Length(steps=settings.steps, seconds=seconds),
            recipe=settings.recipe,
            width=settings.width or theirs.get("width"),
            depth=theirs.get("depth"),
            zoom=_asked_zoom(settings, begun, fingerprint),
            seed=settings.seed or 0,
        ),
        start=Start(slope or 0.0, begun.encoding) if begun else None,
        class_weights=balance_classes(
            split.training, fingerprint.num_classes, annotated.labels_are
        ),
        formats=tensor_formats(device),
        measure=partial(
            steps_per_second,
            in_channels=fingerprint.num_channels,
            device=device,
            allowed_seconds=MEASURING_SHARE * (seconds or 0),
        ),
    )


def balance_classes(
    samples: Sequence[Sample], num_classes: int, labels_are: str
) -> tuple[float, ...]:
    """Return the weights that balance the classes of these samples, for the paper's recipe."""
    by_class = ENCODINGS["classes" if labels_are == "classes" else "boundary"]
    return class_balance([by_class.encode(sample.label) for sample in samples], num_classes)


def _asked_zoom(
    settings: TrainSettings, begun: ModelBundle | None, fingerprint: Fingerprint
) -> Zoom | None:
    """Return the zoom that was asked for, or that of the model to start from.

    Where objects here are of clearly another size than those which that model learned, it is the
    zoom at which they look as large.
    """
    if settings.zoom is not None:
        return settings.zoom, settings.zoom
    if begun is None or settings.start_from == START:
        return None
    learned = float(begun.plan.get("fingerprint", {}).get("diameter_px", 0.0))
    here = fingerprint.diameter_px
    if min(learned, here) <= 0 or max(learned / here, here / learned) < OTHER_SIZE:
        return begun.zoom
    return begun.zoom[0] * learned / here, begun.zoom[1] * learned / here


def _with_length(plan: Plan, settings: TrainSettings) -> Plan:
    if settings.seconds is None and settings.steps is None:
        return plan
    return replace(plan, length=Length(seconds=settings.seconds, steps=settings.steps))


def _refuse_other_labels(path: Path, plan: Plan, fingerprint: Fingerprint) -> None:
    """Raise SettingError where a plan given is for labels of another kind."""
    labels_are = fingerprint.labels_are
    if ENCODINGS[plan.encoding.name].labels_are != labels_are:
        fitting = " or ".join(n for n, each in ENCODINGS.items() if each.labels_are == labels_are)
        raise SettingError(
            f"{path} has encoding {plan.encoding.name}, the labels are {labels_are}; "
            f"set encoding to {fitting}"
        )
    if labels_are == "classes" and len(plan.encoding.class_weights) != fingerprint.num_classes:
        raise SettingError(
            f"{path} has {len(plan.encoding.class_weights)} class_weights, the labels have "
            f"{fingerprint.num_classes} classes; give one weight per class"
        )


def _refuse_others(settings: TrainSettings, plan: Plan, names: tuple[str, ...]) -> None:
    """Raise SettingError where the user asks for other values than those of a plan that stands."""
    zoom = plan.tiles.zoom
    stands = {
        "width": plan.network.width,
        "zoom": zoom[0] if zoom[0] == zoom[1] else zoom,
        "seed": plan.seed,
    }
    for name in names:
        asked, planned = getattr(settings, name), stands[name]
        if asked is not None and asked != planned:
            raise SettingError(
                f"{name} is {asked}, the plan's is {planned}; leave it out or start a new training "
                "with a changed plan"
            )
    if settings.recipe not in ("default", plan.recipe):
        raise SettingError(
            f"recipe is {settings.recipe}, the plan's is {plan.recipe}; leave it out or start a "
            "new training without that plan"
        )


def describe_plan(plan: Plan, device: torch.device) -> str:
    """Return a plan in a few lines: its length, what is learned, and by which network."""
    lines = [f"plan: {name_length(plan)} on {device} with the {plan.recipe} recipe"]
    for each in put_in_words(plan):
        if each.name in ("encoding", "zoom", "network", "width"):
            lines.append(f"  {each.what}: {each.value}" + (f" – {each.why}" if each.why else ""))
    return "\n".join(lines)

"""What a user asks of a comparison, and the plans that follow from it."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from ulens.annotated.holdout import split_samples
from ulens.annotated.unseen import Division
from ulens.errors import SettingError
from ulens.io.atomic import replace_files
from ulens.io.writable import make_folder
from ulens.jobs.inspect import InspectSettings, read_asked
from ulens.jobs.options import FLAG, OUT, TIME, list_by
from ulens.jobs.planning import TrainSettings, choose_plan
from ulens.paper.contenders import FINAL_SHARE, Contender, parse_nets, parse_windows
from ulens.paper.rivals import make_rival
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.plan import Plan, read_plan
from ulens.predict.engines import choose_device
from ulens.training.model_folder import PLAN
from ulens.training.speed import MEASURING_SHARE, steps_per_second, tensor_formats

DEFAULT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class CompareSettings(InspectSettings):
    """What a user asks of a comparison; `ulens compare` has an option for each.

    Which images and labels to read, and how, is said as in `InspectSettings`.

    Parameters
    ----------
    out
        folder of the comparison: compare.html, compare.json, the charts and the models
    nets
        two or more of unet, sliding-window, fcn-8s and fcn-alexnet
    windows
        sides in pixels of further sliding windows, trained beside that of 95 px to show the
        trade-off between localisation and context; none leaves them out
    seconds
        for the training of each network, the search of its learning rate included, such as 30min;
        from Python in seconds. Without it and without steps it is 10 minutes
    steps
        length of that training in steps instead
    frames
        images to train on, such as 0-14; all that are not scored without it
    score
        images to score, such as 15-19; all that are not trained on without it; the last quarter
        without both
    width
        channels of every network's first layer; without it each has its own
    seed
        of all random draws
    field_of_interest_px
        objects found wholly within this many pixels of the border do not count; without it, the
        width is that of the Cell Tracking Challenge where a folder has the name of one of its data
        sets, and 0 elsewhere
    device
        auto, cpu, cuda or mps
    resume
        go on in OUT: a network that is trained is not trained again
    """

    _: KW_ONLY
    out: Annotated[Path, OUT]
    nets: Annotated[tuple[str, ...], list_by(parse_nets, "NAMES")] = (
        "unet", "sliding-window", "fcn-8s", "fcn-alexnet",
    )  # fmt: skip
    windows: Annotated[tuple[int, ...], list_by(parse_windows, "SIDES")] = (33, 65)
    seconds: Annotated[float | None, TIME] = None
    steps: int | None = None
    score: str | None = None
    width: int | None = None
    seed: int = 0
    field_of_interest_px: int | None = None
    device: str = "auto"
    resume: Annotated[bool, FLAG] = False

    def __post_init__(self) -> None:
        InspectSettings.__post_init__(self)
        if self.seconds is not None and self.steps is not None:
            raise SettingError(
                f"time ({self.seconds:.0f} s) and steps ({self.steps}) are both given; give one of "
                "them, the length of each network's training"
            )
        if self.seconds is None and self.steps is None:
            object.__setattr__(self, "seconds", DEFAULT_SECONDS)
        if self.width is not None and self.width < 1:
            raise SettingError(f"width is {self.width}; it needs to be at least 1")


def training_settings(settings: CompareSettings, division: Division) -> TrainSettings:
    """Return what all trainings have in common; each adds its folder and its plan."""
    return TrainSettings(
        images=settings.images,
        labels=settings.labels,
        out=settings.out,
        frames=division.training,
        labels_are=settings.labels_are,
        ignore=settings.ignore,
        axes=settings.axes,
        scene=settings.scene,
        channel=settings.channel,
        device=settings.device,
    )


def plan_all(
    contenders: Sequence[Contender], settings: CompareSettings, training: TrainSettings
) -> dict[str, Plan]:
    """Return by name the plan of each network's final training, before its learning rate is found.

    Plans that lie in a network's folder are kept; the others are made from the U-Net's, which is
    made once for all, and written there.
    """
    paths = {each.name: settings.out / each.name / PLAN for each in contenders}
    missing = [each for each in contenders if not paths[each.name].is_file()]
    if missing:
        _write_plans(missing, settings, training)
    return {name: read_plan(path) for name, path in paths.items()}


def _write_plans(
    contenders: Sequence[Contender], settings: CompareSettings, training: TrainSettings
) -> None:
    device = choose_device(settings.device)
    annotated = read_asked(training)
    fingerprint = take_fingerprint(annotated)
    if (settings.out / PLAN).is_file():
        unet = read_plan(settings.out / PLAN)
    else:
        split = split_samples(annotated.samples, labels_are=annotated.labels_are)
        asked = replace(
            training,
            seconds=None if settings.seconds is None else FINAL_SHARE * settings.seconds,
            steps=None if settings.steps is None else max(1, round(FINAL_SHARE * settings.steps)),
            width=settings.width,
            seed=settings.seed,
        )
        unet = choose_plan(asked, fingerprint, annotated, split, device)
        replace_files(settings.out, {PLAN: unet.to_bytes()})
    measure = partial(
        steps_per_second,
        in_channels=fingerprint.num_channels,
        device=device,
        allowed_seconds=MEASURING_SHARE * (settings.seconds or 0),
    )
    for each in contenders:
        plan = make_rival(
            unet,
            each.network,
            window=each.window,
            width=settings.width,
            largest_side=max(fingerprint.sizes[1]),
            measure=measure,
            formats=tensor_formats(device),
        )
        make_folder(settings.out / each.name)
        replace_files(settings.out / each.name, {PLAN: plan.to_bytes()})

"""What a user asks of a comparison, and the plans that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ulens.annotated.holdout import split_samples
from ulens.annotated.samples import read_annotated
from ulens.annotated.unseen import Division
from ulens.errors import SettingError
from ulens.io.atomic import replace_files
from ulens.jobs.outputs import make_folder
from ulens.jobs.planning import TrainSettings, choose_plan
from ulens.labels.meaning import LabelsAre
from ulens.paper.contenders import FINAL_SHARE, Contender
from ulens.paper.rivals import make_rival
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.plan import Plan, read_plan
from ulens.predict.engines import choose_device
from ulens.training.session import PLAN
from ulens.training.speed import MEASURING_SHARE, steps_per_second, tensor_formats


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareSettings:
    """What a user asks of a comparison.

    Parameters
    ----------
    images, labels, labels_are, ignore : as `read_annotated`
    out : folder of the comparison
    nets : networks by name
    windows : sides of further sliding windows, trained for the trade-off, pixels
    seconds, steps : length of each network's training, search of the learning rate included;
        one of them
    frames, score : images to train on and to score; see `ulens.annotated.unseen.divide`
    width : channels of every network's first layer; None = each its own
    seed : all random draws depend on it
    device : as `choose_device`
    resume : go on in `out`: what is trained already is not trained again
    """

    images: Path
    labels: Path | None = None
    out: Path
    nets: tuple[str, ...] = ("unet", "sliding-window", "fcn-8s", "fcn-alexnet")
    windows: tuple[int, ...] = (33, 65)
    seconds: float | None = None
    steps: int | None = None
    frames: str | None = None
    score: str | None = None
    labels_are: LabelsAre | None = None
    ignore: int | None = None
    width: int | None = None
    seed: int = 0
    device: str = "auto"
    resume: bool = False

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.steps is None):
            raise SettingError(
                f"seconds is {self.seconds}, steps is {self.steps}; give one of them, the length "
                "of each network's training"
            )
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
    annotated = read_annotated(
        training.images,
        training.labels,
        frames=training.frames,
        labels_are=training.labels_are,
        ignore=training.ignore,
    )
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

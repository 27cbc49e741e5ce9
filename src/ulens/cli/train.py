"""The command `ulens train`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ulens.cli.process import training_process
from ulens.cli.terminal import Flag, say, show_training
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training
from ulens.labels.meaning import LabelsAre
from ulens.planning.plan import Recipe
from ulens.planning.recipes import parse_duration


def train(
    images: Path,
    labels: Path | None = None,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    time: str | None = None,
    steps: int | None = None,
    recipe: Recipe = "default",
    plan: Path | None = None,
    start_from: Annotated[Path | None, Parameter(name="--from")] = None,
    frames: str | None = None,
    labels_are: LabelsAre | None = None,
    ignore: int | None = None,
    width: int | None = None,
    zoom: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    resume: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    plan_only: Annotated[bool, Flag] = False,
) -> None:
    """Train a model on annotated images.

    Parameters
    ----------
    images
        image file, stack, or folder of images; or a data set of the Cell Tracking Challenge
    labels
        label file, stack, or folder; may be left out where labels lie beside the images
    out
        folder of the model
    time
        length of the training, such as 20min, 90s or 1h (20min without --time and --steps)
    steps
        length in steps instead; the result is then the same on every run
    recipe
        default, or paper for the training published in 2015
    plan
        plan.json to train by, for example a changed one of another model
    start_from
        model to start from; noise for random weights. Without it trainings of up to ten minutes
        on objects and of up to two minutes on membranes start from the model that comes with ulens
        where images are grey, all others from noise
    frames
        which images to use, counted from 0, such as 0-14 or 0-9,12; of the Cell Tracking
        Challenge by sequence and the number in the name, such as 01:0-49
    labels_are
        how to read the labels, where ulens reads them wrongly
    ignore
        label value of pixels that are not annotated
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
        continue the training in OUT after Ctrl-C, a crash or a power cut
    overwrite
        replace the model in OUT
    plan_only
        write OUT/plan.json and stop; change it, then train with --plan OUT/plan.json
    """
    settings = TrainSettings(
        images=images,
        labels=labels,
        out=out,
        seconds=parse_duration(time) if time else None,
        steps=steps,
        recipe=recipe,
        plan=plan,
        start_from=start_from,
        frames=frames,
        labels_are=labels_are,
        ignore=ignore,
        width=width,
        zoom=zoom,
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        plan_only=plan_only,
    )
    with training_process() as stop:
        is_trained = show_training(run_training(settings, stop))
    if is_trained:
        say(f"model {out}; how good it is: {out / 'report.html'}")

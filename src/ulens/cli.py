"""The command line: `ulens train`, `segment`, `evaluate`, `describe`, `datasets`, `demo`, …"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import ulens
from ulens.bundle import LabelsAre
from ulens.cli_paper import compare, reproduce
from ulens.data.plan import Recipe
from ulens.data.recipes import parse_duration
from ulens.errors import OutputError, SettingError, UlensError
from ulens.io.datasets import find_dataset, list_datasets
from ulens.io.files import name_some, other_files
from ulens.jobs.datasets import run_fetch, use_copy
from ulens.jobs.demo import DemoResult, free_folder, run_demo
from ulens.jobs.describe import describe as describe_network
from ulens.jobs.evaluate import Measure
from ulens.jobs.evaluate import evaluate as run_evaluation
from ulens.jobs.outputs import RoiFormat
from ulens.jobs.planning import TrainSettings
from ulens.jobs.segment import SegmentProgress, run_segmentation
from ulens.jobs.segment_large import is_large_output, run_large_segmentation
from ulens.jobs.tracking import Tracked, run_tracking
from ulens.jobs.train import run_training
from ulens.predict.engines import EngineName
from ulens.predict.predictor import Average
from ulens.terminal import console, in_words, progress_bar, say, show_training, show_until
from ulens.terminal_datasets import show_datasets, show_fetch

app = App(
    name="ulens",
    help="U-Net segmentation of microscope images from a handful of annotated samples.",
    version=ulens.__version__,
)
Flag = Parameter(negative="")


@app.command
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
        model to start from instead of random weights
    frames
        which images to use, counted from 0, such as 0-14 or 0-9,12; of the Cell Tracking
        Challenge by sequence and the number in the name, such as 01:0-49
    labels_are
        how to read the labels, where ulens reads them wrongly
    ignore
        label value of pixels that are not annotated
    width
        channels of the network's first level
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
        seed=seed,
        device=device,
        resume=resume,
        overwrite=overwrite,
        plan_only=plan_only,
    )
    if show_training(run_training(settings)):
        say(f"model {out}; how good it is: {out / 'report.html'}")


@app.command
def segment(
    model: Path,
    images: Path,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    probabilities: Annotated[bool, Flag] = False,
    rois: RoiFormat | None = None,
    table: Path | None = None,
    track: Annotated[bool, Flag] = False,
    geff: Annotated[bool, Flag] = False,
    axes: str | None = None,
    average: Literal["1", "8", "rotations7"] = "1",
    device: str = "auto",
    engine: EngineName | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: Annotated[bool, Flag] = False,
) -> None:
    """Segment images with a trained model.

    Parameters
    ----------
    model
        folder of the model
    images
        image file, stack, or folder of images; with OUT a file: one TIFF or OME-Zarr of any size
    out
        folder for the label images; or a name ending in .zarr or .tif: one image is then read,
        segmented and written block by block in at most 2 GB of memory, and a run that was cut off
        goes on where it was
    probabilities
        write the probability of each class too, or the distances learned, as float32 TIFF
    rois
        write the outlines of all objects too: imagej (ROI zips) or geojson (QuPath)
    table
        CSV file for area, centroid and intensity of every object
    track
        follow the objects through the frames of a sequence; OUT becomes a result of the Cell
        Tracking Challenge, OUT.html shows it
    geff
        with --track: write the tracks as a graph too, OUT.geff
    axes
        with OUT a file: what the axes of the image are, such as ZYX, where it says so wrongly
    average
        mean over 8 flipped and rotated views, or the paper's 7 rotations; slower, better
    device
        auto, cpu, cuda or mps
    engine
        how the network is computed; without this, the fastest that gives the result of fp32 on
        this computer, as measured at the model's first use
    workers
        with OUT a file: share the blocks out among so many processes, each with at most 2 GB
    scheduler
        with OUT a file: address of a dask scheduler, such as tcp://10.0.0.1:8786, whose workers
        do the blocks; all must reach MODEL, IMAGES and OUT by the same paths
    overwrite
        replace label images of the same names in OUT, and TABLE; an older result of --track; OUT
        where it is a file
    """
    views: Average = "rotations7" if average == "rotations7" else 8 if average == "8" else 1
    events: Iterator[SegmentProgress | Tracked]
    if is_large_output(out):
        if track or geff or probabilities or rois or table:
            raise SettingError(
                f"--out {out} came with --track, --geff, --probabilities, --rois or --table, which "
                "need the whole image in memory; give a folder as --out, or leave them out"
            )
        events = run_large_segmentation(
            model, images, out, axes=axes, average=views, device=device, engine=engine,
            overwrite=overwrite, workers=workers, scheduler=scheduler,
        )  # fmt: skip
    elif axes is not None or workers is not None or scheduler is not None:
        raise SettingError(
            f"--axes, --workers or --scheduler came with --out {out}, a folder; they are for --out "
            "ending in .zarr or .tif"
        )
    elif track:
        if probabilities or rois or table:
            raise SettingError(
                "--track came with --probabilities, --rois or --table, but a result of the Cell "
                "Tracking Challenge holds none of these; segment a second time without --track"
            )
        events = run_tracking(
            model, images, out, geff=geff, average=views, device=device, engine=engine,
            overwrite=overwrite,
        )  # fmt: skip
    elif geff:
        raise SettingError("--geff came without --track; a graph needs tracks, so add --track")
    else:
        events = run_segmentation(
            model,
            images,
            out,
            probabilities=probabilities,
            rois=rois,
            table=table,
            average=views,
            device=device,
            engine=engine,
            overwrite=overwrite,
        )
    _show_segmentation(events, images, out)


def _show_segmentation(
    events: Iterator[SegmentProgress | Tracked], images: Path, out: Path
) -> None:
    if not is_large_output(out) and (others := other_files(images)):
        console.print(f"left out, in no format that ulens reads: {escape(name_some(others))}")
    num_written = 0
    tracked: Tracked | None = None
    with progress_bar() as progress:
        task = progress.add_task("segmenting", total=1.0, details="")
        for event in events:
            if isinstance(event, Tracked):
                tracked = event
                continue
            done = event.number - 1 + event.tile / max(1, event.num_tiles)
            progress.update(
                task,
                completed=done / event.num_images,
                details=f"{event.number}/{event.num_images} {event.image.name}",
            )
            num_written += bool(event.written)
            if event.note:
                progress.console.print(event.note, markup=False, highlight=False, soft_wrap=True)
            if event.error:
                left_out = f"[yellow]left out[/yellow]: {escape(event.error)}"
                progress.console.print(left_out, soft_wrap=True)
    if tracked is None:
        say(f"{num_written} segmentations in {out}")
        return
    say(
        f"tracks {tracked.num_tracks}, divisions {tracked.num_divisions}, frames "
        f"{tracked.num_frames}, outlines drawn in gaps {tracked.num_drawn}: {out}"
    )
    say(f"to look at them: {tracked.page}")
    if tracked.graph is not None:
        say(f"as a graph: {tracked.graph}")


@app.command
def evaluate(
    truth: Path,
    predicted: Path,
    *,
    measures: Annotated[list[Measure] | None, Parameter(negative="", consume_multiple=True)] = None,
    frames: str | None = None,
    ignore: int | None = None,
    labels_are: LabelsAre | None = None,
    json: Path | None = None,
) -> None:
    """Score segmentations against annotations.

    Parameters
    ----------
    truth
        label file, stack, or folder; 01_GT of the Cell Tracking Challenge
    predicted
        what ulens segment wrote, or any label images of the same names
    measures
        isbi2012, semantic, instances or ctc; all that the folders allow without it
    frames
        which images of the truth to score, counted from 0, such as 15-19
    ignore
        value in the truth of pixels that are not annotated
    labels_are
        how to read the truth, where ulens reads it wrongly
    json
        file for the scores
    """
    if json is not None and (json.exists() or not json.parent.is_dir()):
        what = f"{json} exists" if json.exists() else f"there is no folder {json.parent}"
        raise OutputError(f"{what}; choose another name")
    evaluation = run_evaluation(
        truth,
        predicted,
        measures=measures,
        frames=frames,
        ignore=ignore,
        labels_are=labels_are,
    )
    for note in evaluation.notes:
        console.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    table = Table("measure", "value", title=escape(f"{predicted} against {truth}"))
    for measure, scores in evaluation.scores.items():
        table.add_section()
        for name, value in scores.items():
            table.add_row(f"{measure} {name}", f"{value:.6f}".rstrip("0").rstrip("."))
    console.print(table)
    if json is not None:
        json.write_text(evaluation.to_json(), encoding="utf-8")


@app.command
def describe(
    model_or_recipe: str,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    overwrite: Annotated[bool, Flag] = False,
) -> None:
    """Describe a network and draw it as figure 1 of the paper.

    Parameters
    ----------
    model_or_recipe
        folder of a model, default, or paper
    out
        figure to write, .svg, .png or .pdf
    overwrite
        replace a figure of that name
    """
    for line in describe_network(model_or_recipe, out, overwrite=overwrite):
        console.print(escape(line), soft_wrap=True)


@app.command
def datasets(
    name: str | None = None,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    accept_terms: Annotated[bool, Flag] = False,
    cache: Path | None = None,
    data: Path | None = None,
) -> None:
    """List public data sets, or fetch one to train on.

    Parameters
    ----------
    name
        data set to fetch; without it all are listed, with their terms and what to cite
    out
        new folder for the data set; without it one of its name, here
    accept_terms
        you accept the terms of use, which are shown; without this nothing is downloaded
    cache
        folder in which downloaded archives are kept, so that a cut download goes on; without
        it the system's own for ulens
    data
        folder of a copy that you have: nothing is downloaded, ulens says how to train on it
    """
    if data is not None and out is not None:
        raise SettingError(
            f"--data {data} came with --out {out}, but a copy is used where it is; leave one out"
        )
    if name is not None:
        dataset = find_dataset(name)
        if data is not None:
            show_fetch(use_copy(dataset, data))
        else:
            show_fetch(run_fetch(dataset, out, accept_terms=accept_terms, cache=cache))
    elif out or accept_terms or cache or data:
        raise SettingError("options came without the name of a data set; name one of the list")
    else:
        show_datasets(list_datasets())


@app.command
def demo(
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    data: Path | None = None,
    time: str = "150s",
    seed: int = 0,
    overwrite: Annotated[bool, Flag] = False,
) -> None:
    """Simulate images, train, segment unseen ones, score, and write a report.

    Parameters
    ----------
    out
        folder for everything the demo makes; without it the first free one of demo, demo-2, …
    data
        folder of annotated images to tell the same story on
    time
        for training, all data sets together
    seed
        of all random draws
    overwrite
        replace what an earlier demo made in OUT
    """
    events = run_demo(
        out or free_folder("demo"),
        data=data,
        seconds=parse_duration(time),
        seed=seed,
        overwrite=overwrite,
    )
    result = show_until(events, DemoResult)
    assert result is not None
    for name, scores in result.scores.items():
        say(f"{name}, unseen images: {in_words(scores)}")
    say(f"report {result.report}")


app.command(compare)
app.command(reproduce)


def main() -> None:
    """Run the command line; a mistake of the user's ends with a message, not a traceback."""
    try:
        app(sys.argv[1:])
    except UlensError as error:
        Console(stderr=True).print(f"[red]error[/red]: {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        sys.exit(130)

"""The command `ulens segment`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.markup import escape

from ulens.cli.terminal import console, progress_bar, say
from ulens.errors import SettingError
from ulens.io.files import name_some, other_files
from ulens.jobs.options import FLAG
from ulens.jobs.outputs import RoiFormat
from ulens.jobs.segment import SegmentProgress, run_segmentation
from ulens.jobs.segment_large import is_large_output, run_large_segmentation
from ulens.jobs.tracking import Tracked, run_tracking
from ulens.predict.engines import EngineName
from ulens.predict.predictor import Average


def segment(
    model: Path,
    images: Path,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    probabilities: Annotated[bool, FLAG] = False,
    rois: RoiFormat | None = None,
    table: Path | None = None,
    track: Annotated[bool, FLAG] = False,
    geff: Annotated[bool, FLAG] = False,
    axes: str | None = None,
    average: Literal["1", "8", "rotations7"] = "1",
    device: str = "auto",
    engine: EngineName | None = None,
    zoom: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    field_of_interest_px: int | None = None,
    overwrite: Annotated[bool, FLAG] = False,
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
    zoom
        take images for so many times as high and wide as they are, where their cells are smaller
        or larger than those of the training: 0.5 for cells of twice the size
    workers
        with OUT a file: share the blocks out among so many processes, each with at most 2 GB
    scheduler
        with OUT a file: address of a dask scheduler, such as tcp://10.0.0.1:8786, whose workers
        do the blocks; all must reach MODEL, IMAGES and OUT by the same paths
    field_of_interest_px
        with --track: leave out objects wholly within so many pixels of the border; without it as
        the Cell Tracking Challenge does, where a folder is called as one of its data sets
    overwrite
        replace label images of the same names in OUT, and TABLE; an older result of --track; OUT
        where it is a file
    """
    views: Average = "rotations7" if average == "rotations7" else 8 if average == "8" else 1
    events: Iterator[SegmentProgress | Tracked]
    if field_of_interest_px is not None and not track:
        raise SettingError("--field-of-interest-px came without --track; leave it out")
    if is_large_output(out):
        if track or geff or probabilities or rois or table:
            raise SettingError(
                f"--out {out} came with --track, --geff, --probabilities, --rois or --table, which "
                "need the whole image in memory; give a folder as --out, or leave them out"
            )
        events = run_large_segmentation(
            model, images, out, axes=axes, average=views, device=device, engine=engine,
            overwrite=overwrite, workers=workers, scheduler=scheduler, zoom=zoom or 1.0,
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
            overwrite=overwrite, zoom=zoom or 1.0, field_of_interest_px=field_of_interest_px,
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
            zoom=zoom or 1.0,
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

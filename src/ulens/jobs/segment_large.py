"""The job of segmenting one image that is larger than memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulens.bundle import ModelBundle, find_model, load_bundle
from ulens.channels import check_channels, choose_channels
from ulens.encodings.table import ENCODINGS
from ulens.errors import OutputError
from ulens.io.atomic import write_file
from ulens.io.label_volumes import write_label_tiff
from ulens.io.regions import Volume, open_volume
from ulens.jobs.segment import SegmentProgress
from ulens.predict.engine_choice import choose_engine
from ulens.predict.engines import EngineName, choose_device
from ulens.predict.large.blocks import Blocks
from ulens.predict.large.job import (
    COMPLETE,
    CREATED,
    JOB,
    OUTPUT,
    SUFFIXES,
    LargeJob,
    check_disk,
    check_output,
    count_disk_bytes,
    count_memory_bytes,
    is_in_place,
    keep_to_job,
    measure_tile,
    plan_job,
    put_in_place,
    read_job,
)
from ulens.predict.large.parts import (
    JobRequest,
    cut_planes,
    describe_labels,
    make_predictor,
    zarr_output,
)
from ulens.predict.large.volumes import PlaneWork
from ulens.predict.large.workers import connect, do_on_workers
from ulens.predict.predictor import Average, Predictor
from ulens.predict.spacing import describe_factor, find_factor

if TYPE_CHECKING:
    from distributed import Client


def is_large_output(out: Path) -> bool:
    """Return whether a name asks for one file that is written block by block."""
    return out.suffix.lower() in SUFFIXES


def run_large_segmentation(
    model: Path,
    image: Path,
    out: Path,
    *,
    axes: str | None = None,
    average: Average = 1,
    overwrite: bool = False,
    device: str = "auto",
    engine: EngineName | None = None,
    memory_gb: float = 2.0,
    block_px: int | None = None,
    halo_px: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    zoom: float = 1.0,
) -> Iterator[SegmentProgress]:
    """Segment every plane of an image, whatever its size; iterate to do the work, stop to cancel.

    Parameters
    ----------
    model : folder that training wrote
    image, axes : as in `open_volume`
    out : file to write: .zarr (OME-Zarr 0.5) or .tif (BigTIFF in tiles). Until it is complete, all
        that is done lies beside it in ``<out>.job``, and the same call goes on from there
    average : 1 or 8, as in `Predictor`
    overwrite : replace a file of that name, once the new one is complete
    device : as in `choose_device`
    engine : as in `Segmenter`; a job that goes on keeps to the one it began with
    memory_gb : what the program may take in all, in 10⁹ bytes; with workers, each of them
    block_px, halo_px : as in `LargeJob`, instead of what the memory gives
    workers : share the work out among so many processes on this machine
    scheduler : address of a dask scheduler whose workers do the work; they must reach model, image
        and output by the same paths
    zoom : as in `Segmenter`

    Raises
    ------
    UlensError : the image, a setting or the output cannot be used, or ``<out>.job`` is of another
        job

    Notes
    -----
    Labels are those of `run_segmentation`, plane by plane. What can differ is said at the end;
    `PlaneWork` says when. Gaps in membranes are closed block by block, which is said before.
    """
    folder = out.with_name(f"{out.name}.job")
    if not is_in_place(folder):
        check_output(out, image, model, overwrite)
    model = find_model(model)
    bundle = load_bundle(model)
    with connect(workers, scheduler) as client, open_volume(image, axes) as volume:
        _check_channels(bundle, volume)
        progress = SegmentProgress(image=image, number=1, num_images=1)
        own = find_factor(volume.spacing_um, bundle.spacing_um, str(volume.path))
        if resampled := describe_factor(volume.spacing_um, bundle.spacing_um, own):
            yield replace(progress, note=resampled)
        if engine is None and (folder / JOB).is_file():
            engine = read_job(folder).engine
        if engine is None:
            choice = choose_engine(bundle, choose_device(device))
            if choice.is_new:
                yield replace(progress, note=str(choice))
            engine = choice.engine
        planned = plan_job(
            bundle, model, volume, average=average, factor=(zoom * own[0], zoom * own[1]),
            engine=engine, device=device, memory_gb=memory_gb, block_px=block_px, halo_px=halo_px,
        )  # fmt: skip
        job = keep_to_job(folder, planned)
        if not (folder / COMPLETE).is_file():
            request = JobRequest(
                model=model.resolve(), image=image.resolve(), axes=axes, job=job,
                folder=folder.resolve(), device=device, suffix=out.suffix,
            )  # fmt: skip
            works = cut_planes(request, bundle, volume)
            predictor = make_predictor(request, bundle)
            output = zarr_output(request, bundle, volume)
            if output is not None and not (folder / CREATED).is_file():
                output.create()
                write_file(folder / CREATED, b"")
            total = sum(
                work.num_steps(stage, part, predictor)
                for work in works
                for stage in work.stages
                for part in work.parts(stage)
            )
            progress = replace(progress, num_tiles=total)
            for note in _forecast(bundle, volume, request, works, predictor, client):
                yield replace(progress, note=note)
            with _told_where_it_stays(out, folder):
                for step in _do(request, works, predictor, client):
                    progress = replace(progress, tile=progress.tile + step)
                    yield progress
                yield replace(progress, note=_report(works, job))
                if output is None:
                    labels = describe_labels(bundle, volume, job)
                    write_label_tiff(folder / OUTPUT, labels, _tiles(works, job.piece_px))
                else:
                    output.tidy()
            write_file(folder / COMPLETE, b"")
    put_in_place(folder, out)
    yield replace(progress, written=(out,))


@contextmanager
def _told_where_it_stays(out: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written ({error.strerror or error}); what is done stays in "
            f"{folder}: free some space and start again"
        ) from error


def _check_channels(bundle: ModelBundle, volume: Volume) -> None:
    """Raise ShapeError before anything is read, where no pixel could make the channels fit."""
    num_needed = bundle.net.in_channels
    channels = choose_channels(volume.num_channels, num_needed, is_grey=True)
    check_channels((len(channels), *volume.size), num_needed, str(volume.path))


def _forecast(
    bundle: ModelBundle,
    volume: Volume,
    request: JobRequest,
    works: list[PlaneWork],
    predictor: Predictor,
    client: "Client | None",
) -> Iterator[str]:
    """Yield what the user should know beforehand."""
    job, folder = request.job, request.folder
    num_all = sum(_count_tiles(work, predictor) for work in works)
    num_missing = sum(_count_tiles(work, predictor, missing=True) for work in works)
    if num_missing < num_all:
        yield f"going on with {folder}: {num_all - num_missing} of {num_all} tiles are done"
    else:
        check_disk(folder, count_disk_bytes(bundle, volume, request.suffix))
    first = tuple(min(job.block_px, length) for length in volume.size)
    minutes = num_missing * measure_tile(predictor, (first[0], first[1])) / 60
    by_whom, each = (" of one worker", " each") if client else ("", "")
    num_blocks = sum(len(work.blocks) for work in works)
    sizes = "×".join(map(str, volume.shape))
    disk_gb = count_disk_bytes(bundle, volume, request.suffix) / 1e9
    yield (
        f"{sizes} pixels ({volume.axes}) in {num_blocks} block{'s' * (num_blocks > 1)}; the "
        f"network ({job.engine}) needs about {minutes:.1f} minutes{by_whom}; memory at most "
        f"{count_memory_bytes(bundle, volume, job) / 1e9:.1f} GB{each}; "
        f"on disk up to {disk_gb:.1f} GB until {folder} is done"
    )
    refined = ENCODINGS[bundle.encoding].refined
    if refined and len(works[0].blocks) > 1:
        yield (
            f"{refined} block by block, with {job.halo_px} px around each: "
            "near borders of blocks the result can differ from that of the whole image"
        )


def _count_tiles(work: PlaneWork, predictor: Predictor, *, missing: bool = False) -> int:
    return sum(
        work.num_steps("predict", block, predictor)
        for block in work.blocks
        if not (missing and work.is_done("predict", block))
    )


def _do(
    request: JobRequest, works: list[PlaneWork], predictor: Predictor, client: "Client | None"
) -> Iterator[int]:
    if client is None:
        return _do_here(works, predictor)
    return do_on_workers(client, request, works, predictor)


def _do_here(works: list[PlaneWork], predictor: Predictor) -> Iterator[int]:
    """Do all stages in this process, plane by plane; yield how many steps more are done."""
    for work in works:
        for stage in work.stages:
            for part in work.parts(stage):
                if work.is_done(stage, part):
                    yield work.num_steps(stage, part, predictor)
                else:
                    yield from work.do(stage, part, predictor)
            work.finish(stage)


def _report(works: list[PlaneWork], job: LargeJob) -> str:
    counts = [work.num_objects for work in works]
    if counts[0] is None:
        return f"planes {len(works)}"
    num_objects = sum(count or 0 for count in counts)
    num_unsure = sum(work.num_unsure for work in works)
    if num_unsure == 0:
        return (
            f"objects {num_objects}, as from the image in one piece, but for pixels that lie "
            "equally near two"
        )
    return (
        f"objects {num_objects}; about {num_unsure} of them grow over more than {job.halo_px} px "
        "of a neighbouring block: there they can end, or have another outline than from the image "
        "in one piece"
    )


def _tiles(works: list[PlaneWork], tile_px: int) -> Iterator[np.ndarray]:
    for work in works:
        tiles = Blocks(work.blocks.size, tile_px)
        for tile in tiles:
            labels = work.labels(tiles.window(tile))
            yield np.pad(labels, [(0, tile_px - length) for length in labels.shape])

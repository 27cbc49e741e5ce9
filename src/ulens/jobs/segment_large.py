"""The story of segmenting one image that is larger than memory."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ulens.bundle import ModelBundle, find_model, load_bundle
from ulens.errors import OutputError
from ulens.io.atomic import write_file
from ulens.io.label_volumes import write_label_tiff
from ulens.io.lock import check_free, hold
from ulens.io.regions import Volume, open_volume
from ulens.jobs.segment_inputs import describe_channels, reading_for
from ulens.jobs.segmenting import SegmentProgress, SegmentSettings
from ulens.predict.engine_choice import choose_engine
from ulens.predict.engines import EngineName, choose_device
from ulens.predict.large.in_words import foretell, report
from ulens.predict.large.job import (
    COMPLETE,
    CREATED,
    JOB,
    OUTPUT,
    check_output,
    finish_job,
    follow_link,
    is_in_place,
    keep_to_job,
    plan_job,
    read_job,
)
from ulens.predict.large.parts import (
    JobRequest,
    check_volume,
    cut_planes,
    describe_labels,
    do_here,
    label_tiles,
    make_predictor,
    zarr_output,
)
from ulens.predict.large.workers import connect, do_on_workers
from ulens.predict.spacing import describe_factor, find_factor
from ulens.predict.unlike import find_caveats, in_one_line, join_planes

if TYPE_CHECKING:
    from distributed import Client


def segment_large(settings: SegmentSettings) -> Iterator[SegmentProgress]:
    """Segment every plane of an image, whatever its size; iterate to do the work, stop to cancel.

    `settings.out` is .zarr (OME-Zarr 0.5) or .tif (BigTIFF in tiles). Until it is complete, all
    that is done lies beside it in ``<out>.job``, and the same call goes on from there. With
    overwrite a file of that name is replaced once the new one is complete. A job that goes on keeps
    to the engine it began with.

    Raises
    ------
    UlensError : the image, a setting or the output cannot be used, or ``<out>.job`` is of another
        job

    Notes
    -----
    Labels are those of `segment_folder`, plane by plane. What can differ is said at the end;
    `PlaneWork` says when. Gaps in membranes are closed block by block, which is said before.
    """
    out = follow_link(settings.out)
    folder = out.with_name(f"{out.name}.job")
    check_free(folder)
    if not is_in_place(folder):
        check_output(out, settings.images, settings.model, settings.overwrite)
    bundle = load_bundle(find_model(settings.model))
    progress = SegmentProgress(image=settings.images, number=1, num_images=1)
    with hold(folder) as taken_over:
        if taken_over:
            yield replace(progress, note=taken_over)
        progress = yield from _segment(settings, out, folder, bundle, progress)
        with _told_where_it_stays(out, folder):
            finish_job(folder, out, settings.overwrite)
    with suppress(OSError):
        folder.rmdir()  # unless the user put something there
    yield replace(progress, written=(settings.out,))


def _segment(
    settings: SegmentSettings,
    out: Path,
    folder: Path,
    bundle: ModelBundle,
    progress: SegmentProgress,
) -> Generator[SegmentProgress, None, SegmentProgress]:
    """Bring a job to its end, all but giving the output its name."""
    with (
        connect(settings.workers, settings.scheduler) as client,
        open_volume(settings.images, reading_for(settings, bundle)) as volume,
    ):
        check_volume(bundle, volume)
        request = yield from _plan(settings, folder, bundle, volume, progress)
        if not (folder / COMPLETE).is_file():
            zoom = settings.zoom
            progress = yield from _do_all(out, request, bundle, volume, client, progress, zoom)
            write_file(folder / COMPLETE, b"")
    return progress


def _plan(
    settings: SegmentSettings,
    folder: Path,
    bundle: ModelBundle,
    volume: Volume,
    progress: SegmentProgress,
) -> Generator[SegmentProgress, None, JobRequest]:
    """Plan the job, or keep to what the folder holds; tell how the image is read and resampled."""
    for note in volume.notes:
        yield replace(progress, note=f"{volume.path.name}: {note}")
    model = find_model(settings.model)
    for caveat in [*find_caveats(bundle), *describe_channels(settings, bundle)]:
        yield replace(progress, note=caveat)
    own = find_factor(volume.spacing_um, bundle.spacing_um, str(volume.path))
    if resampled := describe_factor(volume.spacing_um, bundle.spacing_um, own):
        yield replace(progress, note=resampled)
    engine = yield from _choose_engine(settings, folder, bundle, progress)
    planned = plan_job(
        bundle,
        model,
        volume,
        average=settings.average,
        factor=(settings.zoom * own[0], settings.zoom * own[1]),
        engine=engine,
        device=settings.device,
        memory_gb=settings.memory_gb,
        block_px=settings.block_px,
        halo_px=settings.halo_px,
    )
    return JobRequest(
        model=model.resolve(),
        image=settings.images.resolve(),
        reading=reading_for(settings, bundle),
        job=keep_to_job(folder, planned),
        folder=folder.resolve(),
        device=settings.device,
        suffix=settings.out.suffix,
    )


def _choose_engine(
    settings: SegmentSettings, folder: Path, bundle: ModelBundle, progress: SegmentProgress
) -> Generator[SegmentProgress, None, EngineName]:
    """Return the engine asked for, or of the job that goes on, or the fastest, and tell of that."""
    if settings.engine is not None:
        return settings.engine
    if (folder / JOB).is_file():
        return read_job(folder).engine
    choice = choose_engine(bundle, choose_device(settings.device))
    if choice.is_new:
        yield replace(progress, note=str(choice))
    return choice.engine


def _do_all(
    out: Path,
    request: JobRequest,
    bundle: ModelBundle,
    volume: Volume,
    client: "Client | None",
    progress: SegmentProgress,
    zoom: float,
) -> Generator[SegmentProgress, None, SegmentProgress]:
    """Do the blocks that are missing, here or on the workers, and complete the output."""
    folder, job = request.folder, request.job
    works = cut_planes(request, bundle, volume)
    predictor = make_predictor(request, bundle)
    output = zarr_output(request, bundle, volume)
    if output is not None and not (folder / CREATED).is_file():
        output.create()
        write_file(folder / CREATED, b"")
    num_tiles = sum(
        work.num_steps(stage, part, predictor)
        for work in works
        for stage in work.stages
        for part in work.parts(stage)
    )
    progress = replace(progress, num_tiles=num_tiles)
    by_workers = client is not None
    for note in foretell(bundle, volume, request, works, predictor, by_workers=by_workers):
        yield replace(progress, note=note)
    with _told_where_it_stays(out, folder):
        steps = (
            do_here(works, predictor)
            if client is None
            else do_on_workers(client, request, works, predictor)
        )
        for step in steps:
            progress = replace(progress, tile=progress.tile + step)
            yield progress
        yield replace(progress, note=report(works, job))
        unlike = join_planes([work.find_unlike(zoom) for work in works])
        warning = in_one_line(unlike)
        if output is None:
            labels = describe_labels(request, bundle, volume)
            tiles = label_tiles(works, job.piece_px)
            write_label_tiff(folder / OUTPUT, labels, tiles, warning)
        else:
            output.tidy(warning)
    return replace(progress, unlike=unlike)


@contextmanager
def _told_where_it_stays(out: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written ({error.strerror or error}); what is done stays in "
            f"{folder}: free some space and start again"
        ) from error

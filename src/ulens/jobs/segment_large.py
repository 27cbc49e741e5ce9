"""The job of segmenting one image that is larger than memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ulens.bundle import ModelBundle, load_bundle
from ulens.errors import OutputError, SettingError
from ulens.instances.encodings import ENCODINGS
from ulens.io.atomic import write_file
from ulens.io.label_volumes import LabelShape, ZarrLabels, write_label_tiff
from ulens.io.regions import Volume, open_volume
from ulens.jobs.large_job import (
    COMPLETE,
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
)
from ulens.jobs.segment import SegmentProgress
from ulens.predict.blocks import Blocks
from ulens.predict.engine_choice import choose_engine
from ulens.predict.engines import EngineName, choose_device
from ulens.predict.predictor import Average, Predictor
from ulens.predict.resample import AS_IT_IS, find_factor, name_spacing
from ulens.predict.stitching import Numbering
from ulens.predict.volumes import PlaneWork


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
    memory_gb : what the program may take in all, in 10⁹ bytes
    block_px, halo_px : as in `LargeJob`, instead of what the memory gives

    Raises
    ------
    UlensError : the image, a setting or the output cannot be used, or ``<out>.job`` is of another
        job

    Notes
    -----
    Labels are those of `run_segmentation`, plane by plane. What can differ is told at the end;
    `PlaneWork` says when. Gaps in membranes are closed block by block, which is told before.
    """
    folder = out.with_name(f"{out.name}.job")
    if not is_in_place(folder):
        check_output(out, image, overwrite)
    bundle = load_bundle(model)
    with open_volume(image, axes) as volume:
        _check_spacing(bundle, volume)
        planned = plan_job(
            bundle, model, volume, average=average,
            engine=engine or choose_engine(bundle, choose_device(device)).engine,
            memory_gb=memory_gb, block_px=block_px, halo_px=halo_px,
        )  # fmt: skip
        job = keep_to_job(folder, planned)
        progress = SegmentProgress(image=image, number=1, num_images=1)
        if not (folder / COMPLETE).is_file():
            predictor = Predictor(
                bundle.net,
                activation=ENCODINGS[bundle.encoding].activation,
                device=device,
                average=job.average,
                engine=job.engine,
                max_input=job.tile_px,
            )
            works = _cut(bundle, volume, job, folder)
            total = sum(work.num_steps(predictor) for work in works)
            progress = replace(progress, num_tiles=total)
            for note in _forecast(bundle, volume, job, works, predictor, folder):
                yield replace(progress, note=note)
            for work in works:
                for num_done in _segment(work, predictor):
                    progress = replace(progress, tile=progress.tile + num_done)
                    yield progress
            numberings = [work.number() for work in works]
            yield replace(progress, note=_report(works, numberings, job))
            try:
                for _ in _write(bundle, volume, job, works, numberings, folder, out.suffix):
                    yield progress
            except OSError as error:
                raise OutputError(
                    f"{out} cannot be written ({error.strerror or error}); what is done stays in "
                    f"{folder}: free some space and start again"
                ) from error
            write_file(folder / COMPLETE, b"")
    put_in_place(folder, out)
    yield replace(progress, written=(out,))


def _check_spacing(bundle: ModelBundle, volume: Volume) -> None:
    factor = find_factor(volume.spacing_um, bundle.spacing_um, str(volume.path))
    if factor != AS_IT_IS and volume.spacing_um and bundle.spacing_um:
        raise SettingError(
            f"{volume.path} has {name_spacing(volume.spacing_um)} µm per pixel, the model learned "
            f"at {name_spacing(bundle.spacing_um)}, and an image that is segmented block by block "
            "is not resampled; resample it first, or segment it into a folder"
        )


def _cut(bundle: ModelBundle, volume: Volume, job: LargeJob, folder: Path) -> list[PlaneWork]:
    blocks = Blocks(volume.size, job.block_px)
    return [
        PlaneWork(
            volume,
            plane,
            bundle,
            folder=folder / (plane.name or "plane"),
            blocks=blocks,
            halo_px=job.halo_px,
        )
        for plane in volume.planes()
    ]


def _forecast(
    bundle: ModelBundle,
    volume: Volume,
    job: LargeJob,
    works: list[PlaneWork],
    predictor: Predictor,
    folder: Path,
) -> Iterator[str]:
    """Yield what the user should know beforehand."""
    num_all = sum(work.num_tiles(predictor) for work in works)
    num_missing = sum(work.num_tiles(predictor, missing=True) for work in works)
    if num_missing < num_all:
        yield f"going on with {folder}: {num_all - num_missing} of {num_all} tiles are done"
    else:
        check_disk(folder, count_disk_bytes(bundle, volume))
    first = tuple(min(job.block_px, length) for length in volume.size)
    minutes = num_missing * measure_tile(predictor, (first[0], first[1])) / 60
    sizes = "×".join(map(str, volume.shape))
    yield (
        f"{sizes} pixels ({volume.axes}) in {sum(len(work.blocks) for work in works)} blocks; the "
        f"network ({job.engine}) needs about {minutes:.1f} minutes; memory at most "
        f"{count_memory_bytes(bundle, volume, job) / 1e9:.1f} GB; "
        f"on disk up to {count_disk_bytes(bundle, volume) / 1e9:.1f} GB until {folder} is done"
    )
    if bundle.encoding == "membrane" and len(works[0].blocks) > 1:
        yield (
            f"gaps in membranes are closed block by block, with {job.halo_px} px around each: "
            "near borders of blocks the result can differ from that of the whole image"
        )


def _segment(work: PlaneWork, predictor: Predictor) -> Iterator[int]:
    for _ in work.measure():
        yield 0
    yield from work.predict(predictor)
    yield from work.decode()


def _report(works: list[PlaneWork], numberings: list[Numbering | None], job: LargeJob) -> str:
    if numberings[0] is None:
        return f"planes {len(works)}"
    num_objects = sum(numbering.num_components for numbering in numberings if numbering)
    num_unsure = sum(
        work.num_unsure(numbering) for work, numbering in zip(works, numberings, strict=True)
    )
    if num_unsure == 0:
        return f"objects {num_objects}, all as from the image in one piece"
    return (
        f"objects {num_objects}; about {num_unsure} of them grow over more than {job.halo_px} px "
        "of a neighbouring block: there they can end, or have another outline than from the image "
        "in one piece"
    )


def _write(
    bundle: ModelBundle,
    volume: Volume,
    job: LargeJob,
    works: list[PlaneWork],
    numberings: list[Numbering | None],
    folder: Path,
    suffix: str,
) -> Iterator[None]:
    """Write the output under a name of its own; yield now and then."""
    is_classes = bundle.labels_are == "classes"
    labels = LabelShape(
        axes=volume.axes.replace("C", ""),
        shape=tuple(
            length
            for axis, length in zip(volume.axes, volume.shape, strict=True)
            if axis != "C"
        ),
        dtype=np.min_scalar_type(max(bundle.class_values)) if is_classes else np.dtype(np.uint32),
        spacing_um=volume.spacing_um,
        tile_px=job.piece_px,
    )  # fmt: skip
    if suffix.lower() != ".zarr":
        write_label_tiff(folder / OUTPUT, labels, _tiles(works, numberings, job.piece_px))
        return
    zarr = ZarrLabels(folder / OUTPUT, labels, job.block_px)
    if not (folder / "created").is_file():
        zarr.create()
        write_file(folder / "created", b"")
    for work, numbering in zip(works, numberings, strict=True):
        for block in work.blocks:
            if not work.written.has(block):
                window = work.blocks.window(block)
                zarr.write(work.plane, window, work.labels(window, numbering))
                work.written.write(block, np.zeros(0))
                yield
    zarr.tidy()


def _tiles(
    works: list[PlaneWork], numberings: list[Numbering | None], tile_px: int
) -> Iterator[np.ndarray]:
    for work, numbering in zip(works, numberings, strict=True):
        tiles = Blocks(work.blocks.size, tile_px)
        for tile in tiles:
            labels = work.labels(tiles.window(tile), numbering)
            yield np.pad(labels, [(0, tile_px - length) for length in labels.shape])

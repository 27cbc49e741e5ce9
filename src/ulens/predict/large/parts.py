"""The planes of a large job and the predictor for them, alike in every process that works on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.bundle import ModelBundle
from ulens.channels import check_channels, choose_channels
from ulens.encodings.table import ENCODINGS
from ulens.errors import SettingError
from ulens.io.label_volumes import LabelShape, ZarrLabels
from ulens.io.reading import Reading
from ulens.io.regions import Volume
from ulens.predict.engines import choose_device, torch_engine
from ulens.predict.large.blocks import Blocks
from ulens.predict.large.job import OUTPUT, LargeJob
from ulens.predict.large.volumes import PlaneWork
from ulens.predict.made_by import tell_maker
from ulens.predict.predictor import Predictor


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRequest:
    """What the user asked for, and where the parts of the job lie.

    Parameters
    ----------
    model, image, reading, device : of the settings of `segment_large`
    job : what every process keeps to
    folder : of the job, with its files of all blocks
    suffix : of the output, which decides its format
    """

    model: Path
    image: Path
    reading: Reading
    job: LargeJob
    folder: Path
    device: str
    suffix: str


def make_predictor(request: JobRequest, bundle: ModelBundle) -> Predictor:
    """Return the predictor that all processes use.

    Raises
    ------
    SettingError : this computer lacks the engine of the job
    """
    job = request.job
    here = torch_engine(choose_device(request.device))
    if job.engine == "openvino-int8" and here != job.beside_int8:
        raise SettingError(
            f"the job in {request.folder} computes in {job.beside_int8} what 8-bit integers "
            f"compute too roughly, this computer in {here}; go on where it was begun, or remove "
            "the folder to start over"
        )
    return Predictor(
        bundle.net,
        activation=ENCODINGS[bundle.encoding].activation,
        device=request.device,
        average=job.average,
        engine=job.engine,
        int8=bundle.int8,
        max_input=job.tile_px,
    )


def cut_planes(request: JobRequest, bundle: ModelBundle, volume: Volume) -> list[PlaneWork]:
    """Return the work on each plane of the image."""
    blocks = Blocks(volume.size, request.job.block_px)
    output = zarr_output(request, bundle, volume)
    return [
        PlaneWork(
            volume,
            plane,
            bundle,
            folder=request.folder / (plane.name or "plane"),
            blocks=blocks,
            halo_px=request.job.halo_px,
            factor=request.job.factor,
            output=output,
        )
        for plane in volume.planes()
    ]


def zarr_output(request: JobRequest, bundle: ModelBundle, volume: Volume) -> ZarrLabels | None:
    """Return the file that the blocks are written to; None for TIFF, which is written in order."""
    if request.suffix.lower() != ".zarr":
        return None
    labels = describe_labels(request, bundle, volume)
    return ZarrLabels(request.folder / OUTPUT, labels, request.job.block_px)


def describe_labels(request: JobRequest, bundle: ModelBundle, volume: Volume) -> LabelShape:
    """Return what the output will be like."""
    model, job = request.model, request.job
    is_classes = bundle.labels_are == "classes"
    return LabelShape(
        axes=volume.axes.replace("C", ""),
        shape=tuple(
            length
            for axis, length in zip(volume.axes, volume.shape, strict=True)
            if axis != "C"
        ),
        dtype=np.min_scalar_type(max(bundle.class_values)) if is_classes else np.dtype(np.uint32),
        spacing_um=volume.spacing_um,
        steps=volume.steps,
        tile_px=job.piece_px,
        made_by=tell_maker(model, bundle),
    )  # fmt: skip


def check_volume(bundle: ModelBundle, volume: Volume) -> None:
    """Raise ShapeError before anything is read, where no pixel could make the channels fit."""
    num_needed = bundle.net.in_channels
    channels = choose_channels(volume.num_channels, num_needed, is_grey=True)
    check_channels((len(channels), *volume.size), num_needed, str(volume.path))


def do_here(works: list[PlaneWork], predictor: Predictor) -> Iterator[int]:
    """Do all stages in this process, plane by plane; yield how many steps more are done."""
    for work in works:
        for stage in work.stages:
            for part in work.parts(stage):
                if work.is_done(stage, part):
                    yield work.num_steps(stage, part, predictor)
                else:
                    yield from work.do(stage, part, predictor)
            work.finish(stage)


def label_tiles(works: list[PlaneWork], tile_px: int) -> Iterator[np.ndarray]:
    """Yield the labels of all planes as (Y, X) tiles of that side, padded with 0 at the end."""
    for work in works:
        tiles = Blocks(work.blocks.size, tile_px)
        for tile in tiles:
            labels = work.labels(tiles.window(tile))
            yield np.pad(labels, [(0, tile_px - length) for length in labels.shape])

"""The story of segmenting the images of a folder, each into a label image of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ulens.bundle import load_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import DataError, SettingError, ShapeError
from ulens.io.files import list_images, planes
from ulens.io.segmentations import (
    Targets,
    check_output_folder,
    check_table,
    plan_targets,
    write_labels,
    write_maps,
)
from ulens.io.writable import make_folder
from ulens.jobs.segmenting import (
    SegmentProgress,
    SegmentSettings,
    make_segmenter,
    open_image,
    segment_plane,
)
from ulens.jobs.strange import in_one_line, join_planes
from ulens.metrics.objects import ObjectTable
from ulens.predict.model import stack_labels, stack_maps
from ulens.predict.segmenter import Segmenter
from ulens.predict.unlike import Unlike


def segment_folder(settings: SegmentSettings) -> Iterator[SegmentProgress]:
    """Segment every 2-D plane of every image; iterate to do the work, stop to cancel.

    In `settings.out` each label image is called as its image, with suffix .tif, and has its axes
    (without C) and pixel size. Beside it ``<name>_probabilities.tif`` holds float32 maps with
    C = classes; of a model that learned distances these, ``<name>_distances.tif``. Outlines are
    ``<name>.zip`` for ImageJ or ``<name>.geojson`` for QuPath. The table is written when the last
    image is done.

    Raises
    ------
    OutputError : before any work, when outputs could damage what is there
    SettingError : a table is asked for, but the model finds classes
    DataError : at the end, naming each image that could not be segmented; all others were

    Notes
    -----
    Images of another pixel size than the training images' are resampled, see `Segmenter`.
    """
    files = list_images(settings.images)
    bundle = load_bundle(settings.model)
    maps = ENCODINGS[bundle.encoding].maps if settings.probabilities else None
    outputs = plan_targets(files, settings.out, maps=maps, rois=settings.rois)
    check_output_folder(settings.out, files, settings.overwrite)
    table = settings.table
    if table is not None:
        check_table(table, settings.out, settings.overwrite)
        if bundle.labels_are == "classes":
            raise SettingError(
                f"table {table} cannot be made: {settings.model} finds classes, no single objects; "
                "leave it out, or train on instances"
            )
    segmenter = make_segmenter(settings, bundle)
    make_folder(settings.out)
    return _segment_files(segmenter, outputs, ObjectTable(table) if table else None, settings.axes)


def _segment_files(
    segmenter: Segmenter,
    outputs: dict[Path, Targets],
    table: ObjectTable | None,
    axes: str | None,
) -> Iterator[SegmentProgress]:
    errors: list[str] = []
    noted: set[str] = set()
    for number, (file, targets) in enumerate(outputs.items(), start=1):
        progress = SegmentProgress(image=file, number=number, num_images=len(outputs))
        try:
            yield from _segment_file(segmenter, targets, progress, table, noted, axes)
        except (DataError, ShapeError, SettingError) as error:
            errors.append(str(error))
            yield replace(progress, error=str(error))
        except MemoryError:
            errors.append(
                f"{file} is too large for the memory of this computer; segment it alone, with a "
                "name that ends in .zarr or .tif as out, which reads it piece by piece"
            )
            yield replace(progress, error=errors[-1])
    if table is not None:
        table.write()
    if errors:
        num_done = len(outputs) - len(errors)
        raise DataError(
            f"{len(errors)} of {len(outputs)} images could not be segmented, {num_done} were:\n"
            + "\n".join(f"- {error}" for error in errors)
        )


def _segment_file(
    segmenter: Segmenter,
    targets: Targets,
    progress: SegmentProgress,
    table: ObjectTable | None,
    noted: set[str],
    axes: str | None,
) -> Iterator[SegmentProgress]:
    image, factor, progress = yield from open_image(segmenter, progress, noted, axes)
    cut = planes(image)
    labels: list[np.ndarray] = []
    each_unlike: list[tuple[Unlike, ...]] = []
    maps: list[np.ndarray] = []
    for _, plane in cut:
        found, progress = yield from segment_plane(segmenter, plane, factor, progress)
        labels.append(found.labels)
        each_unlike.append(found.unlike)
        if targets.maps is not None:
            maps.append(found.maps)
    unlike = join_planes(each_unlike)
    write_labels(targets, image, stack_labels(labels, image), in_one_line(unlike))
    if targets.maps is not None:
        write_maps(targets.maps, image, stack_maps(maps, image))
    if table is not None:
        for (name, plane), own, strange in zip(cut, labels, each_unlike, strict=True):
            warning = in_one_line(strange)
            table.add(progress.image.name, name, own, plane, image.spacing_um, warning)
    yield replace(progress, written=targets.paths, unlike=unlike)

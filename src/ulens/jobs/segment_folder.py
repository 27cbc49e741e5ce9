"""The story of segmenting the images of a folder, each into a label image of its own."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ulens.bundle import load_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import DataError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.atomic import write_file
from ulens.io.coco import DATASET, join_coco
from ulens.io.files import list_images, planes, read_as, read_image
from ulens.io.lock import hold
from ulens.io.made_by import MadeBy
from ulens.io.reading import Reading
from ulens.io.segmentations import (
    Targets,
    check_output_folder,
    check_table,
    plan_targets,
    write_labels,
    write_maps,
)
from ulens.jobs.segment_inputs import find_images
from ulens.jobs.segment_record import Record, look_at, open_record
from ulens.jobs.segmenting import (
    SegmentProgress,
    SegmentSettings,
    check_output,
    make_segmenter,
    open_image,
    segment_plane,
    take_stock,
)
from ulens.metrics.objects import ObjectTable
from ulens.predict.made_by import tell_maker
from ulens.predict.model import stack_labels, stack_maps
from ulens.predict.segmenter import Segmenter
from ulens.predict.unlike import Unlike, in_one_line, join_planes


def segment_folder(settings: SegmentSettings) -> Iterator[SegmentProgress]:
    """Segment every 2-D plane of every image; iterate to do the work, stop to cancel.

    In `settings.out` each label image is called as its image, with suffix .tif, and has its axes
    (without C) and pixel size. Beside it ``<name>_probabilities.tif`` holds float32 maps with
    C = classes; of a model that learned distances these, ``<name>_distances.tif``. Outlines are
    ``<name>.zip`` for ImageJ, ``<name>.geojson`` for QuPath or ``<name>.coco.json``. The table,
    and ``coco.json`` of all images, are written when the last image is done. What the same model
    and options wrote there before, of images that have not changed since, is kept; see `Record`.

    Raises
    ------
    OutputError : before any work, when outputs could damage what is there
    SettingError : a table is asked for, but the model finds classes
    DataError : at the end, naming each image that could not be segmented; all others were

    Notes
    -----
    Images of another pixel size than the training images' are resampled, see `Segmenter`.
    """
    bundle = load_bundle(settings.model)
    files, reading, notes = find_images(settings, bundle, list_images(settings.images))
    if settings.only is not None:
        files = [file for file in files if file in settings.only]
    maps = ENCODINGS[bundle.encoding].maps if settings.probabilities else None
    outputs = plan_targets(files, settings.out, maps=maps, rois=settings.rois)
    check_output(settings)
    record = open_record(settings)
    check_output_folder(settings.out, files, settings.overwrite or record.goes_on)
    record.check_others(_all_paths(outputs, settings))
    table = settings.table
    if table is not None:
        check_table(table, settings.out, settings.overwrite)
        if bundle.labels_are == "classes":
            raise SettingError(
                f"table {table} cannot be made: {settings.model} finds classes, no single objects; "
                "leave it out, or train on instances"
            )
    segmenter = make_segmenter(settings, bundle)
    table_of = ObjectTable(table) if table else None
    made_by = tell_maker(settings.model, bundle)
    return _hold_and_segment(segmenter, outputs, settings, table_of, reading, notes, made_by)


def _hold_and_segment(
    segmenter: Segmenter,
    outputs: dict[Path, Targets],
    settings: SegmentSettings,
    table: ObjectTable | None,
    reading: Reading,
    notes: list[str],
    made_by: MadeBy,
) -> Iterator[SegmentProgress]:
    """Segment all files while no other process uses the folder."""
    with hold(settings.out) as taken_over:
        first = next(iter(outputs))
        for note in [taken_over] * bool(taken_over) + notes:
            yield SegmentProgress(image=first, number=1, num_images=len(outputs), note=note)
        record = open_record(settings)  # again: another run may have ended since
        record.check_others(_all_paths(outputs, settings))
        record.start()
        dataset = _plan_dataset(settings)
        yield from _segment_files(segmenter, outputs, record, table, dataset, reading, made_by)


def _plan_dataset(settings: SegmentSettings) -> Path | None:
    """Return the file of all images together, if there will be one."""
    return settings.out / DATASET if settings.rois == "coco" else None


def _all_paths(outputs: dict[Path, Targets], settings: SegmentSettings) -> list[Path]:
    """Return all that is written into the folder."""
    dataset = _plan_dataset(settings)
    each = [path for targets in outputs.values() for path in targets.paths]
    return each if dataset is None else [*each, dataset]


def _segment_files(
    segmenter: Segmenter,
    outputs: dict[Path, Targets],
    record: Record,
    table: ObjectTable | None,
    dataset: Path | None,
    reading: Reading,
    made_by: MadeBy,
) -> Iterator[SegmentProgress]:
    errors: list[str] = []
    described: list[Path] = []
    noted: set[str] = set()
    kept = record.find_kept(outputs, reading)
    for number, (file, targets) in enumerate(outputs.items(), start=1):
        progress = SegmentProgress(image=file, number=number, num_images=len(outputs))
        try:
            if file in kept:
                found, unlike = kept[file]
                _tabulate_kept(table, file, targets, in_one_line(unlike), reading)
                progress = replace(
                    progress, written=targets.paths, found=found, unlike=unlike, is_kept=True
                )
            else:
                progress = yield from _segment_file(
                    segmenter, targets, progress, record, table, noted, reading, made_by
                )
            if targets.rois is not None:
                described.append(targets.rois)
            yield progress
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
    if dataset is not None:
        record.begin([dataset])
        write_file(dataset, join_coco(described))
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
    record: Record,
    table: ObjectTable | None,
    noted: set[str],
    reading: Reading,
    made_by: MadeBy,
) -> Generator[SegmentProgress, None, SegmentProgress]:
    state = look_at(*reading.files(progress.image))
    image, factor, progress = yield from open_image(segmenter, progress, noted, reading)
    labels: list[np.ndarray] = []
    each_unlike: list[tuple[Unlike, ...]] = []
    maps: list[np.ndarray] = []
    for _, plane in planes(image):
        found, progress = yield from segment_plane(segmenter, plane, factor, progress)
        labels.append(found.labels)
        each_unlike.append(found.unlike)
        if targets.maps is not None:
            maps.append(found.maps)
    unlike = join_planes(each_unlike)
    record.begin(targets.paths)
    write_labels(targets, image, stack_labels(labels, image), in_one_line(unlike), made_by)
    if targets.maps is not None:
        write_maps(targets.maps, image, stack_maps(maps, image))
    finding = take_stock(segmenter.bundle, labels)
    record.finish(progress.image, state, finding, unlike)
    warnings = [in_one_line(each) for each in each_unlike]
    _tabulate(table, progress.image.name, image, labels, warnings)
    return replace(progress, written=targets.paths, found=finding, unlike=unlike)


def _tabulate(
    table: ObjectTable | None,
    name: str,
    image: Image,
    labels: Sequence[np.ndarray],
    warnings: Sequence[str],
) -> None:
    if table is not None:
        for (plane_name, plane), own, warning in zip(planes(image), labels, warnings, strict=True):
            table.add(name, plane_name, own, plane, image.spacing_um, warning)


def _tabulate_kept(
    table: ObjectTable | None, file: Path, targets: Targets, warning: str, reading: Reading
) -> None:
    """Measure the objects that an earlier run found."""
    if table is not None:
        labels = [plane[0].astype(np.int32) for _, plane in planes(read_image(targets.labels))]
        warnings = [warning] * len(labels)
        _tabulate(table, file.name, read_as(file, reading), labels, warnings)

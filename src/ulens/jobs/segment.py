"""The job `segment`: label images for a folder of images, by a trained model."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ulens.bundle import ModelBundle, load_bundle, save_bundle
from ulens.encodings.table import ENCODINGS
from ulens.errors import DataError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.files import list_images, planes, read_image
from ulens.io.writable import make_folder
from ulens.jobs.outputs import (
    ObjectTable,
    RoiFormat,
    Targets,
    check_output_folder,
    check_table,
    plan_targets,
    write_labels,
    write_maps,
)
from ulens.predict.engines import EngineName, choose_device
from ulens.predict.predictor import Average
from ulens.predict.segmenter import Found, Segmenter
from ulens.predict.spacing import describe_factor
from ulens.resample import Zoom


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentProgress:
    """One more tile is done, or one image has failed, or there is something to know.

    Parameters
    ----------
    image : the file at work
    number, num_images : it is the number-th of so many
    tile, num_tiles : tiles done of this image, all its planes counted
    written : its output files, once they are written
    note : what the user should know of this image and others like it, or None
    error : why the image was given up, or None
    """

    image: Path
    number: int
    num_images: int
    tile: int = 0
    num_tiles: int = 0
    written: tuple[Path, ...] = ()
    note: str | None = None
    error: str | None = None


def segment(model: str | Path, images: str | Path, out: str | Path, **options: Any) -> list[Path]:
    """Segment every image of a folder.

    Parameters
    ----------
    model, images, out, options : as in `run_segmentation`

    Returns
    -------
    the files written for the images

    Raises
    ------
    UlensError : as `run_segmentation`
    """
    events = run_segmentation(Path(model), Path(images), Path(out), **options)
    return [path for event in events for path in event.written]


def run_segmentation(
    model: Path,
    images: Path,
    out: Path,
    *,
    probabilities: bool = False,
    rois: RoiFormat | None = None,
    table: Path | None = None,
    average: Average = 1,
    overwrite: bool = False,
    device: str = "auto",
    engine: EngineName | None = None,
    zoom: float = 1.0,
) -> Iterator[SegmentProgress]:
    """Segment every 2-D plane of every image; iterate to do the work, stop to cancel.

    Parameters
    ----------
    model : folder that training wrote
    images : a folder of images or one image file
    out : folder for the label images, made if missing; each is called as its image, with
        suffix .tif, and has its axes (without C) and pixel size
    probabilities : also write ``<name>_probabilities.tif``, float32, C = classes; of a model
        that learned distances these, ``<name>_distances.tif``
    rois : also write the outlines of all objects, ``<name>.zip`` for ImageJ or
        ``<name>.geojson`` for QuPath
    table : CSV file for area, centroid and intensity of every object of all images; written
        when the last image is done
    average : as in `Predictor`
    overwrite : replace label images of the same names and the table; other files are always kept
    device : as in `choose_device`
    engine, zoom : as in `Segmenter`

    Raises
    ------
    OutputError : before any work, when outputs could damage what is there
    SettingError : a table is asked for, but the model finds classes
    DataError : at the end, naming each image that could not be segmented; all others were

    Notes
    -----
    Images of another pixel size than the training images' are resampled, see `Segmenter`.
    """
    files = list_images(images)
    bundle = load_bundle(model)
    maps = ENCODINGS[bundle.encoding].maps if probabilities else None
    outputs = plan_targets(files, out, maps=maps, rois=rois)
    check_output_folder(out, files, overwrite)
    if table is not None:
        check_table(table, out, overwrite)
    if table is not None and bundle.labels_are == "classes":
        raise SettingError(
            f"table {table} cannot be made: {model} finds classes, no single objects; leave it "
            "out, or train on instances"
        )
    segmenter = Segmenter(bundle, device=device, average=average, engine=engine, zoom=zoom)
    make_folder(out)
    return _segment_files(segmenter, outputs, ObjectTable(table) if table else None)


def segment_image(
    bundle: ModelBundle,
    image: np.ndarray | Image,
    *,
    average: Average = 1,
    segmenter: Segmenter | None = None,
) -> np.ndarray:
    """Return the labels of one image.

    Parameters
    ----------
    image : (Y, X), (C, Y, X) or (Y, X, C) with C ≤ 4, any real numeric dtype; or an Image,
        whose frames and slices are segmented one by one
    average : as in `Predictor`
    segmenter : spares the making of one for each image; it has its own `average`

    Returns
    -------
    (Y, X), or for an Image its axes without C; else as in `Found`

    Notes
    -----
    An Image that knows its pixel size is resampled, see `Segmenter`.
    """
    segmenter = segmenter or Segmenter(bundle, average=average)
    image = _as_image(image, bundle.net.in_channels)
    factor = segmenter.find_factor(image)
    labels = [segmenter.segment(plane, factor).labels for _, plane in planes(image)]
    return _stack_labels(labels, image)


class Model:
    """A trained model, ready for use.

    Parameters
    ----------
    bundle : what training made
    device : as in `choose_device`
    """

    def __init__(self, bundle: ModelBundle, *, device: str = "auto") -> None:
        self.bundle = bundle
        self._device = str(choose_device(device))
        self._segmenters: dict[Average, Segmenter] = {}

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "auto") -> "Model":
        """Load the model folder that training wrote."""
        return cls(load_bundle(Path(folder)), device=device)

    def save(self, folder: str | Path) -> None:
        """Write the model folder."""
        save_bundle(self.bundle, Path(folder))

    def segment(self, image: np.ndarray | Image, *, average: Average = 1) -> np.ndarray:
        """Return the labels of an image; see `segment_image`."""
        return segment_image(self.bundle, image, segmenter=self._segmenter(average))

    def predict(self, image: np.ndarray | Image, *, average: Average = 1) -> np.ndarray:
        """Return the class probabilities of an image, or the distances that the model learned.

        Parameters
        ----------
        image, average : as in `segment_image`

        Returns
        -------
        (K, Y, X) float32 in [0, 1]; for a stack [T] K [Z] Y X
        """
        segmenter = self._segmenter(average)
        image = _as_image(image, self.bundle.net.in_channels)
        factor = segmenter.find_factor(image)
        maps = [segmenter.segment(plane, factor).maps for _, plane in planes(image)]
        return _stack_maps(maps, image)

    def _segmenter(self, average: Average) -> Segmenter:
        if average not in self._segmenters:
            segmenter = Segmenter(self.bundle, device=self._device, average=average)
            self._segmenters[average] = segmenter
        return self._segmenters[average]


def open_image(
    segmenter: Segmenter, progress: SegmentProgress, noted: set[str]
) -> Generator[SegmentProgress, None, tuple[Image, Zoom, SegmentProgress]]:
    """Read the image at work; tell of a new choice of engine, and of another size.

    Parameters
    ----------
    noted : notes of earlier images, which are not repeated; a new one is added

    Returns
    -------
    the image, by how much the network sees it enlarged, and the progress with the number of tiles
    """
    image = read_image(progress.image)
    factor = segmenter.find_factor(image, str(progress.image))
    num_tiles = len(planes(image)) * segmenter.num_tiles(image.data.shape[-2:], factor)
    progress = replace(progress, num_tiles=num_tiles)
    own = factor[0] / segmenter.zoom, factor[1] / segmenter.zoom
    resampled = describe_factor(image.spacing_um, segmenter.bundle.spacing_um, own)
    choice = str(segmenter.choice) if segmenter.choice and segmenter.choice.is_new else None
    for note in (choice, resampled):
        if note and note not in noted:
            noted.add(note)
            yield replace(progress, note=note)
    return image, factor, progress


def segment_plane(
    segmenter: Segmenter, plane: np.ndarray, factor: Zoom, progress: SegmentProgress
) -> Generator[SegmentProgress, None, tuple[Found, SegmentProgress]]:
    """Segment a plane of the image at work, and tell of every tile.

    Parameters
    ----------
    plane : (C, Y, X), any real numeric dtype
    factor, progress : of `open_image`

    Returns
    -------
    what was found, and the progress
    """
    work = segmenter.stream(plane, factor, progress.image.name)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, progress
        progress = replace(progress, tile=progress.tile + 1)
        yield progress


def _segment_files(
    segmenter: Segmenter, outputs: dict[Path, Targets], table: ObjectTable | None
) -> Iterator[SegmentProgress]:
    errors: list[str] = []
    noted: set[str] = set()
    for number, (file, targets) in enumerate(outputs.items(), start=1):
        progress = SegmentProgress(image=file, number=number, num_images=len(outputs))
        try:
            yield from _segment_file(segmenter, targets, progress, table, noted)
        except (DataError, ShapeError) as error:
            errors.append(str(error))
            yield replace(progress, error=str(error))
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
) -> Iterator[SegmentProgress]:
    image, factor, progress = yield from open_image(segmenter, progress, noted)
    cut = planes(image)
    labels: list[np.ndarray] = []
    maps: list[np.ndarray] = []
    for _, plane in cut:
        found, progress = yield from segment_plane(segmenter, plane, factor, progress)
        labels.append(found.labels)
        if targets.maps is not None:
            maps.append(found.maps)
    write_labels(targets, image, _stack_labels(labels, image))
    if targets.maps is not None:
        write_maps(targets.maps, image, _stack_maps(maps, image))
    if table is not None:
        for (name, plane), found_labels in zip(cut, labels, strict=True):
            table.add(progress.image.name, name, found_labels, plane, image.spacing_um)
    yield replace(progress, written=targets.paths)


def _as_image(image: np.ndarray | Image, num_channels: int) -> Image:
    """Find the channels of an array; alpha is dropped, as it is from files."""
    if isinstance(image, Image):
        return image
    if image.ndim == 3 and len(image) != num_channels and image.shape[2] <= 4:
        has_alpha = image.shape[2] in (2, 4) and image.shape[2] != num_channels
        image = np.moveaxis(image[..., :-1] if has_alpha else image, 2, 0)
    if image.ndim not in (2, 3):
        raise ShapeError(
            f"image has shape {image.shape}; need (Y, X), (C, Y, X) or (Y, X, C); "
            "give a stack as ulens.Image, which names its axes"
        )
    return Image(data=image, axes="CYX"[-image.ndim :])


def _stack_labels(labels: list[np.ndarray], image: Image) -> np.ndarray:
    return np.stack(labels).reshape(*_frames(image).values(), *labels[0].shape)


def _stack_maps(predicted: list[np.ndarray], image: Image) -> np.ndarray:
    frames = _frames(image)
    stacked = np.stack(predicted).reshape(*frames.values(), *predicted[0].shape)
    # classes take the place of channels: behind T, before Z
    return np.moveaxis(stacked, len(frames), int("T" in frames))


def _frames(image: Image) -> dict[str, int]:
    """Return the lengths of the axes T and Z, as far as the image has them."""
    sizes = zip(image.axes, image.data.shape, strict=True)
    return {letter: size for letter, size in sizes if letter in "TZ"}


load = Model.load

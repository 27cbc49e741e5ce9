"""What a user asks of a segmentation, and what it reports while it works."""

from collections.abc import Generator
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Annotated as With
from typing import TypeVar

import numpy as np

from ulens.bundle import MODEL, ModelBundle
from ulens.errors import OutputError, SettingError
from ulens.image import Image
from ulens.io.axes import check_axes
from ulens.io.files import planes, read_as
from ulens.io.lock import check_free
from ulens.io.reading import BY_FILE, Reading
from ulens.io.segmentations import RoiFormat
from ulens.jobs.options import FLAG, FROM_PYTHON_ALONE, OUT, REPEATED
from ulens.predict.engines import EngineName
from ulens.predict.large.job import SUFFIXES
from ulens.predict.predictor import Average
from ulens.predict.segmenter import Found, Segmenter
from ulens.predict.spacing import describe_factor
from ulens.predict.unlike import Unlike, find_caveats
from ulens.resample import Zoom, check_zoom

Result = TypeVar("Result")
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".csv", ".json"}


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """What a user asks of a segmentation; `ulens segment` has an option for each.

    Parameters
    ----------
    model
        folder of the model
    images
        image file, stack, or folder of images; with OUT a file: one TIFF or OME-Zarr of any size
    out
        folder for the label images, where a run that was cut off goes on; or a name ending in
        .zarr or .tif: one image is then read, segmented and written block by block in at most
        2 GB of memory, and goes on likewise
    probabilities
        write the probability of each class too, or the distances learned, as float32 TIFF
    rois
        write the outlines of all objects too: imagej (ROI zips), geojson (QuPath) or coco (JSON of
        each image, and coco.json of all)
    table
        CSV file for area, centroid and intensity of every object
    track
        follow the objects through the frames of a sequence; OUT becomes a result of the Cell
        Tracking Challenge, OUT.html shows it
    geff
        with --track: write the tracks as a graph too, OUT.geff
    axes
        what the axes of the images are, such as ZYX or YXC, where the files do not say or say so
        wrongly
    scene
        number, from 1, or name of the image to read, where a file holds several
    channel
        number, from 1, or name of the channel to read, instead of all; several by repeating it;
        without this those that the model was trained on
    average
        mean over 8 flipped and rotated views, or the paper's 7 rotations; slower, better
    device
        auto, cpu, cuda or mps
    engine
        how the network is computed; without this, the fastest that gives the result of fp32 on
        this computer, as measured at the model's first use
    zoom
        enlarge images by this factor first, where their cells are smaller or larger than those of
        the training: 0.5 for cells twice as large
    workers
        with OUT a file: share the blocks among this many processes, each with at most 2 GB
    scheduler
        with OUT a file: address of a dask scheduler, such as tcp://10.0.0.1:8786, whose workers
        do the blocks; all must reach MODEL, IMAGES and OUT by the same paths
    field_of_interest_px
        with --track: leave out objects that lie wholly within this many pixels of the border;
        without it, the width is that of the Cell Tracking Challenge where a folder has the name of
        one of its data sets, and 0 elsewhere
    overwrite
        replace what ulens made before: label images in OUT, an older result of --track; and the
        files that are named, TABLE and OUT
    memory_gb
        with OUT a file: what the program may take in all, in 10⁹ bytes; with workers, each of them
    block_px, halo_px
        with OUT a file: as in `LargeJob`, instead of what the memory gives
    only
        of a folder of images these files, of each image its first; without it, all
    """

    model: Path
    images: Path
    _: KW_ONLY
    out: With[Path, OUT]
    probabilities: With[bool, FLAG] = False
    rois: RoiFormat | None = None
    table: Path | None = None
    track: With[bool, FLAG] = False
    geff: With[bool, FLAG] = False
    axes: str | None = None
    scene: str | None = None
    channel: With[tuple[str, ...], REPEATED] = ()
    average: Average = 1
    device: str = "auto"
    engine: EngineName | None = None
    zoom: float = 1.0
    workers: int | None = None
    scheduler: str | None = None
    field_of_interest_px: int | None = None
    overwrite: With[bool, FLAG] = False
    memory_gb: With[float, FROM_PYTHON_ALONE] = 2.0
    block_px: With[int | None, FROM_PYTHON_ALONE] = None
    halo_px: With[int | None, FROM_PYTHON_ALONE] = None
    only: With[tuple[Path, ...] | None, FROM_PYTHON_ALONE] = None

    def __post_init__(self) -> None:
        check_zoom((self.zoom, self.zoom))
        if self.axes is not None:
            check_axes(self.axes)
        if self.out.suffix.lower() in _PICTURES and not self.out.is_dir():
            raise SettingError(
                f"out {self.out} looks like a file, but label images are TIFF files in a folder; "
                "give a folder, such as masks, or for one image a name that ends in .tif"
            )
        in_memory = self._given("track", "geff", "probabilities", "rois", "table")
        if self.is_large and in_memory:
            raise SettingError(
                f"{in_memory} came with out {self.out}, a file, which is written block by block "
                f"and never whole in memory; give a folder as out, or leave {in_memory} out"
            )
        by_blocks = self._given("workers", "scheduler", "block_px", "halo_px")
        if not self.is_large and by_blocks:
            raise SettingError(
                f"{by_blocks} came with out {self.out}, a folder; give a name that ends in .zarr "
                f"or .tif as out, or leave {by_blocks} out"
            )
        beside_labels = self._given("probabilities", "rois", "table")
        if self.track and beside_labels:
            raise SettingError(
                f"track came with {beside_labels}, but a result of the Cell Tracking Challenge "
                "holds none of these; segment a second time without track"
            )
        if self.only is not None and (self.track or self.is_large):
            raise SettingError(
                "only came with track, or with out a file, which take all of an image; leave it out"
            )
        if self.geff and not self.track:
            raise SettingError("geff came without track; a graph needs tracks, so add track")
        if self.field_of_interest_px is not None and not self.track:
            raise SettingError("field_of_interest_px came without track; leave it out")
        if self.workers is not None and self.scheduler is not None:
            raise SettingError(
                f"workers is {self.workers}, scheduler is {self.scheduler}; set one of them: so "
                "many processes on this machine, or the address of a dask scheduler"
            )
        if self.workers is not None and self.workers < 1:
            raise SettingError(f"workers is {self.workers}; need 1 or more")

    @property
    def is_large(self) -> bool:
        """Whether `out` is one file that is written block by block."""
        return self.out.suffix.lower() in SUFFIXES

    def _given(self, *names: str) -> str:
        """Return which of some settings were given."""
        values = {name: getattr(self, name) for name in names}
        given = [name for name, value in values.items() if value is not None and value is not False]
        return " and ".join(given)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found in an image, all its planes together.

    Parameters
    ----------
    num_objects : of a model that finds objects, else None
    foreground : share of the pixels that are of another class than the first, else None
    num_classes : how many classes occur, else None
    """

    num_objects: int | None = None
    foreground: float | None = None
    num_classes: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there are no objects, or there is one class alone."""
        return self.num_objects == 0 or self.num_classes == 1

    def __str__(self) -> str:
        if self.num_objects is not None:
            return f"{self.num_objects} object{'' if self.num_objects == 1 else 's'}"
        return f"foreground {self.foreground:.1%}"


def take_stock(bundle: ModelBundle, labels: list[np.ndarray]) -> Finding:
    """Count what (Y, X) labels of all planes hold.

    Labels of objects count up from 1 in every plane.
    """
    if bundle.labels_are == "instances":
        return Finding(num_objects=sum(int(plane.max(initial=0)) for plane in labels))
    ground = bundle.class_values[0]
    held = {int(value) for plane in labels for value in np.unique(plane)}
    share = float(np.mean([(plane != ground).mean() for plane in labels]))
    return Finding(foreground=share, num_classes=len(held))


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentProgress:
    """One more tile is done, or one image has failed, or there is something to know.

    Parameters
    ----------
    image : the file at work
    number, num_images : its number, counted from 1, and how many there are
    tile, num_tiles : tiles done of this image, all its planes counted
    written : its output files, once they are written
    found : what it holds, once that is known
    is_kept : whether an earlier run wrote them
    note : what the user should know of this image and others like it, or None
    unlike : how the image is unlike those of the training, once it is segmented
    error : why the image was given up, or None
    """

    image: Path
    number: int
    num_images: int
    tile: int = 0
    num_tiles: int = 0
    written: tuple[Path, ...] = ()
    found: Finding | None = None
    is_kept: bool = False
    note: str | None = None
    unlike: tuple[Unlike, ...] = ()
    error: str | None = None

    @property
    def share_done(self) -> float:
        """Share of all images that is done, 0 to 1."""
        part = 1.0 if self.is_kept else self.tile / max(1, self.num_tiles)
        return (self.number - 1 + part) / self.num_images

    @property
    def at(self) -> str:
        """Where the work is, in words."""
        return f"{self.number}/{self.num_images} {self.image.name}"


def check_output(settings: SegmentSettings) -> None:
    """Raise OutputError where the output folder is in use, or holds a model."""
    check_free(settings.out)
    if (settings.out / MODEL).is_file():
        raise OutputError(f"output folder {settings.out} is a model; choose another")


def make_segmenter(settings: SegmentSettings, bundle: ModelBundle) -> Segmenter:
    """Return what segments planes as the user asks for."""
    return Segmenter(
        bundle,
        device=settings.device,
        average=settings.average,
        engine=settings.engine,
        zoom=settings.zoom,
    )


def open_image(
    segmenter: Segmenter, progress: SegmentProgress, noted: set[str], reading: Reading = BY_FILE
) -> Generator[SegmentProgress, None, tuple[Image, Zoom, SegmentProgress]]:
    """Read the image at work; tell of what was guessed, a new choice of engine, another size.

    Parameters
    ----------
    noted : notes of earlier images, which are not repeated; a new one is added
    reading : how to read it

    Returns
    -------
    the image, by how much the network sees it enlarged, and the progress with the number of tiles
    """
    image = read_as(progress.image, reading)
    factor = segmenter.find_factor(image, str(progress.image))
    num_tiles = len(planes(image)) * segmenter.num_tiles(image.data.shape[-2:], factor)
    progress = replace(progress, num_tiles=num_tiles)
    own = factor[0] / segmenter.zoom, factor[1] / segmenter.zoom
    resampled = describe_factor(image.spacing_um, segmenter.bundle.spacing_um, own)
    choice = str(segmenter.choice) if segmenter.choice and segmenter.choice.is_new else None
    for note in (*image.notes, *find_caveats(segmenter.bundle), choice, resampled):
        if note and note not in noted:
            noted.add(note)
            about = f"{progress.image.name}: " if note in image.notes else ""
            yield replace(progress, note=f"{about}{note}")
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
    return (yield from follow(segmenter.stream(plane, factor, progress.image.name), progress))


def follow(
    work: Generator[None, None, Result], progress: SegmentProgress
) -> Generator[SegmentProgress, None, tuple[Result, SegmentProgress]]:
    """Do work that yields after every tile, and tell of each; return its result and where it is."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, progress
        progress = replace(progress, tile=progress.tile + 1)
        yield progress

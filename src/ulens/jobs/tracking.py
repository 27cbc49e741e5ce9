"""The job `segment --track`: a sequence as a result of the Cell Tracking Challenge."""

import re
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.annotated.ctc import write_result
from ulens.bundle import load_bundle
from ulens.errors import DataError, OutputError, SettingError, ShapeError
from ulens.io.files import list_images, name_some, planes, read_image
from ulens.jobs.outputs import check_output_folder
from ulens.jobs.segment import SegmentProgress, open_image, segment_plane
from ulens.labels.resize import resize_labels
from ulens.predict.engines import EngineName
from ulens.predict.predictor import Average
from ulens.predict.segmenter import Segmenter
from ulens.report.track_pictures import fit_image
from ulens.report.tracking import Shown, choose_frames, write_tracking_report
from ulens.tracking.field_of_interest import FIELD_OF_INTEREST_PX, check_border, drop_outside_field
from ulens.tracking.gaps import fill_gaps
from ulens.tracking.geff import check_geff, write_geff
from ulens.tracking.lineage import divisions, name_frames
from ulens.tracking.tracks import Tracking, track


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """The sequence is done.

    Parameters
    ----------
    num_frames, num_tracks, num_divisions : what was found
    num_drawn : objects that were missed in a frame and drawn by those before and after
    page : the HTML file that shows it
    graph : the geff folder, if it was asked for
    """

    num_frames: int
    num_tracks: int
    num_divisions: int
    num_drawn: int
    page: Path
    graph: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frames:
    """The frames of a sequence.

    Parameters
    ----------
    files : a stack, or one file for each frame
    first : number of the first frame
    num : how many there are
    num_digits : of the numbers in the names of the masks
    spacing_um : (y, x) pixel size in µm of the first, or None where it is unknown
    """

    files: list[Path]
    first: int
    num: int
    num_digits: int
    spacing_um: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outputs:
    """Where results go: a folder, and beside it a page and perhaps a graph."""

    folder: Path
    page: Path
    graph: Path | None


class _Packed:
    """A label image, compressed: sequences of thousands of frames must fit into memory."""

    def __init__(self, labels: np.ndarray) -> None:
        self._shape, self._dtype = labels.shape, labels.dtype
        self._bytes = zlib.compress(labels.tobytes(), level=1)

    def unpack(self) -> np.ndarray:
        return np.frombuffer(zlib.decompress(self._bytes), self._dtype).reshape(self._shape)


def run_tracking(
    model: Path,
    images: Path,
    out: Path,
    *,
    geff: bool = False,
    average: Average = 1,
    overwrite: bool = False,
    device: str = "auto",
    engine: EngineName | None = None,
    zoom: float = 1.0,
    field_of_interest_px: int | None = None,
) -> Iterator[SegmentProgress | Tracked]:
    """Segment and track all frames of a sequence; iterate to do the work, stop to cancel.

    Parameters
    ----------
    model : folder that training wrote, for instances
    images : a folder of 2-D frames of one size, or one stack along T
    out : folder for mask000.tif and so on and res_track.txt, made if missing; a page with
        pictures is written beside it, ``<out>.html``, so that the folder can be submitted
    geff : also write the tracks as a graph, ``<out>.geff``; see `ulens.tracking.geff`
    average, device, engine, zoom : as in `Segmenter`
    overwrite : replace an older result: its masks, res_track.txt, the page and the graph; other
        files are always kept
    field_of_interest_px : objects wholly within so many pixels of the border are left out; None is
        what the Cell Tracking Challenge does, if the frames lie in one of its data sets

    Raises
    ------
    OutputError : before any work, when outputs could damage what is there
    SettingError : the model finds classes; a graph is asked for, but the package geff is missing
    ShapeError : frames that are no planes or differ in size
    DataError : a frame that cannot be read, or a missing one

    Notes
    -----
    Files t000.tif and so on keep their numbers; others are counted from 0, in the order of the
    numbers in their names.

    An object that was missed in up to three frames is drawn there by those before and after, see
    `fill_gaps`.

    Frames in a folder such as DIC-C2DH-HeLa/01 are of the challenge: objects wholly outside its
    field of interest are left out before tracking, as in its references. That is told first.
    """
    files = list_images(images)
    bundle = load_bundle(model)
    if bundle.labels_are == "classes":
        raise SettingError(
            f"{images} cannot be tracked: {model} finds classes, no single objects; leave track "
            "out, or train on instances"
        )
    check_output_folder(out, files, overwrite)
    outputs = _plan_outputs(out, geff, overwrite)
    frames = _check_frames(files)
    segmenter = Segmenter(bundle, device=device, average=average, engine=engine, zoom=zoom)
    return _track_frames(segmenter, frames, outputs, field_of_interest_px)


def _track_frames(
    segmenter: Segmenter, frames: _Frames, outputs: _Outputs, field_of_interest_px: int | None
) -> Iterator[SegmentProgress | Tracked]:
    border_px, field = _find_border(frames.files[0], field_of_interest_px)
    if field:
        note = f"objects wholly within the border are left out: {field}"
        if field_of_interest_px is None:
            note += ", as the folder is called; field_of_interest_px (--field-of-interest-px) can "
            note += "say otherwise"
        num_images = len(frames.files)
        yield SegmentProgress(image=frames.files[0], number=1, num_images=num_images, note=note)
    packed, pictures = yield from _segment_frames(segmenter, frames, border_px)
    tracking = track((each.unpack() for each in packed), first_frame=frames.first)
    num_drawn = _fill_gaps(packed, tracking, border_px)
    if num_drawn:
        tracking = track((each.unpack() for each in packed), first_frame=frames.first)
    lineage = tracking.lineage
    _remove_result(outputs.folder)
    masks = _relabel(packed, tracking)
    write_result(outputs.folder, masks, lineage, num_digits=frames.num_digits)
    if outputs.graph is not None:
        again = _relabel(packed, tracking)
        write_geff(outputs.graph, again, lineage, spacing_um=frames.spacing_um)
    shown = _collect_shown(pictures, packed, tracking)
    write_tracking_report(
        outputs.page,
        out=outputs.folder,
        tracking=tracking,
        shown=shown,
        field=field,
        num_drawn=num_drawn,
    )
    yield Tracked(
        num_frames=frames.num,
        num_tracks=len(lineage.tracks),
        num_divisions=len(divisions(lineage)),
        num_drawn=num_drawn,
        page=outputs.page,
        graph=outputs.graph,
    )


def _find_border(file: Path, asked_px: int | None) -> tuple[int, str]:
    """Return the border around the field of interest, and in words why; '' where there is none."""
    if asked_px is not None:
        return check_border(asked_px), f"{asked_px} px" if asked_px else ""
    data_set = file.absolute().parent.parent.name
    border_px = FIELD_OF_INTEREST_PX.get(data_set, 0)
    return border_px, f"{border_px} px in {data_set}" if border_px else ""


def _segment_frames(
    segmenter: Segmenter, frames: _Frames, border_px: int
) -> Generator[SegmentProgress, None, tuple[list[_Packed], dict[int, np.ndarray]]]:
    """Return the labels of all frames, and by number the pictures of those to show."""
    wanted = {frames.first + i for i in choose_frames(frames.num)}
    packed: list[_Packed] = []
    pictures: dict[int, np.ndarray] = {}
    noted: set[str] = set()
    for number, file in enumerate(frames.files, start=1):
        progress = SegmentProgress(image=file, number=number, num_images=len(frames.files))
        image, factor, progress = yield from open_image(segmenter, progress, noted)
        for _, plane in planes(image):
            found, progress = yield from segment_plane(segmenter, plane, factor, progress)
            frame = frames.first + len(packed)
            if frame in wanted:
                pictures[frame] = fit_image(plane)
            packed.append(_Packed(drop_outside_field(found.labels, border_px)))
    return packed, pictures


def _fill_gaps(packed: list[_Packed], tracking: Tracking, border_px: int) -> int:
    """Draw objects that were missed in a few frames; return how many."""
    first = tracking.first_frame
    num_drawn = 0
    for frame, labels in fill_gaps(lambda frame: packed[frame - first].unpack(), tracking).items():
        kept = drop_outside_field(labels, border_px)
        num_drawn += len(np.unique(kept[kept > 0])) - len(tracking.labels[frame - first])
        packed[frame - first] = _Packed(kept)
    return num_drawn


def _relabel(packed: list[_Packed], tracking: Tracking) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of every frame and its (Y, X) uint16 tracks."""
    for frame, each in enumerate(packed, start=tracking.first_frame):
        yield frame, tracking.relabel(frame, each.unpack())


def _collect_shown(
    pictures: dict[int, np.ndarray], packed: list[_Packed], tracking: Tracking
) -> list[Shown]:
    shown: list[Shown] = []
    for frame, picture in pictures.items():
        mask = tracking.relabel(frame, packed[frame - tracking.first_frame].unpack())
        labels = resize_labels(mask, picture.shape[:2])
        shown.append(Shown(number=frame, picture=picture, labels=labels))
    return shown


def _plan_outputs(out: Path, geff: bool, overwrite: bool) -> _Outputs:
    """Return where the results go, or raise OutputError where they may not be written."""
    folder = out.absolute()
    page = folder.with_name(f"{folder.name}.html")
    if page.is_dir() or (page.exists() and not overwrite):
        raise OutputError(
            f"page {page} exists; choose another output folder, or allow the page to be replaced "
            "with overwrite (--overwrite)"
        )
    graph = folder.with_name(f"{folder.name}.geff") if geff else None
    if graph is not None:
        check_geff(graph, overwrite=overwrite)
    return _Outputs(folder=out, page=page, graph=graph)


def _check_frames(files: list[Path]) -> _Frames:
    """Read all frames once, so that a bad one is found before hours of work."""
    first, num_digits = _number_frames(files)
    size: tuple[int, ...] | None = None
    spacing_um: tuple[float, float] | None = None
    num_planes = 0
    for file in files:
        image = read_image(file)
        allowed = "TCYX" if len(files) == 1 else "CYX"
        if not set(image.axes) <= set(allowed):
            raise ShapeError(
                f"{file} has the axes {image.axes} {image.data.shape}; tracking needs a folder of "
                "2-D frames, or one stack along T; save volumes as one, plane by plane"
            )
        if size not in (None, image.data.shape[-2:]):
            raise ShapeError(
                f"{file.name} is {_times(image.data.shape[-2:])}, {files[0].name} "
                f"{_times(size or ())}; tracking needs frames of one size; crop them, or take "
                "those of another sequence out"
            )
        if size is None:
            size, spacing_um = image.data.shape[-2:], image.spacing_um
        num_planes += image.data.shape[0] if "T" in image.axes else 1
    return _Frames(
        files=files,
        first=first,
        num=num_planes,
        num_digits=num_digits or (3 if num_planes <= 1000 else 4),
        spacing_um=spacing_um,
    )


def _number_frames(files: list[Path]) -> tuple[int, int | None]:
    """Return the first frame's number, and the digits of all numbers if the names give them."""
    matches = [re.fullmatch(r"t(\d{3,4})", file.stem) for file in files]
    digits = [match[1] for match in matches if match]
    if not digits:
        return 0, None
    if len(digits) < len(files):
        others = [file for file, match in zip(files, matches, strict=True) if not match]
        raise DataError(
            f"{files[0].parent} holds frames named t{digits[0]} and so on, and also "
            f"{name_some(others)}; move these to another folder"
        )
    numbers = sorted(map(int, digits))
    if len(set(numbers)) < len(numbers):
        raise DataError(
            f"{files[0].parent} holds two files of one frame ({name_some(files)}); keep one of each"
        )
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    if missing:
        raise DataError(
            f"{files[0].parent} lacks {name_frames(missing)}; tracking needs consecutive frames; "
            "add what is missing, or rename the files to count without a gap"
        )
    return numbers[0], max(map(len, digits))


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _remove_result(folder: Path) -> None:
    """Remove an older result, whose masks would mix with the new ones."""
    old = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in old:
        if re.fullmatch(r"mask\d{3,4}\.tiff?|res_track\.txt", path.name):
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(
                    f"{path} cannot be removed ({error.strerror}); choose another folder"
                ) from error

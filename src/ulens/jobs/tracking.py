"""The job `segment --track`: a sequence as a result of the Cell Tracking Challenge."""

import re
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.bundle import ModelBundle, load_bundle
from ulens.errors import DataError, OutputError, SettingError, ShapeError
from ulens.io.ctc import write_result
from ulens.io.files import list_images, name_some, planes, read_image
from ulens.jobs.outputs import check_output_folder
from ulens.jobs.segment import SegmentProgress, make_predictor, segment_plane
from ulens.jobs.tracking_report import Shown, choose_frames, write_tracking_report
from ulens.labels.field_of_interest import FIELD_OF_INTEREST_PX, drop_outside_field
from ulens.lineage import name_frames
from ulens.predict.predictor import Average, Predictor
from ulens.report.lineage_chart import divisions
from ulens.tracks import track


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """The sequence is done.

    Parameters
    ----------
    num_frames, num_tracks, num_divisions : what was found
    page : the HTML file that shows it
    """

    num_frames: int
    num_tracks: int
    num_divisions: int
    page: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frames:
    """The frames of a sequence.

    Parameters
    ----------
    files : a stack, or one file for each frame
    first : number of the first frame
    num : how many there are
    num_digits : of the numbers in the names of the masks
    """

    files: list[Path]
    first: int
    num: int
    num_digits: int


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
    average: Average = 1,
    overwrite: bool = False,
    device: str = "auto",
) -> Iterator[SegmentProgress | Tracked]:
    """Segment and track all frames of a sequence; iterate to do the work, stop to cancel.

    Parameters
    ----------
    model : folder that training wrote, for instances
    images : a folder of 2-D frames of one size, or one stack along T
    out : folder for mask000.tif and so on and res_track.txt, made if missing; a page with
        pictures is written beside it, ``<out>.html``, so that the folder can be submitted
    average, device : as in `Predictor`
    overwrite : replace an older result: its masks, res_track.txt and the page; other files are
        always kept

    Raises
    ------
    OutputError : before any work, when outputs could damage what is there
    SettingError : the model finds classes
    ShapeError : frames that are no planes or differ in size
    DataError : a frame that cannot be read, or a missing one

    Notes
    -----
    Files t000.tif and so on keep their numbers; others are counted from 0, in the order of the
    numbers in their names.

    Frames in a folder such as DIC-C2DH-HeLa/01 are of the challenge: objects wholly outside its
    field of interest are left out before tracking, as in its references.
    """
    files = list_images(images)
    bundle = load_bundle(model)
    if bundle.labels_are == "classes":
        raise SettingError(
            f"{images} cannot be tracked: {model} finds classes, no single objects; leave track "
            "out, or train on instances"
        )
    check_output_folder(out, files, overwrite)
    page = _check_page(out, overwrite)
    frames = _check_frames(files)
    predictor = make_predictor(bundle, device=device, average=average)
    return _track_frames(bundle, predictor, frames, out, page)


def _track_frames(
    bundle: ModelBundle, predictor: Predictor, frames: _Frames, out: Path, page: Path
) -> Iterator[SegmentProgress | Tracked]:
    data_set = frames.files[0].absolute().parent.parent.name
    border_px = FIELD_OF_INTEREST_PX.get(data_set, 0)
    packed, pixels = yield from _segment_frames(bundle, predictor, frames, border_px)
    tracking = track((each.unpack() for each in packed), first_frame=frames.first)
    _remove_result(out)
    masks = (
        (number, tracking.relabel(number, each.unpack()))
        for number, each in enumerate(packed, start=frames.first)
    )
    write_result(out, masks, tracking.lineage, num_digits=frames.num_digits)
    shown = [
        Shown(
            number=frames.first + i,
            image=image,
            labels=tracking.relabel(frames.first + i, packed[i].unpack()),
        )
        for i, image in pixels.items()
    ]
    field = f"{border_px} px in {data_set}" if border_px else ""
    write_tracking_report(page, out=out, tracking=tracking, shown=shown, field=field)
    yield Tracked(
        num_frames=frames.num,
        num_tracks=len(tracking.lineage.tracks),
        num_divisions=len(divisions(tracking.lineage)),
        page=page,
    )


def _segment_frames(
    bundle: ModelBundle, predictor: Predictor, frames: _Frames, border_px: int
) -> Generator[SegmentProgress, None, tuple[list[_Packed], dict[int, np.ndarray]]]:
    """Return the labels of all frames, and by place the (C, Y, X) pixels of those to show."""
    wanted = choose_frames(frames.num)
    packed: list[_Packed] = []
    pixels: dict[int, np.ndarray] = {}
    for number, file in enumerate(frames.files, start=1):
        cut = [plane for _, plane in planes(read_image(file))]
        num_tiles = len(cut) * predictor.num_tiles(cut[0].shape[1:])
        progress = SegmentProgress(
            image=file, number=number, num_images=len(frames.files), num_tiles=num_tiles
        )
        for plane in cut:
            labels, _, progress = yield from segment_plane(bundle, predictor, plane, progress)
            if len(packed) in wanted:
                pixels[len(packed)] = plane.copy()  # lets go of the rest of a stack
            packed.append(_Packed(drop_outside_field(labels, border_px)))
    return packed, pixels


def _check_page(out: Path, overwrite: bool) -> Path:
    """Return where the page goes, or raise OutputError where it may not be written."""
    folder = out.absolute()
    page = folder.with_name(f"{folder.name}.html")
    if page.is_dir() or (page.exists() and not overwrite):
        raise OutputError(
            f"page {page} exists; choose another output folder, or allow the page to be replaced "
            "with overwrite (--overwrite)"
        )
    return page


def _check_frames(files: list[Path]) -> _Frames:
    """Read all frames once, so that a bad one is found before hours of work."""
    first, num_digits = _number_frames(files)
    size: tuple[int, ...] | None = None
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
        size = image.data.shape[-2:]
        num_planes += image.data.shape[0] if "T" in image.axes else 1
    return _Frames(
        files=files,
        first=first,
        num=num_planes,
        num_digits=num_digits or (3 if num_planes <= 1000 else 4),
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

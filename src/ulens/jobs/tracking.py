"""The story of `segment --track`: a sequence as a result of the Cell Tracking Challenge."""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ulens.annotated.ctc import write_result
from ulens.bundle import load_bundle
from ulens.errors import OutputError, SettingError
from ulens.io.atomic import new_name, put_in_place
from ulens.io.files import list_images, name_some, planes
from ulens.io.frames import Frames, check_frames
from ulens.io.lock import hold
from ulens.io.segmentations import check_output_folder
from ulens.io.writable import ZARR_FILES, check_parent, check_writable, find_foreign, remove_own
from ulens.jobs.segment_inputs import find_images
from ulens.jobs.segment_record import RECORD, read_ours, write_ours
from ulens.jobs.segmenting import (
    SegmentProgress,
    SegmentSettings,
    check_output,
    make_segmenter,
    open_image,
    segment_plane,
)
from ulens.labels.packed import PackedLabels
from ulens.labels.resize import resize_labels
from ulens.predict.segmenter import Segmenter
from ulens.report.track_pictures import fit_image
from ulens.report.tracking import Shown, choose_frames, write_tracking_report
from ulens.tracking.field_of_interest import FIELD_OF_INTEREST_PX, check_border, drop_outside_field
from ulens.tracking.gaps import fill_gaps
from ulens.tracking.geff import check_package, is_geff, write_geff
from ulens.tracking.lineage import divisions
from ulens.tracking.tracks import Tracking, track

_RESULT = re.compile(r"mask\d{3,4}\.tiff?|res_track\.txt")
_NEW = ".ulens-new"
"""In the folder of a result, where a new one lies until it is whole."""


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

    @property
    def written(self) -> tuple[Path, ...]:
        """The page, and the graph if there is one."""
        return (self.page,) if self.graph is None else (self.page, self.graph)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outputs:
    """Where results go: a folder, and beside it a page and perhaps a graph."""

    folder: Path
    page: Path
    graph: Path | None


def track_sequence(settings: SegmentSettings) -> Iterator[SegmentProgress | Tracked]:
    """Segment and track all frames of a sequence; iterate to do the work, stop to cancel.

    `settings.images` is a folder of 2-D frames of one size, or one stack along T. `settings.out`
    gets mask000.tif and so on and res_track.txt. A page with pictures is written beside it,
    ``<out>.html``, so that the folder can be submitted, and the graph, ``<out>.geff``; see
    `ulens.tracking.geff`. With overwrite the masks, res_track.txt, the page and the graph of an
    older result are replaced; other files are always kept.

    Raises
    ------
    OutputError : before any work, when outputs could damage what is there
    SettingError : the model finds classes; a graph is asked for, but the package geff is missing
    ShapeError : frames that are no planes or differ in size
    DataError : frames that cannot be read, or missing ones; see `check_frames`

    Notes
    -----
    Files t000.tif and so on keep their numbers; others are counted from 0, in the order of the
    numbers in their names.

    An object that was missed in up to three frames is drawn there by those before and after, see
    `fill_gaps`.

    Frames in a folder such as DIC-C2DH-HeLa/01 are of the challenge: objects wholly outside its
    field of interest are left out before tracking, as in its references. The first event says so.
    """
    bundle = load_bundle(settings.model)
    files, reading, notes = find_images(settings, bundle, list_images(settings.images))
    if bundle.labels_are == "classes":
        raise SettingError(
            f"{settings.images} cannot be tracked: {settings.model} finds classes, no single "
            "objects; leave track out, or train on instances"
        )
    check_output(settings)
    check_output_folder(settings.out, files, settings.overwrite)
    outputs = _plan_outputs(settings)
    segmenter = make_segmenter(settings, bundle)
    frames = check_frames(files, reading, check=segmenter.check)
    return _hold_and_track(segmenter, frames, outputs, settings.field_of_interest_px, notes)


def _hold_and_track(
    segmenter: Segmenter,
    frames: Frames,
    outputs: _Outputs,
    field_of_interest_px: int | None,
    notes: list[str],
) -> Iterator[SegmentProgress | Tracked]:
    """Segment and track while no other process uses the folder."""
    with hold(outputs.folder) as taken_over:
        num_images, first = len(frames.files), frames.files[0]
        for note in [taken_over] * bool(taken_over) + notes:
            yield SegmentProgress(image=first, number=1, num_images=num_images, note=note)
        yield from _track_frames(segmenter, frames, outputs, field_of_interest_px)


def _track_frames(
    segmenter: Segmenter, frames: Frames, outputs: _Outputs, field_of_interest_px: int | None
) -> Iterator[SegmentProgress | Tracked]:
    border_px, field = _find_border(frames.files[0], field_of_interest_px)
    if field:
        note = f"objects wholly within the border are left out: {field}"
        if field_of_interest_px is None:
            note += (
                ", by the folder's name; field_of_interest_px (--field-of-interest-px) overrules it"
            )
        num_images = len(frames.files)
        yield SegmentProgress(image=frames.files[0], number=1, num_images=num_images, note=note)
    packed, pictures = yield from _segment_frames(segmenter, frames, border_px)
    tracking = track((each.unpack() for each in packed), first_frame=frames.first)
    num_drawn = _fill_gaps(packed, tracking, border_px)
    if num_drawn:
        tracking = track((each.unpack() for each in packed), first_frame=frames.first)
    lineage = tracking.lineage
    masks = _relabel(packed, tracking)
    new = outputs.folder / _NEW
    remove_own(new, _RESULT)  # what a kill left
    write_result(new, masks, lineage, num_digits=frames.num_digits)
    _put_in_place(new, outputs)
    if outputs.graph is not None:
        again, new = _relabel(packed, tracking), new_name(outputs.graph)
        write_geff(new, again, lineage, spacing_um=frames.spacing_um)
        put_in_place(new, outputs.graph)
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
    segmenter: Segmenter, frames: Frames, border_px: int
) -> Generator[SegmentProgress, None, tuple[list[PackedLabels], dict[int, np.ndarray]]]:
    """Return the labels of all frames, and by number the pictures of those to show."""
    wanted = {frames.first + i for i in choose_frames(frames.num)}
    packed: list[PackedLabels] = []
    pictures: dict[int, np.ndarray] = {}
    noted: set[str] = set()
    for number, file in enumerate(frames.files, start=1):
        progress = SegmentProgress(image=file, number=number, num_images=len(frames.files))
        image, factor, progress = yield from open_image(segmenter, progress, noted, frames.reading)
        for _, plane in planes(image):
            found, progress = yield from segment_plane(segmenter, plane, factor, progress)
            frame = frames.first + len(packed)
            if frame in wanted:
                pictures[frame] = fit_image(plane)
            packed.append(PackedLabels(drop_outside_field(found.labels, border_px)))
            if found.unlike:
                yield replace(progress, unlike=found.unlike)
    return packed, pictures


def _fill_gaps(packed: list[PackedLabels], tracking: Tracking, border_px: int) -> int:
    """Draw objects that were missed in a few frames; return how many."""
    first = tracking.first_frame
    num_drawn = 0
    for frame, labels in fill_gaps(lambda frame: packed[frame - first].unpack(), tracking).items():
        kept = drop_outside_field(labels, border_px)
        num_drawn += len(np.unique(kept[kept > 0])) - len(tracking.labels[frame - first])
        packed[frame - first] = PackedLabels(kept)
    return num_drawn


def _relabel(packed: list[PackedLabels], tracking: Tracking) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of every frame and its (Y, X) uint16 tracks."""
    for frame, each in enumerate(packed, start=tracking.first_frame):
        yield frame, tracking.relabel(frame, each.unpack())


def _collect_shown(
    pictures: dict[int, np.ndarray], packed: list[PackedLabels], tracking: Tracking
) -> list[Shown]:
    shown: list[Shown] = []
    for frame, picture in pictures.items():
        mask = tracking.relabel(frame, packed[frame - tracking.first_frame].unpack())
        labels = resize_labels(mask, picture.shape[:2])
        shown.append(Shown(number=frame, picture=picture, labels=labels))
    return shown


def _plan_outputs(settings: SegmentSettings) -> _Outputs:
    """Return where the results go, or raise OutputError where they may not be written."""
    folder = settings.out.absolute()
    page = folder.with_name(f"{folder.name}.html")
    ours = read_ours(settings.out)
    check_writable(page, "page", overwrite=settings.overwrite)
    if page.parent.is_dir():  # else it will be made
        check_parent(page, "page")
    graph = folder.with_name(f"{folder.name}.geff") if settings.geff else None
    foreign = [page] if page.exists() and page.name not in ours else []
    if graph is not None:
        check_package()
        is_no = None if is_geff(graph) else "geff"
        check_writable(graph, "graph", is_folder=True, overwrite=settings.overwrite, is_no=is_no)
        if graph.exists():
            foreign += [graph] if graph.name not in ours else find_foreign(graph, ZARR_FILES)
    old = sorted(settings.out.iterdir()) if settings.out.is_dir() else []
    foreign += [each for each in old if _RESULT.fullmatch(each.name) and each.name not in ours]
    if foreign:
        raise OutputError(
            f"{settings.out} cannot be replaced: {name_some(foreign)} would be lost, which "
            f"{RECORD} in that folder does not tell of; move what is there, or choose another name"
        )
    return _Outputs(folder=settings.out, page=page, graph=graph)


def _put_in_place(new: Path, outputs: _Outputs) -> None:
    """Replace an older result, whose masks would mix with the new ones."""
    folder = outputs.folder
    names = sorted(each.name for each in new.iterdir())  # res_track.txt comes last
    beside = [path.name for path in (outputs.page, outputs.graph) if path is not None]
    try:
        write_ours(folder, {*read_ours(folder), *names, *beside})
        for old in sorted(folder.iterdir()):
            if _RESULT.fullmatch(old.name) and old.name not in names:
                old.unlink()
        for name in names:
            (new / name).replace(folder / name)
        new.rmdir()
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}); what is new lies in {new}"
        ) from error

"""The job `suggest`: the boxes of images where a model is least certain, to be annotated next."""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Annotated as With
from typing import Any, NamedTuple

from ulens.bundle import ModelBundle, load_bundle
from ulens.errors import DataError, SettingError, ShapeError
from ulens.io.axes import check_axes
from ulens.io.files import list_images, planes
from ulens.io.reading import Reading
from ulens.jobs.inspect import is_constant
from ulens.jobs.options import FROM_PYTHON_ALONE, REPEATED, SEVERAL
from ulens.jobs.segment_inputs import find_images
from ulens.jobs.segmenting import SegmentProgress, follow, open_image
from ulens.predict.segmenter import Segmenter
from ulens.predict.tiles import Slices
from ulens.predict.uncertainty import Doubt, UnsureBox, least_certain_boxes, spread_over_images
from ulens.resample import Zoom

OBJECTS_ACROSS = 3
"""So many typical objects fit beside each other in a box."""
UNKNOWN_SIZE_PX = 128
SMALLEST_PX = 16
Taken = Mapping[tuple[Path, str], Sequence[Slices]]
"""Boxes that are annotated already, by the image and the name of its plane."""


@dataclass(frozen=True, slots=True)
class SuggestSettings:
    """What a user asks of suggestions; `ulens suggest` has an option for each.

    Parameters
    ----------
    model
        folder of the model
    images
        image files, stacks, or folders of images
    number
        how many boxes at most
    size
        side of the boxes in pixels of the image; without it as long as three of the objects that
        the model learned, but not longer than half of the image
    axes
        what the axes of the images are, such as ZYX or YXC, where the files do not say or say so
        wrongly
    scene
        number, from 1, or name of the image to read, where a file holds several
    channel
        number, from 1, or name of the channel to read, instead of all; several by repeating it;
        without this those that the model was trained on
    device
        auto, cpu, cuda or mps
    doubt
        what tells how unsure the model is; see `Segmenter.stream_uncertainty`
    taken
        boxes that none is to overlap, such as those annotated already
    """

    model: Path
    images: With[tuple[Path, ...], SEVERAL]
    _: KW_ONLY
    number: int = 10
    size: int | None = None
    axes: str | None = None
    scene: str | None = None
    channel: With[tuple[str, ...], REPEATED] = ()
    device: str = "auto"
    doubt: With[Doubt, FROM_PYTHON_ALONE] = "entropy"
    taken: With[Taken, FROM_PYTHON_ALONE] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.axes is not None:
            check_axes(self.axes)
        for name, value in (("number", self.number), ("size", self.size)):
            if value is not None and value < 1:
                raise SettingError(f"{name} is {value}; need 1 or more")


class Suggestion(NamedTuple):
    """A box to annotate next.

    Parameters
    ----------
    image : the file
    plane : its plane as `ulens.io.files.planes` names it; empty where there is one
    box : (y, x) slices in pixels of the image, half-open
    uncertainty : 0 = certain to 1, mean over the box
    """

    image: Path
    plane: str
    box: Slices
    uncertainty: float


class Suggested(NamedTuple):
    """The last event: the boxes, the least certain one first."""

    suggestions: list[Suggestion]


def run_suggestions(settings: SuggestSettings) -> Iterator[SegmentProgress | Suggested]:
    """Find the boxes where a model is least certain; iterate to do the work, stop to cancel.

    Planes of one grey value get none: there is nothing to draw.

    Yields
    ------
    a SegmentProgress per tile, and `Suggested`

    Raises
    ------
    UlensError : as `list_images` and `load_bundle`
    DataError : at the end, naming each image that could not be read; the boxes are of all others
    """
    files = [file for path in settings.images for file in list_images(path)]
    segmenter = Segmenter(load_bundle(settings.model), device=settings.device)
    images, reading, notes = find_images(settings, segmenter.bundle, list(dict.fromkeys(files)))
    return _search(segmenter, images, settings, reading, notes)


def _search(
    segmenter: Segmenter,
    files: Sequence[Path],
    settings: SuggestSettings,
    reading: Reading,
    notes: Sequence[str],
) -> Iterator[SegmentProgress | Suggested]:
    found: dict[tuple[Path, str], list[UnsureBox]] = {}
    errors: list[str] = []
    noted: set[str] = set()
    for note in notes:
        yield SegmentProgress(image=files[0], number=1, num_images=len(files), note=note)
    for number, file in enumerate(files, start=1):
        progress = SegmentProgress(image=file, number=number, num_images=len(files))
        try:
            yield from _search_file(segmenter, progress, noted, settings, reading, found)
        except (DataError, ShapeError, SettingError) as error:
            errors.append(str(error))
            yield replace(progress, error=errors[-1])
        except MemoryError:
            errors.append(
                f"{file} is too large for the memory of this computer; cut parts out of it"
            )
            yield replace(progress, error=errors[-1])
    ranked = spread_over_images(list(found.values()), settings.number)
    at = list(found)
    yield Suggested([Suggestion(*at[place], *box) for place, box in ranked])
    if errors:
        raise DataError(
            f"{len(errors)} of {len(files)} images could not be looked at, the boxes are of all "
            "others:\n" + "\n".join(f"- {error}" for error in errors)
        )


def _search_file(
    segmenter: Segmenter,
    progress: SegmentProgress,
    noted: set[str],
    settings: SuggestSettings,
    reading: Reading,
    found: dict[tuple[Path, str], list[UnsureBox]],
) -> Generator[SegmentProgress, None, None]:
    """Find the boxes of each plane of the image at work, and tell of every tile."""
    image, factor, progress = yield from open_image(segmenter, progress, noted, reading)
    for name, plane in planes(image):
        if plane.size and is_constant(plane):
            continue
        work = segmenter.stream_uncertainty(
            plane, factor, progress.image.name, doubt=settings.doubt
        )
        uncertainty, progress = yield from follow(work, progress)
        key = (progress.image, name)
        size = settings.size or box_size(segmenter.bundle, factor, uncertainty.shape)
        found[key] = least_certain_boxes(
            uncertainty, size, settings.number, settings.taken.get(key, ())
        )


def box_size(bundle: ModelBundle, factor: Zoom, shape: tuple[int, ...]) -> int:
    """Return the side of a box that holds some objects, in pixels of an image.

    Parameters
    ----------
    factor : by how much the image must be enlarged for its pixels to be as large as the training's
    shape : (Y, X) of the image, half of which a box does not exceed
    """
    diameter = float(bundle.plan.get("fingerprint", {}).get("diameter_px", 0.0))
    trained_px = OBJECTS_ACROSS * diameter or UNKNOWN_SIZE_PX
    size = min(trained_px / math.sqrt(factor[0] * factor[1]), max(shape) / 2)
    return max(SMALLEST_PX, round(size))


def suggest_boxes(
    model: str | Path, images: str | Path | Iterable[Path], **options: Any
) -> list[Suggestion]:
    """Return the boxes of images where a model is least certain, the least certain one first.

    Parameters
    ----------
    model : folder of the model
    images : a file or a folder, or several
    options : as in `SuggestSettings`

    Raises
    ------
    UlensError : as `run_suggestions`, which also gives the boxes where an image cannot be read
    """
    paths = (Path(images),) if isinstance(images, str | Path) else tuple(images)
    found: list[Suggestion] = []
    for event in run_suggestions(SuggestSettings(Path(model), paths, **options)):
        if isinstance(event, Suggested):
            found = event.suggestions
    return found

"""The job `inspect`: how images and labels are read, told before any training."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated as With
from typing import Any

import numpy as np

from ulens.annotated.project_images import is_project
from ulens.annotated.rows import PairRow
from ulens.annotated.samples import Annotated, read_annotated
from ulens.errors import DataError
from ulens.io.axes import check_axes
from ulens.io.files import list_some, name_some, other_files
from ulens.io.reading import Reading, as_texts
from ulens.jobs.options import REPEATED
from ulens.labels.meaning import LabelsAre


@dataclass(frozen=True, slots=True)
class InspectSettings:
    """Which images and labels to read, and how; `ulens inspect` has an option for each.

    Parameters
    ----------
    images
        image file, stack, or folder of images; or a data set of the Cell Tracking Challenge
    labels
        label file, stack, or folder; may be left out where labels lie beside the images
    frames
        which images to use, counted from 0, such as 0-14 or 0-9,12; of the Cell Tracking
        Challenge by sequence and the number in the name, such as 01:0-49
    labels_are
        how to read the labels, where ulens reads them wrongly
    ignore
        label value of pixels that are not annotated
    axes
        what the axes of images and labels are, such as ZYX or YXC, where the files do not say or
        say so wrongly
    scene
        number, from 1, or name of the image to read, where a file holds several
    channel
        number, from 1, or name of the channel to read, instead of all; several by repeating it
    """

    images: Path
    labels: Path | None = None
    _: KW_ONLY
    frames: str | None = None
    labels_are: LabelsAre | None = None
    ignore: int | None = None
    axes: str | None = None
    scene: str | None = None
    channel: With[tuple[str, ...], REPEATED] = ()

    def __post_init__(self) -> None:
        if self.axes is not None:
            check_axes(self.axes)

    @property
    def reading(self) -> Reading:
        """How images are read."""
        return Reading(axes=self.axes, scene=self.scene, channels=as_texts(self.channel))


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """What was read.

    Parameters
    ----------
    rows : of every pair of files
    lines : how the labels were read, how pairs were made, what was left out
    """

    rows: list[PairRow]
    lines: list[str]


def inspect(images: str | Path, labels: str | Path | None = None, **options: Any) -> list[PairRow]:
    """Return how each image and its label are read.

    Parameters
    ----------
    images, labels, options : as in `InspectSettings`

    Raises
    ------
    UlensError : as `read_annotated`
    """
    labels = None if labels is None else Path(labels)
    return run_inspection(InspectSettings(Path(images), labels, **options)).rows


def run_inspection(settings: InspectSettings) -> Inspected:
    """Read images and labels as a training does.

    Raises
    ------
    UlensError : as `read_annotated`
    """
    return describe_read(read_asked(settings), settings.images)


def read_asked(settings: InspectSettings) -> Annotated:
    """Read the annotated images that a user asks for."""
    return read_annotated(
        settings.images,
        settings.labels,
        frames=settings.frames,
        labels_are=settings.labels_are,
        ignore=settings.ignore,
        reading=settings.reading,
    )


def is_constant(image: np.ndarray) -> bool:
    """Whether all pixels of all channels have one grey value."""
    first = image.flat[0]
    # a few pixels tell it of nearly all images
    return bool((image[:, ::64, ::64] == first).all() and (image == first).all())


def check_contrast(annotated: Annotated) -> None:
    """Raise DataError where all images are constant."""
    if all(is_constant(sample.image) for sample in annotated.samples):
        first = annotated.samples[0]
        raise DataError(
            f"image {first.name} is constant, every pixel is {first.image.flat[0]:g}, and so are "
            f"all {len(annotated.samples)} images; there is nothing to learn: check that these "
            "are the images, and that no program emptied them"
        )


def describe_read(annotated: Annotated, images: Path) -> Inspected:
    """Return what to tell of the images and labels that were read."""
    lines = [annotated.reading, *annotated.notes]
    constant = [sample for sample in annotated.samples if is_constant(sample.image)]
    if constant:
        values = sorted({f"{sample.image.flat[0]:g}" for sample in constant})
        lines.append(
            f"{len(constant)} of {len(annotated.samples)} images are constant, every pixel is "
            f"{' or '.join(values)}: {list_some([sample.name for sample in constant])}; there is "
            "nothing to see in them: leave them out, unless they are meant to be empty"
        )
    if annotated.unpaired:
        names = ", ".join(path.name for path in annotated.unpaired)
        lines.append(f"left out, an image without label or a label without image: {names}")
    if not is_project(images) and (others := other_files(images)):
        lines.append(f"left out, in no format that ulens reads: {name_some(others)}")
    return Inspected(rows=annotated.rows, lines=lines)

"""The job `segment`: label images by a trained model, of a folder, a sequence or a large image."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ulens.bundle import MODEL, find_model
from ulens.errors import SettingError
from ulens.jobs.notebook import notebook_progress
from ulens.jobs.segment_folder import segment_folder
from ulens.jobs.segment_large import segment_large
from ulens.jobs.segmenting import SegmentProgress, SegmentSettings
from ulens.jobs.tracking import Tracked, track_sequence
from ulens.predict.unlike import UnlikeTrainingWarning, in_one_line


def run_segmentation(settings: SegmentSettings) -> Iterator[SegmentProgress | Tracked]:
    """Segment images; iterate to do the work, stop to cancel.

    Yields
    ------
    a SegmentProgress per tile, and at last `Tracked` where the objects were tracked

    Raises
    ------
    SettingError : the model came in the place of the images
    UlensError : as `segment_folder`, `segment_large` or `track_sequence`, whichever it is
    """
    _check_order(settings)
    if settings.is_large:
        return segment_large(settings)
    if settings.track:
        return track_sequence(settings)
    return segment_folder(settings)


def _check_order(settings: SegmentSettings) -> None:
    """Raise SettingError where the model came in the place of the images."""
    model, images = settings.model, settings.images
    if (images / MODEL).is_file() and not (find_model(model) / MODEL).is_file():
        raise SettingError(
            f"model is {model}, images is {images}, but {images} is the model: the model comes "
            f"first, as in: ulens segment {images} {model} -o {settings.out}"
        )


def segment(model: str | Path, images: str | Path, out: str | Path, **options: Any) -> list[Path]:
    """Segment every image of a folder.

    Parameters
    ----------
    model, images, out, options : as in `SegmentSettings`

    Returns
    -------
    the files written, also those of an earlier run that are kept; of tracks the page that shows
    them, and the graph

    Raises
    ------
    UlensError : as `run_segmentation`

    Warns
    -----
    UnlikeTrainingWarning : an image is unlike those of the training, or nothing was found in it
    """
    settings = SegmentSettings(Path(model), Path(images), out=Path(out), **options)
    written: list[Path] = []
    progress = notebook_progress() or (lambda event: None)
    for event in run_segmentation(settings):
        progress(event)
        written += event.written
        if isinstance(event, SegmentProgress) and event.unlike:
            text = f"{event.image}: {in_one_line(event.unlike)}"
            warnings.warn(text, UnlikeTrainingWarning, stacklevel=2)
    return written

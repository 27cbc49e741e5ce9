"""Pictures of tracked frames, light enough for many on a page."""

import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw
from scipy.ndimage import maximum_filter, minimum_filter

from ulens.report.overlays import color_labels, stretch_contrast
from ulens.tracking.lineage import Lineage, divisions, join_gaps

_LARGEST_SIDE = 512  # pixels, of a still picture
_LARGEST_MOVING_SIDE = 384
_FRAME_MS, _LAST_FRAME_MS = 120, 1500
_MOVING_QUALITY, _STILL_QUALITY = 50, 80


def fit_image(image: np.ndarray) -> np.ndarray:
    """Show an image in the size of a still picture.

    Parameters
    ----------
    image : (C, Y, X), any real numeric dtype

    Returns
    -------
    (Y, X, 3) uint8 RGB, shrunk where it is larger than a part of the screen needs; of a small one
    every pixel becomes a square of pixels, so that outlines are finer than what they surround
    """
    height, width = image.shape[1:]
    factor = _LARGEST_SIDE / max(height, width)
    factor = max(min(factor, 1), int(factor))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    picture = PillowImage.fromarray(stretch_contrast(image))
    return np.array(picture.resize(size, PillowImage.Resampling.BOX))


def color_tracks(lineage: Lineage) -> np.ndarray:
    """Return the (N, 3) uint8 RGB colour of every label, that of its object's first track.

    Examples
    --------
    >>> color_tracks(Lineage([(1, 0, 4, 0), (2, 6, 9, 1)])).shape
    (3, 3)
    """
    first = join_gaps(lineage)
    objects = [first.get(label, 0) for label in range(max(first, default=0) + 1)]
    return color_labels(np.array([objects]))[0]


def find_sisters(lineage: Lineage, frame: int, *, num_frames: int) -> list[tuple[int, int]]:
    """Return the pairs of tracks in a frame that a division began in one of the last frames.

    Parameters
    ----------
    num_frames : how many frames are the last, this one counted

    Examples
    --------
    >>> division = Lineage([(1, 0, 4, 0), (2, 5, 9, 1), (3, 5, 7, 1)])
    >>> find_sisters(division, 6, num_frames=2), find_sisters(division, 7, num_frames=2)
    ([(2, 3)], [])
    """
    parents = set(divisions(lineage))
    young: dict[int, list[int]] = {}
    for track in lineage.tracks:
        is_young = frame - num_frames < track.start <= frame <= track.end
        if track.parent in parents and is_young:
            young.setdefault(track.parent, []).append(track.label)
    return [(pair[0], pair[1]) for pair in young.values() if len(pair) == 2]


def draw_tracks(
    picture: np.ndarray,
    labels: np.ndarray,
    colors: np.ndarray,
    sisters: Sequence[tuple[int, int]] = (),
) -> np.ndarray:
    """Draw the outlines of objects, and lines from daughter to daughter.

    Parameters
    ----------
    picture : (Y, X, 3) uint8 RGB, of `fit_image`
    labels : (Y, X) integer, the tracks in the size of the picture
    colors : (N, 3) uint8 RGB of every label
    sisters : labels to join

    Returns
    -------
    (Y, X, 3) uint8 RGB
    """
    is_object = labels > 0
    thickness = 2 * max(1, round(max(labels.shape) / 250)) + 1
    is_rim = is_object & (minimum_filter(labels, thickness) != maximum_filter(labels, thickness))
    drawn = 0.75 * picture
    drawn[is_object] += 0.12 * colors[labels[is_object]]
    drawn[is_rim] = colors[labels[is_rim]]
    drawn = drawn.clip(0, 255).astype(np.uint8)
    return _join(drawn, labels, sisters) if sisters else drawn


def encode_still(picture: np.ndarray) -> bytes:
    """Return a (Y, X, 3) uint8 picture as WebP, a quarter of the size of a PNG."""
    buffer = io.BytesIO()
    PillowImage.fromarray(picture).save(buffer, format="WEBP", quality=_STILL_QUALITY)
    return buffer.getvalue()


def encode_animation(pictures: Iterable[np.ndarray]) -> bytes:
    """Return pictures one after the other as an endless WebP animation.

    Parameters
    ----------
    pictures : (Y, X, 3) uint8 RGB of one size, two or more

    Returns
    -------
    a file whose lower edge shows how far it is
    """
    frames = [_shrink_moving(picture) for picture in pictures]
    for i, frame in enumerate(frames):
        _draw_progress(frame, (i + 1) / len(frames))
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=[_FRAME_MS] * (len(frames) - 1) + [_LAST_FRAME_MS],
        loop=0,
        quality=_MOVING_QUALITY,
        method=2,
    )
    return buffer.getvalue()


def _join(
    picture: np.ndarray, labels: np.ndarray, sisters: Sequence[tuple[int, int]]
) -> np.ndarray:
    canvas = PillowImage.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    for pair in sisters:
        places = [np.nonzero(labels == label) for label in pair]
        if all(y.size for y, _ in places):
            ends = [(float(x.mean()), float(y.mean())) for y, x in places]
            pen.line(ends, fill="white", width=2)
    return np.array(canvas)


def _shrink_moving(picture: np.ndarray) -> PillowImage.Image:
    frame = PillowImage.fromarray(picture)
    frame.thumbnail((_LARGEST_MOVING_SIDE, _LARGEST_MOVING_SIDE), PillowImage.Resampling.BOX)
    return frame


def _draw_progress(frame: PillowImage.Image, part: float) -> None:
    width, height = frame.size
    pen = ImageDraw.Draw(frame)
    pen.rectangle((0, height - 3, width, height), fill="black")
    pen.rectangle((0, height - 3, part * width, height), fill="white")

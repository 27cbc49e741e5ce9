"""What is kept out of training, so that the score is honest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ulens.annotated.samples import Sample
from ulens.errors import DataError
from ulens.io.files import list_some
from ulens.labels.meaning import IGNORED

IMAGES_PER_HELD_OUT = 10
FEWEST_FOR_WHOLE_IMAGES = 4
BLOCK_FRACTION = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Annotated images for training and for the score.

    Parameters
    ----------
    training, held_out : samples; pixels that belong to the other side are −1 (ignored)
    whole : all of them, undivided
    description : the sentence the program prints
    """

    training: list[Sample]
    held_out: list[Sample]
    whole: list[Sample]
    description: str


def split_samples(samples: Sequence[Sample], *, labels_are: str) -> Split:
    """Hold out one image in ten, or blocks of each image where there are few.

    Held-out images are spread evenly over the others. Of the frames of a sequence the last tenth
    is held out, since a frame between two training frames is nearly known. From fewer than four
    images a block is held out of each: the last fifth along its longer axis. Images without any
    annotated pixel are on neither side.

    Raises
    ------
    DataError : the images are too small to be divided
    """
    samples = [sample for sample in samples if _is_annotated(sample)]
    num_images = len(samples)
    if num_images < FEWEST_FOR_WHOLE_IMAGES:
        return _hold_out_blocks(samples, labels_are)
    is_series = all(sample.sequence is not None for sample in samples)
    chosen = _last_frames(samples) if is_series else _spread(num_images)
    held_out = [samples[k] for k in chosen]
    return Split(
        training=[sample for k, sample in enumerate(samples) if k not in chosen],
        held_out=held_out,
        whole=samples,
        description=f"held out for the score: {len(chosen)} of {num_images} images "
        f"({list_some([sample.name for sample in held_out])}){_name_silver(held_out)}",
    )


def _hold_out_blocks(samples: Sequence[Sample], labels_are: str) -> Split:
    parts = [_split_block(sample, labels_are) for sample in samples]
    training, held_out = (
        [part for part in side if _is_annotated(part)] for side in zip(*parts, strict=True)
    )
    if not training or not held_out:
        raise DataError(
            f"the annotated part of {samples[0].name} is too small to be divided into one for "
            f"training and one for the score; annotate more, best {FEWEST_FOR_WHOLE_IMAGES} images"
        )
    return Split(
        training=training,
        held_out=held_out,
        whole=list(samples),
        description=f"held out for the score: the last {BLOCK_FRACTION:.0%} of "
        + (f"each of the {len(samples)} images" if len(samples) > 1 else "the image"),
    )


def _spread(num_images: int) -> list[int]:
    num_held_out = max(1, num_images // IMAGES_PER_HELD_OUT)
    return [int((k + 0.5) * num_images / num_held_out) for k in range(num_held_out)]


def _last_frames(samples: Sequence[Sample]) -> list[int]:
    """Return the last tenth of each sequence, or the last frame of the longest one."""
    series: dict[str | None, list[int]] = {}
    for k, sample in enumerate(samples):
        series.setdefault(sample.sequence, []).append(k)
    chosen = [
        k
        for frames in series.values()
        for k in frames[len(frames) - len(frames) // IMAGES_PER_HELD_OUT :]
    ]
    return chosen or max(series.values(), key=len)[-1:]


def _name_silver(held_out: Sequence[Sample]) -> str:
    num_silver = sum(sample.is_silver for sample in held_out)
    return f"; {num_silver} of them with silver truth alone" if num_silver else ""


def _is_annotated(sample: Sample) -> bool:
    return bool((sample.label != IGNORED).any())


def _split_block(sample: Sample, labels_are: str) -> tuple[Sample, Sample]:
    """Divide the annotated pixels of an image; an instance goes whole to its centroid's side."""
    label = sample.label
    axis = int(np.argmax(label.shape))
    annotated_before = np.append(0, np.cumsum((label != IGNORED).sum(axis=1 - axis)))
    wanted = (1 - BLOCK_FRACTION) * annotated_before[-1]
    start = int(np.argmin(np.abs(annotated_before - wanted)))
    in_block = np.zeros(label.shape, bool)
    in_block[(slice(None),) * axis + (slice(start, None),)] = True
    if labels_are == "instances":
        numbers = np.unique(label[label > 0])
        centres = np.reshape(ndimage.center_of_mass(label > 0, label, numbers), (-1, 2))
        held_out = np.isin(label, numbers[centres[:, axis] >= start])
        in_block = np.where(label > 0, held_out, in_block)
    return (
        replace(sample, label=np.where(in_block, IGNORED, label)),
        replace(sample, label=np.where(in_block, label, IGNORED)),
    )

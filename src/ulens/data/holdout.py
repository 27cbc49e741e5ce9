"""What is kept out of training, so that the score is honest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ulens.errors import DataError
from ulens.io.annotations import Sample
from ulens.losses import IGNORED

IMAGES_PER_HELD_OUT = 10
FEWEST_FOR_WHOLE_IMAGES = 6
BLOCK_FRACTION = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Annotated images for training and for the score.

    Parameters
    ----------
    training, held_out : samples; pixels that belong to the other side are −1 (ignored)
    description : the sentence the program prints
    """

    training: list[Sample]
    held_out: list[Sample]
    description: str


def split_samples(samples: Sequence[Sample], *, labels_are: str) -> Split:
    """Hold out one image in ten, or blocks of each image where there are few.

    Held-out images are spread evenly over the sequence. From fewer than six images a block
    is held out of each: the last fifth along its longer axis. Images without any annotated
    pixel are on neither side.

    Raises
    ------
    DataError : the images are too small to be divided
    """
    samples = [sample for sample in samples if _is_annotated(sample)]
    num_images = len(samples)
    if num_images < FEWEST_FOR_WHOLE_IMAGES:
        parts = [_split_block(sample, labels_are) for sample in samples]
        training, held_out = (
            [part for part in side if _is_annotated(part)] for side in zip(*parts, strict=True)
        )
        if not training or not held_out:
            raise DataError(
                f"the annotated part of {samples[0].name} is too small to be divided into one for "
                f"training and one for the score; annotate more, best {FEWEST_FOR_WHOLE_IMAGES} "
                "images"
            )
        return Split(
            training=training,
            held_out=held_out,
            description=f"held out for the score: the last {BLOCK_FRACTION:.0%} of each of the "
            f"{num_images} images",
        )
    num_held_out = max(1, num_images // IMAGES_PER_HELD_OUT)
    chosen = {int((k + 0.5) * num_images / num_held_out) for k in range(num_held_out)}
    names = ", ".join(samples[k].name for k in sorted(chosen))
    return Split(
        training=[sample for k, sample in enumerate(samples) if k not in chosen],
        held_out=[samples[k] for k in sorted(chosen)],
        description=f"held out for the score: {num_held_out} of {num_images} images ({names})",
    )


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

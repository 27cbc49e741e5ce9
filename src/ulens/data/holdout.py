"""What is kept out of training, so that the score is honest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

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
    is held out of each: the last fifth along its longer axis.
    """
    num_images = len(samples)
    if num_images < FEWEST_FOR_WHOLE_IMAGES:
        parts = [_split_block(sample, labels_are) for sample in samples]
        return Split(
            training=[training for training, _ in parts],
            held_out=[held_out for _, held_out in parts],
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


def _split_block(sample: Sample, labels_are: str) -> tuple[Sample, Sample]:
    """Divide one image; an instance goes whole to the side of its centroid."""
    label = sample.label
    axis = int(np.argmax(label.shape))
    start = round(label.shape[axis] * (1 - BLOCK_FRACTION))
    in_block = np.zeros(label.shape, bool)
    in_block[(slice(None),) * axis + (slice(start, None),)] = True
    if labels_are == "instances":
        for number in np.unique(label[label > 0]):
            inside = label == number
            in_block[inside] = ndimage.center_of_mass(inside)[axis] >= start
    return (
        replace(sample, label=np.where(in_block, IGNORED, label)),
        replace(sample, label=np.where(in_block, label, IGNORED)),
    )

"""What is kept out of training, so that the score is honest."""

from collections.abc import Collection, Iterable, Mapping, Sequence
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


Block = tuple[int, int]
"""Axis along which an image is divided, and the first line there that is held out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Annotated images for training and for the score.

    Parameters
    ----------
    training, held_out : samples; pixels that belong to the other side are −1 (ignored)
    whole : all of them, undivided
    blocks : of the images that are divided, by name
    description : the sentence the program prints
    """

    training: list[Sample]
    held_out: list[Sample]
    whole: list[Sample]
    blocks: dict[str, Block]
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
    if len(samples) < FEWEST_FOR_WHOLE_IMAGES:
        blocks = {sample.name: _find_block(sample.label) for sample in samples}
        return split_as(samples, blocks, blocks=blocks, labels_are=labels_are)
    is_series = all(sample.sequence is not None for sample in samples)
    chosen = _last_frames(samples) if is_series else _spread(len(samples))
    return split_as(samples, [samples[k].name for k in chosen], labels_are=labels_are)


def split_as(
    samples: Sequence[Sample],
    held_out: Collection[str],
    *,
    blocks: Mapping[str, Block] | None = None,
    new: Collection[str] = (),
    labels_are: str,
) -> Split:
    """Hold out what was held out before, and of new images one in ten.

    Parameters
    ----------
    samples : with names of their own
    held_out, blocks : names of what was held out, and those images' blocks where it was a part
    new : names of images that were not there before; all others were trained on

    Raises
    ------
    DataError : the images are too small to be divided
    """
    samples, blocks = [sample for sample in samples if _is_annotated(sample)], dict(blocks or {})
    names = set(held_out)
    for sample in samples:
        if sample.name in new and len(names) < len(samples) // IMAGES_PER_HELD_OUT:
            names.add(sample.name)
    training: list[Sample] = []
    scored: list[Sample] = []
    for sample in samples:
        if sample.name in blocks:
            rest, block = _divide(sample, blocks[sample.name], labels_are)
            training.append(rest)
            scored.append(block)
        else:
            (scored if sample.name in names else training).append(sample)
    training, scored = (
        [part for part in side if _is_annotated(part)] for side in (training, scored)
    )
    if not training or not scored:
        raise DataError(
            f"the annotated part of {samples[0].name} is too small to be divided into one for "
            f"training and one for the score; annotate more, best {FEWEST_FOR_WHOLE_IMAGES} images"
        )
    return Split(
        training=training,
        held_out=scored,
        whole=samples,
        blocks=blocks,
        description=_describe(scored, samples, blocks),
    )


def _describe(
    held_out: Sequence[Sample], samples: Sequence[Sample], blocks: Collection[str]
) -> str:
    words = []
    if whole := [sample for sample in held_out if sample.name not in blocks]:
        names = list_some([sample.name for sample in whole])
        words.append(f"{len(whole)} of {len(samples)} images ({names}){_name_silver(whole)}")
    if blocks:
        of = "the image" if len(blocks) == 1 else f"each of the {len(blocks)} images"
        if len(blocks) < len(samples):
            of = list_some(list(blocks))
        words.append(f"the last {BLOCK_FRACTION:.0%} of {of}")
    return f"held out for the score: {' and '.join(words)}"


def _spread(num_images: int) -> list[int]:
    num_held_out = max(1, num_images // IMAGES_PER_HELD_OUT)
    return [int((k + 0.5) * num_images / num_held_out) for k in range(num_held_out)]


def last_of_sequences(
    numbers: Iterable[int], samples: Sequence[Sample], *, one_in: int
) -> list[int]:
    """Return the last of every so many samples of each sequence; none of one that is shorter.

    Parameters
    ----------
    numbers : of the samples to choose from, ascending; those of no sequence count as one
    """
    return [
        k
        for frames in _by_sequence(numbers, samples)
        for k in frames[len(frames) - len(frames) // one_in :]
    ]


def _last_frames(samples: Sequence[Sample]) -> list[int]:
    """Return the last tenth of each sequence, or the last frame of the longest one."""
    numbers = range(len(samples))
    chosen = last_of_sequences(numbers, samples, one_in=IMAGES_PER_HELD_OUT)
    return chosen or max(_by_sequence(numbers, samples), key=len)[-1:]


def _by_sequence(numbers: Iterable[int], samples: Sequence[Sample]) -> list[list[int]]:
    series: dict[str | None, list[int]] = {}
    for k in numbers:
        series.setdefault(samples[k].sequence, []).append(k)
    return list(series.values())


def _name_silver(held_out: Sequence[Sample]) -> str:
    num_silver = sum(sample.is_silver for sample in held_out)
    return f"; {num_silver} of them with silver truth alone" if num_silver else ""


def _is_annotated(sample: Sample) -> bool:
    return bool((sample.label != IGNORED).any())


def _find_block(label: np.ndarray) -> Block:
    """Return the block that holds the last fifth of the annotated pixels along the longer axis."""
    axis = int(np.argmax(label.shape))
    annotated_before = np.append(0, np.cumsum((label != IGNORED).sum(axis=1 - axis)))
    wanted = (1 - BLOCK_FRACTION) * annotated_before[-1]
    return axis, int(np.argmin(np.abs(annotated_before - wanted)))


def _divide(sample: Sample, block: Block, labels_are: str) -> tuple[Sample, Sample]:
    """Divide the annotated pixels of an image; an instance goes whole to its centroid's side."""
    label, (axis, start) = sample.label, block
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

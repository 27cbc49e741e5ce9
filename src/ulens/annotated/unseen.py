"""Which annotated images are trained on and which stay unseen, to be scored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulens.annotated.challenge import find_annotated_sequences, select_frames
from ulens.annotated.holdout import last_of_sequences
from ulens.annotated.samples import Annotated, Sample, hash_samples, read_annotated
from ulens.annotated.selection import name_ranges, parse_frames
from ulens.errors import DataError, LabelError, SettingError
from ulens.io.reading import BY_FILE, Reading
from ulens.labels.meaning import IGNORED, LabelsAre

IMAGES_PER_UNSEEN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """Annotated images divided in two.

    Parameters
    ----------
    training, unseen : as `read_annotated` takes frames
    num_training : images to train on
    samples : the unseen images
    labels_are, class_values : how their labels were read
    data_sha256 : of all images and labels, divided or not
    """

    training: str
    unseen: str
    num_training: int
    samples: list[Sample]
    labels_are: LabelsAre
    class_values: tuple[int, ...]
    data_sha256: str


def divide(
    images: Path,
    labels: Path | None = None,
    *,
    training: str | None = None,
    unseen: str | None = None,
    labels_are: LabelsAre | None = None,
    ignore: int | None = None,
    reading: Reading = BY_FILE,
) -> Division:
    """Divide annotated images into those to train on and those to score.

    Parameters
    ----------
    images, labels, labels_are, ignore, reading : as `read_annotated`
    training, unseen : frames as `read_annotated` takes them. Without `unseen`, all that are not
        for training; without `training`, all that are not to be scored; without both the last
        quarter is scored, in data sets of the challenge that of each sequence: neighbours are
        alike, so images in between would be half known

    Raises
    ------
    DataError : there are no two annotated images
    SettingError : an image is on both sides, or a side is empty
    LabelError : the images to train on lack a class, or those to score an instance
    UlensError : as `read_annotated`
    """
    annotated = read_annotated(
        images, labels, labels_are=labels_are, ignore=ignore, reading=reading
    )
    samples = annotated.samples
    counted = {k for k, sample in enumerate(samples) if (sample.label != IGNORED).any()}
    if len(counted) < 2:
        raise DataError(
            f"{images} has {len(counted)} annotated image; two are needed, one to train on and one "
            "to score; annotate more, or use ulens train, which holds out a block of a single image"
        )
    sides = [
        None if spec is None else counted & _numbers(spec, images, samples)
        for spec in (training, unseen)
    ]
    learned, scored = _complete(sides[0], sides[1], counted, samples)
    _check_sides(learned, scored, samples)
    _check_labels([samples[k] for k in learned], [samples[k] for k in scored], annotated)
    return Division(
        training=name_frames(learned, samples),
        unseen=name_frames(scored, samples),
        num_training=len(learned),
        samples=[samples[k] for k in scored],
        labels_are=annotated.labels_are,
        class_values=annotated.class_values,
        data_sha256=hash_samples(samples),
    )


def name_frames(numbers: Sequence[int], samples: Sequence[Sample]) -> str:
    """Return how `frames` names samples: by number, in a challenge's sequence by frame.

    Examples
    --------
    >>> sample = Sample(name="a", image=np.zeros((1, 1, 1)), label=np.zeros((1, 1), np.int32))
    >>> name_frames([0, 1, 2, 4], [sample] * 5)
    '0-2,4'
    """
    by_sequence: dict[str | None, list[int]] = {}
    for k in numbers:
        sequence = samples[k].sequence
        frame = k if sequence is None else int(re.findall(r"[0-9]+", samples[k].name)[-1])
        by_sequence.setdefault(sequence, []).append(frame)
    return ",".join(
        name_ranges(frames) if sequence is None else f"{sequence}:{name_ranges(frames)}"
        for sequence, frames in by_sequence.items()
    )


def _numbers(spec: str, images: Path, samples: Sequence[Sample]) -> set[int]:
    if samples[0].sequence is None:
        return set(parse_frames(spec, len(samples)))
    frames, _ = select_frames(find_annotated_sequences(images), spec)
    names = {frame.name for frame in frames}
    return {k for k, sample in enumerate(samples) if sample.name in names}


def _complete(
    learned: set[int] | None, scored: set[int] | None, counted: set[int], samples: Sequence[Sample]
) -> tuple[list[int], list[int]]:
    """Return both sides, ascending; a side that was not asked for follows from the other."""
    if learned is None and scored is None:
        scored = set(last_of_sequences(sorted(counted), samples, one_in=IMAGES_PER_UNSEEN))
        scored = scored or {max(counted)}
    if learned is None:
        assert scored is not None
        learned = counted - scored
    if scored is None:
        scored = counted - learned
    return sorted(learned), sorted(scored)


def _check_sides(learned: list[int], scored: list[int], samples: Sequence[Sample]) -> None:
    if both := sorted(set(learned) & set(scored)):
        raise SettingError(
            f"frames {name_frames(both, samples)} are both to be trained on and to be scored; a "
            "score counts on images that training has not seen, so take them out of one side"
        )
    for side, purpose in ((learned, "to train on"), (scored, "to score")):
        if not side:
            raise SettingError(
                f"no annotated image is left {purpose}; choose other frames, or leave one of the "
                "two selections out"
            )


def _check_labels(
    learned: Sequence[Sample], scored: Sequence[Sample], annotated: Annotated
) -> None:
    """Raise LabelError unless training shows every class, and there is an instance to score."""
    are_classes = annotated.labels_are == "classes"
    last = len(annotated.class_values) - 1
    seen = {int(k) for each in learned for k in np.unique(np.minimum(each.label, last))}
    needed = range(0 if are_classes else 1, last + 1)
    if missing := [str(annotated.class_values[k]) for k in needed if k not in seen]:
        what = f"label value {', '.join(missing)}" if are_classes else "instances"
        raise LabelError(f"the images to train on lack {what}; choose other frames for training")
    if not are_classes and not any((each.label > 0).any() for each in scored):
        raise LabelError("the images to score hold no instance; choose other frames to score")

"""What each fold of a cross-validation holds out."""

import itertools
from collections.abc import Collection, Sequence

from ulens.annotated.blocks import Block, find_blocks
from ulens.annotated.holdout import (
    FEWEST_FOR_WHOLE_IMAGES,
    HeldOut,
    Split,
    annotated_ones,
    by_stack,
    flatten,
    hold_out,
    planes_beside,
    unseen_ones,
)
from ulens.annotated.samples import Sample
from ulens.errors import SettingError
from ulens.io.files import list_some


def split_folds(
    samples: Sequence[Sample], num: int, labels_are: str, *, seen: Collection[str] | None = ()
) -> list[Split]:
    """Divide annotations into folds, each of which is held out from one training.

    Each annotation is held out once. Folds are whole images, spread evenly, or whole stacks and
    sequences, where there are at least as many as folds; else runs of planes, with the plane beside
    a run left out of training; and of fewer than four images parts along the longer axis.

    Parameters
    ----------
    num : of folds
    seen : as in `split_samples`; images that the model to start from has seen are held out only
        where it has seen them all

    Raises
    ------
    SettingError : there is less to hold out than folds
    DataError : the images are too small to be divided
    """
    samples = annotated_ones(samples)
    candidates = unseen_ones(samples, seen) or samples
    return [
        hold_out(samples, chosen, labels_are=labels_are, seen=seen)
        for chosen in _choose(candidates, samples, num)
    ]


def undivided(folds: Sequence[Split]) -> Split:
    """Return all annotations to train on, of which each is held out in one of the folds."""
    samples, num = folds[0].whole, len(folds)
    reason = next((why for fold in folds if (why := fold.chosen.not_independent)), "")
    names = {name for fold in folds for name in fold.chosen.names}
    of = f"{len(names)} of {len(samples)} images" if len(names) < len(samples) else "all images"
    description = f"cross-validation in {num} folds, which hold out {of} one after the other"
    if folds[0].chosen.blocks:
        gaps = sorted({block.gap for fold in folds for block in fold.chosen.blocks.values()} - {0})
        gap = f", with a gap of {' or '.join(map(str, gaps))} px beside it" if gaps else ""
        description += f", a part of each at a time{gap}"
    elif any(fold.chosen.between for fold in folds):
        description += ", as runs of planes; the plane beside a run is left out"
    return Split(
        training=list(samples),
        held_out=[],
        whole=list(samples),
        chosen=HeldOut(names=(), not_independent=reason),
        description=description,
    )


def _choose(candidates: Sequence[Sample], samples: Sequence[Sample], num: int) -> list[HeldOut]:
    """Choose for each fold among some of all samples."""
    stacks = by_stack(candidates)
    moments = [moment for stack in stacks for moment in stack]
    if len(stacks) >= num:
        runs = [flatten(map(flatten, stacks[first::num])) for first in range(num)]
    elif len(moments) >= max(num, FEWEST_FOR_WHOLE_IMAGES):
        ends = [len(moments) * k // num for k in range(num + 1)]
        runs = [flatten(moments[start:end]) for start, end in itertools.pairwise(ends)]
    elif len(moments) < FEWEST_FOR_WHOLE_IMAGES:
        blocks: list[dict[str, Block]] = [{} for _ in range(num)]
        for planes in map(flatten, stacks):
            found = find_blocks([plane.label for plane in planes], num)
            for fold, block in zip(blocks, found, strict=True):
                fold |= {plane.name: block for plane in planes}
        return [HeldOut(names=list(fold), blocks=fold) for fold in blocks]
    else:
        raise SettingError(
            f"folds is {num}, but {len(moments)} images can be held out "
            f"({list_some([moment[0].name for moment in moments])}); give {len(moments)} at most"
        )
    chosen = [[plane.name for plane in run] for run in runs]
    return [HeldOut(names=names, between=planes_beside(names, samples)) for names in chosen]

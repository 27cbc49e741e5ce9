"""What the values of truth and predictions mean, decided once for all measures."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ulens.annotated.comparisons import Comparison
from ulens.annotated.label_signs import CLEAR, Sign
from ulens.annotated.label_values import (
    Judgement,
    decide,
    describe,
    encode,
    judge,
    number_instances,
)
from ulens.errors import LabelError
from ulens.io.files import is_roi_file
from ulens.labels.meaning import LabelsAre


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the values of truth and predictions mean, for all measures.

    Parameters
    ----------
    labels_are : 'classes' or 'instances'
    values : the values in the files of the truth, background first; class k is ``values[k]``
    notes : how truth and predictions were read
    are_masks : whether predicted objects are the connected regions of masks
    """

    labels_are: LabelsAre
    values: tuple[int, ...]
    notes: tuple[str, ...]
    are_masks: bool


def read_values(
    compared: list[Comparison], labels_are: LabelsAre | None, ignore: int | None
) -> tuple[Reading, list[Comparison]]:
    """Decide what the values of truth and predictions mean, once for all measures.

    Parameters
    ----------
    labels_are : None to decide from the values
    ignore : the value that is ignored

    Returns
    -------
    the reading, and the comparisons with class indices or instances in place of values

    Raises
    ------
    LabelError : the values do not tell, or are no labels, or predicted ones no class of the truth
    """
    true = _judge(compared, "truth", is_told=labels_are is not None)
    guessed = _judge(compared, "predictions", is_told=labels_are is not None)
    why: Sign | None = None
    asked = labels_are is not None
    if labels_are is None and all(is_roi_file(each.truth_file) for each in compared):
        labels_are = "instances"
    elif labels_are is None:
        why = _decide(true, guessed)
        labels_are = "instances" if why is not None and why.weight > 0 else "classes"
    found = set(true.values)
    # A single value is background, or the foreground of images that it fills.
    values = tuple(sorted(found if len(found) > 1 else {0, max(found | {1})}))
    truths = [encode(label, labels_are, values) for label in true.labels]
    said = describe(truths, labels_are, values, asked=asked, why=why, soft=true.soft, ignore=ignore)
    notes = [f"truth: {said}"]
    guesses, are_masks = _encode_predicted(guessed, labels_are, values)
    if not asked and true.signs and (doubt := _contradict(guessed, labels_are)):
        notes.append(doubt)
    if guessed.soft is not None:
        said = describe(guesses, "classes", guessed.values, soft=guessed.soft)
        notes.append(f"predictions: {said}")
    reading = Reading(labels_are=labels_are, values=values, notes=tuple(notes), are_masks=are_masks)
    return reading, [
        replace(each, truth=truth, predicted=guess)
        for each, truth, guess in zip(compared, truths, guesses, strict=True)
    ]


def _judge(
    compared: list[Comparison], side: Literal["truth", "predictions"], *, is_told: bool
) -> Judgement:
    is_truth = side == "truth"
    labels = [each.truth if is_truth else each.predicted for each in compared]
    files = [each.truth_file if is_truth else each.predicted_file for each in compared]
    return judge(labels, files, called=side, is_told=is_told)


def _decide(true: Judgement, guessed: Judgement) -> Sign | None:
    """Return the sign that tells what the truth is, and with it the predictions; None for masks.

    The predictions have a say where the truth alone does not tell.
    """
    if not true.signs or abs(sum(sign.weight for sign in true.signs)) > CLEAR:
        return decide(true)
    strange = set(guessed.values) - {0, *true.values}
    are_indices = set(guessed.values) <= set(range(len({0, *true.values})))
    if not guessed.signs or are_indices or not strange:
        return decide(true, guessed)
    return decide(true, guessed, more=[Sign(2, "truth and predictions hold other values")])


def _contradict(guessed: Judgement, labels_are: LabelsAre) -> str | None:
    """Return a warning where predictions clearly look like what the truth is not."""
    total = sum(sign.weight for sign in guessed.signs)
    if abs(total) <= CLEAR or (total > 0) == (labels_are == "instances"):
        return None
    why = max(guessed.signs, key=lambda sign: sign.weight * total)
    look = "instances" if total > 0 else "classes"
    return (
        f"check the predictions: they look like {look}, since {why.reason}, but were read as "
        f"{labels_are}, as the truth was; if that is wrong, the scores mean nothing"
    )


def _encode_predicted(
    guessed: Judgement, labels_are: LabelsAre, values: tuple[int, ...]
) -> tuple[list[np.ndarray], bool]:
    """Return predicted class indices or objects, and whether the files hold masks.

    Files may hold the truth's own values, or indices, or for two classes two other values, or
    ids of objects, which all are foreground.
    """
    guesses, held = guessed.labels, set(guessed.values)
    is_mask = len(held - {0}) < 2 or (len(held) == 2 and min(held) > 0)
    foreground = [guess != (min(held) if len(held) == 2 else 0) for guess in guesses]
    if labels_are == "instances":
        if is_mask:
            return [encode(mask.astype(np.int64), "instances", (0, 1)) for mask in foreground], True
        return [number_instances(guess) for guess in guesses], False
    if held <= set(values):
        return [np.searchsorted(values, guess) for guess in guesses], True
    if held <= set(range(len(values))):
        return guesses, True
    if len(values) == 2:
        if is_mask:
            return [mask.astype(np.int64) for mask in foreground], True
        return [number_instances(guess) for guess in guesses], False
    strange = min(held - set(values))
    file = next(
        file for file, guess in zip(guessed.files, guesses, strict=True) if (guess == strange).any()
    )
    raise LabelError(
        f"{file} holds the value {strange}, which is no class of the truth "
        f"({', '.join(map(str, values))}); write the truth's values or class indices from 0"
    )

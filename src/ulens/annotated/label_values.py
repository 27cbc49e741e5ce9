"""What the values of label images mean: classes, instances or a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage as ski

from ulens.annotated.label_looks import SoftMask, find_soft_mask, refuse_blends
from ulens.annotated.label_signs import CLEAR, Sign, examine, share_connected, weigh
from ulens.errors import LabelError
from ulens.io.files import list_some
from ulens.labels.meaning import LabelsAre

_NUMBER_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def mark_ignored(label: np.ndarray, ignore: int | None, path: Path) -> np.ndarray:
    """Return a label plane as whole numbers with −1 where it is to be ignored.

    Parameters
    ----------
    label : (Y, X), integers or floats that hold whole numbers
    ignore : value of pixels without annotation
    path : the file, for error messages

    Returns
    -------
    (Y, X) int64; −1 where ignored, else from 0

    Raises
    ------
    LabelError : values are not whole or negative
    """
    whole = label.astype(np.int64)
    if label.dtype.kind == "f" and (whole != label).any():
        value = label[whole != label].flat[0]
        raise LabelError(
            f"{path} holds {value:g}; label values must be whole numbers: classes, ids or 0/255; "
            "a probability map must be thresholded first"
        )
    ignored = np.zeros(whole.shape, bool) if ignore is None else whole == ignore
    lowest = whole[~ignored].min(initial=0)
    if lowest < 0:
        raise LabelError(
            f"{path} holds negative values down to {lowest}; labels count from 0; give such a "
            "value as ignore where it marks pixels without annotation"
        )
    return np.where(ignored, -1, whole)


def find_values(labels: list[np.ndarray]) -> tuple[int, ...]:
    """Return the label values in all planes, ascending, without the ignored."""
    found = np.unique(np.concatenate([np.unique(label) for label in labels]))
    return tuple(found[found >= 0].tolist())


def check_trainable(labels: list[np.ndarray], example: Path) -> None:
    """Raise LabelError where there is nothing to tell apart, such as background alone.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored
    example : one of the files, for the message
    """
    values = find_values(labels)
    if len(values) < 2:
        held = f"only the value {values[0]}" if values else "only ignored pixels"
        raise LabelError(
            f"{_count(len(labels))} {held} (such as {example}); training needs background and at "
            "least one class or object; check that these are the label images"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What label images look like, all of them together.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored; a mask with soft edges is hardened
    soft : what its edges were, or None
    signs : what speaks for instances and for classes; none for a mask
    files : where the labels are from
    called : what they are called in messages
    """

    labels: list[np.ndarray]
    soft: SoftMask | None
    signs: list[Sign]
    files: Sequence[Path]
    called: str

    @property
    def values(self) -> tuple[int, ...]:
        """The label values in all planes, ascending, without the ignored."""
        return find_values(self.labels)


def judge(
    labels: list[np.ndarray],
    files: Sequence[Path],
    *,
    called: str = "label images",
    is_told: bool = False,
) -> Judgement:
    """Look at all label images together.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored
    files : where they are from
    called : what they are called in messages
    is_told : whether the user says what they are, so that nothing is refused for its looks

    Raises
    ------
    LabelError : they hold grey values, or labels that were blended; see `refuse_blends`
    """
    soft = find_soft_mask(labels, files)
    if soft is not None:
        labels = [soft.harden(label) for label in labels]
        return Judgement(labels=labels, soft=soft, signs=[], files=files, called=called)
    if is_told:
        return Judgement(labels=labels, soft=None, signs=[], files=files, called=called)
    planes = [examine(label) for label in labels]
    refuse_blends(labels, files, called, share_connected=share_connected(planes))
    return Judgement(labels=labels, soft=None, signs=weigh(planes), files=files, called=called)


def decide(judged: Judgement, *others: Judgement, more: Sequence[Sign] = ()) -> Sign | None:
    """Tell classes from instances by the more telling signs; None for a mask, which is classes.

    Parameters
    ----------
    judged, others : labels of one meaning; each weighs as much as another
    more : signs besides

    Returns
    -------
    the sign that weighs most on the side that wins; above 0 for instances

    Raises
    ------
    LabelError : the signs do not tell

    Examples
    --------
    >>> decide(judge([np.array([[0, 1, 0, 1], [2, 0, 2, 0]])], [Path("labels.png")])).weight
    -3
    >>> decide(judge([np.array([[1, 0, 2, 0, 3, 0, 4]])], [Path("labels.png")])).reason
    'each is one connected object'
    """
    telling = [each for each in (judged, *others) if each.signs]
    signs = [sign for each in telling for sign in each.signs] + list(more)
    if not telling:
        return None
    weights = [sign.weight / len(telling) for each in telling for sign in each.signs]
    total = sum(weights) + sum(sign.weight for sign in more)
    if abs(total) > CLEAR:
        return max(signs, key=lambda sign: sign.weight * total)
    held = ", ".join(map(str, judged.values[:12])) + (" …" if len(judged.values) > 12 else "")
    raise LabelError(
        f"{judged.called} such as {judged.files[0]} hold {{{held}}}, which may be classes or "
        f"instances: {_reasons(signs, 1)} for instances, {_reasons(signs, -1)} for classes; say "
        "which it is with --labels-are instances or --labels-are classes (labels_are in Python)"
    )


def _reasons(signs: list[Sign], side: int) -> str:
    speaking = dict.fromkeys(sign.reason for sign in signs if sign.weight * side > 0)
    found = list_some([f"that {reason}" for reason in speaking])
    return f"{found} speaks" if speaking else "nothing speaks"


def encode(label: np.ndarray, meaning: LabelsAre, values: tuple[int, ...]) -> np.ndarray:
    """Number classes or instances without gaps.

    Parameters
    ----------
    label : (Y, X) int64, −1 where ignored
    values : the values in all planes, ascending

    Returns
    -------
    (Y, X) int32; class indices 0…K−1 or instances 1…N on 0; −1 where ignored. A mask (one
    value besides background) read as instances has one per 8-connected region.

    Examples
    --------
    >>> encode(np.array([[0, 7, -1, 9]]), "instances", (0, 7, 8, 9)).tolist()
    [[0, 1, -1, 2]]
    """
    if meaning == "classes":
        encoded = np.searchsorted(values, label)
    elif len(set(values) - {0}) == 1:
        encoded = ski.measure.label(label > 0, connectivity=2)
    else:
        return number_instances(label)
    return np.where(label < 0, -1, encoded).astype(np.int32)


def number_instances(label: np.ndarray) -> np.ndarray:
    """Number ids without gaps.

    Parameters
    ----------
    label : (Y, X) int64, −1 where ignored

    Returns
    -------
    (Y, X) int32; instances 1…N in the order of their ids, on 0; −1 where ignored

    Examples
    --------
    >>> number_instances(np.array([[0, 7, -1, 9]])).tolist()
    [[0, 1, -1, 2]]
    """
    ids = np.unique(label[label > 0])
    numbered = np.where(label > 0, np.searchsorted(ids, label) + 1, 0)
    return np.where(label < 0, -1, numbered).astype(np.int32)


def describe(
    encoded: list[np.ndarray],
    meaning: LabelsAre,
    values: tuple[int, ...],
    *,
    asked: bool = False,
    why: Sign | None = None,
    soft: SoftMask | None = None,
    ignore: int | None = None,
) -> str:
    """Return the sentence that tells a user how the labels were read.

    Parameters
    ----------
    encoded : (Y, X) int32 each, as `encode` gives them
    values : the values in the files
    asked : whether the user chose `meaning`
    why : the sign that decided, of `decide`
    soft : what a mask was that had soft edges
    ignore : the value that is ignored

    Examples
    --------
    >>> describe([np.array([[0, 1]])], "classes", (0, 255))
    '1 label image holds {0, 255}: two classes, 255 = foreground'
    """
    if meaning == "classes":
        sentence = f"{_count(len(encoded))} {_describe_classes(values)}"
    else:
        is_mask = len(set(values) - {0}) == 1
        what = "connected regions" if is_mask else "ids"
        sentence = f"{_count(len(encoded))} {_span(encoded)} {what}: instances"
    if asked:
        sentence += ", as requested"
    elif why is not None:
        sentence += f", since {why.reason}"
    if soft is not None:
        sentence += (
            f"; the files hold {soft.num_values} values, by {soft.cause}, cut half way between "
            f"{soft.low} and {soft.high}"
        )
    if ignore is None:
        return sentence
    share = np.mean([float((label == -1).mean()) for label in encoded])
    return f"{sentence}; {ignore} is ignored ({share:.1%} of the pixels)"


def _describe_classes(values: tuple[int, ...]) -> str:
    held = f"{{{', '.join(map(str, values))}}}"
    words = dict(enumerate(_NUMBER_WORDS, start=2))
    foreground = f", {values[1]} = foreground" if len(values) == 2 else ""
    return f"{held}: {words.get(len(values), len(values))} classes{foreground}"


def _span(encoded: list[np.ndarray]) -> str:
    counts = [max(int(label.max()), 0) for label in encoded]
    fewest, most = min(counts), max(counts)
    return f"{most}" if fewest == most else f"{fewest}…{most}"


def _count(number: int) -> str:
    return "1 label image holds" if number == 1 else f"{number} label images hold"

"""What the values of label images mean: classes or instances."""

from pathlib import Path

import numpy as np
import skimage as ski

from ulens.errors import LabelError
from ulens.labels.meaning import LabelsAre

# Of the ids of instances nearly all are one connected region, of classes few are.
_CONNECTED_SHARE = 0.8
# Scattered values are classes up to this many; more are noise, such as JPEG makes.
_MANY_CLASSES = 20
# Connected values are ids from more than this many on; fewer need a second look.
_FEW_VALUES = 8
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


def find_values(labels: list[np.ndarray], example: Path) -> tuple[int, ...]:
    """Return the label values in all planes, ascending, without the ignored.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored
    example : one of the files, for error messages

    Raises
    ------
    LabelError : there is nothing to tell apart, such as background alone
    """
    found = np.unique(np.concatenate([np.unique(label) for label in labels]))
    values = tuple(found[found >= 0].tolist())
    if len(values) < 2:
        held = f"only the value {values[0]}" if values else "only ignored pixels"
        raise LabelError(
            f"{_count(len(labels))} {held} (such as {example}); training needs background and at "
            "least one class or object; check that these are the label images"
        )
    return values


def decide(labels: list[np.ndarray], example: Path) -> LabelsAre:
    """Tell classes from instances by the values and their connected regions.

    Parameters
    ----------
    labels : (Y, X) int64 each, −1 where ignored; together at least two values
    example : one of the files, for error messages

    Raises
    ------
    LabelError : many values, scattered over the images

    Notes
    -----
    One value besides background: two classes. Values of which nearly all are one 8-connected
    region per image: instances, unless they are few and do not look like ids; ids count up
    from 1, or differ from image to image. Everything else: classes.

    Examples
    --------
    >>> decide([np.array([[0, 1, 0], [2, 0, 1]])], Path("labels.png"))
    'classes'
    >>> decide([np.array([[1, 0, 2, 0, 3, 0, 4]])], Path("labels.png"))
    'instances'
    """
    ids_by_plane, num_connected = [], 0
    for label in labels:
        ids, num_regions = _count_regions(label)
        ids_by_plane.append(tuple(ids.tolist()))
        num_connected += int((num_regions == 1).sum())
    values = {value for ids in ids_by_plane for value in ids}
    if len(values) == 1:
        return "classes"
    share = num_connected / sum(map(len, ids_by_plane))
    if share >= _CONNECTED_SHARE:
        return "instances" if _look_like_ids(len(values), ids_by_plane) else "classes"
    if len(values) <= _MANY_CLASSES:
        return "classes"
    raise LabelError(
        f"label images such as {example} hold {len(values)} values, {share:.0%} of them one "
        "connected region: neither classes nor instances; JPEG files do not keep label values; "
        "say whether labels are classes or instances if the files are right"
    )


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
    asked: bool,
    ignore: int | None,
) -> str:
    """Return the sentence that tells a user how the labels were read.

    Parameters
    ----------
    encoded : (Y, X) int32 each, as `encode` gives them
    values : the values in the files
    asked : whether the user chose `meaning`
    ignore : the value that is ignored

    Examples
    --------
    >>> describe([np.array([[0, 1]])], "classes", (0, 255), asked=False, ignore=None)
    '1 label image holds {0, 255}: two classes, 255 = foreground'
    """
    if meaning == "classes":
        sentence = f"{_count(len(encoded))} {_describe_classes(values)}"
    else:
        is_mask = len(set(values) - {0}) == 1
        connected = "" if asked else ", one connected object each"
        what = "connected regions" if is_mask else f"ids{connected}"
        sentence = f"{_count(len(encoded))} {_span(encoded)} {what}: instances"
    sentence += ", as requested" if asked else ""
    if ignore is None:
        return sentence
    share = np.mean([float((label == -1).mean()) for label in encoded])
    return f"{sentence}; {ignore} is ignored ({share:.1%} of the pixels)"


def _count_regions(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive values of a label plane and the number of 8-connected regions of each."""
    regions = ski.measure.label(np.maximum(label, 0), background=0, connectivity=2)
    region_ids, first_pixels = np.unique(regions, return_index=True)
    return np.unique(label.flat[first_pixels[region_ids > 0]], return_counts=True)


def _look_like_ids(num_values: int, ids_by_plane: list[tuple[int, ...]]) -> bool:
    """Whether connected values are ids of objects, not classes that happen to connect."""
    vary = len(set(ids_by_plane)) > 1
    count_up = all(ids == tuple(range(1, len(ids) + 1)) for ids in ids_by_plane)
    if num_values > _FEW_VALUES:
        return True
    if num_values > 3:
        return vary or count_up
    return vary and count_up


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

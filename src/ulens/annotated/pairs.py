"""Which label image belongs to which image, found by their names."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ulens.errors import PairingError
from ulens.io.channel_files import ChannelFiles, find_channel_files
from ulens.io.files import (
    is_roi_file,
    list_images,
    list_labels,
    list_rois,
    list_some,
    name_some,
)
from ulens.io.reading import Reading
from ulens.io.scenes import MICROSCOPE_SUFFIXES

_IMAGE_FOLDERS = ("image", "images")
_LABEL_FOLDERS = ("label", "labels", "mask", "masks")
_LABEL_ROLE = r"(?:labels?|(?:cp_)?masks?|seg)"
_ROI_ROLE = r"(?:rois?|roi_?set)"
_IMAGE_ROLE = r"(?:images?|img|raw|volume)"
_SEPARATOR = r"[_\-. ]"
# Of two files with one name and two formats, the later one in this list is the label:
# a lossy format cannot hold labels, cameras write BMP and TIFF, annotators PNG.
_LABEL_LIKELIHOOD = (*MICROSCOPE_SUFFIXES, ".lsm", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".png")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An image file and the file with its labels."""

    image: Path
    label: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairing:
    """What was matched and what was not.

    Parameters
    ----------
    pairs : in the order of the images
    unpaired : image files without label, then label files without image
    notes : what the user should check: where names did not match, and which files were joined
    found : the images, with the files of channels that belong together
    """

    pairs: list[Pair]
    unpaired: list[Path]
    notes: tuple[str, ...] = ()
    found: ChannelFiles = field(default_factory=ChannelFiles)


def find_pairs(
    images: Path,
    labels: Path | None = None,
    *,
    called: tuple[str, str] = ("image", "label image"),
    reading: Reading | None = None,
) -> Pairing:
    """Match images to label images by their names.

    Parameters
    ----------
    images : an image file or stack, a folder of images, a folder of images and labels, or
        a folder that holds folders of both
    labels : a label file or stack, or a folder of labels; None to look for folders named
        label(s) or mask(s) inside `images` or beside it, then for labels among the images
    called : what both are called in messages
    reading : how images are read; files of channels are then joined, see `find_channel_files`, and
        a label is of all of them, called as one of them or without the channel. Without it none are

    Returns
    -------
    pairs, and the files left without partner; those are for the caller to report

    Raises
    ------
    FileError : a path does not exist or holds no images
    PairingError : no pairs are found, or one file fits two

    Notes
    -----
    Tried in this order: equal names; equal names but for words such as ``_mask`` or
    ``image_``; if there are none of these, equal numbers in the names; and last one image
    file and one label file, whatever their names. In one folder, label files are those named
    so, otherwise of two formats of one name the less camera-like one (``1.bmp`` and ``1.png``:
    the PNG file is the label), otherwise ImageJ ROIs and GeoJSON called as images, with or
    without words such as ``_RoiSet``. In a folder of labels these count if it holds no images.
    """
    images = Path(images)
    if labels is None and images.is_file():
        return _for_one_image(images, reading)
    image_files, label_files = _candidates(images, None if labels is None else Path(labels))
    image_files = _without_probabilities(image_files)
    found = _find_channels(image_files, label_files, reading)
    pairs, note = _match(found, label_files)
    if not pairs:
        raise PairingError(_explain(images, labels, image_files, label_files, called))
    pairs.sort(key=lambda pair: image_files.index(pair.image))
    paired = {path for pair in pairs for path in (*found.files(pair.image), pair.label)}
    # who names one image among many labels does not want to hear of the others
    countable = image_files if images.is_file() else image_files + label_files
    unpaired = [path for path in countable if path not in paired]
    notes = [*found.notes, *([] if note is None else [note])]
    return Pairing(pairs=pairs, unpaired=unpaired, notes=tuple(notes), found=found)


def _for_one_image(image: Path, reading: Reading | None) -> Pairing:
    pairing = find_pairs(image.parent, reading=reading)
    pairs = [pair for pair in pairing.pairs if pair.image.name == image.name]
    if not pairs:
        raise PairingError(
            f"no label image found for {image} beside it or in a folder {_any_of(_LABEL_FOLDERS)} "
            "next to its folder; give the label file"
        )
    return replace(pairing, pairs=pairs, unpaired=[])


def _candidates(images: Path, labels: Path | None) -> tuple[list[Path], list[Path]]:
    """Return the files that may be images and those that may be labels."""
    if labels is not None and not (images.exists() and labels.exists() and images.samefile(labels)):
        return list_images(images), list_labels(labels)
    if labels is None and images.is_dir() and (folders := _folders_of_both(images)):
        return list_images(folders[0]), list_labels(folders[1])
    return _split_folder(images)


def _without_probabilities(files: list[Path]) -> list[Path]:
    """Leave out what ``ulens segment --probabilities`` writes beside each segmentation."""
    stems = {_stem(file) for file in files}
    belonging = {f"{stem}_probabilities" for stem in stems}
    return [file for file in files if _stem(file) not in belonging]


def _folders_of_both(folder: Path) -> tuple[Path, Path] | None:
    """Return an image folder and its label folder, inside `folder` or it and its sibling."""
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    image_folders = [entry for entry in inside if entry.name.lower() in _IMAGE_FOLDERS]
    if not image_folders and folder.absolute().name.lower() in _IMAGE_FOLDERS:
        image_folders = [folder]
        inside = [entry for entry in sorted(folder.absolute().parent.iterdir()) if entry.is_dir()]
    label_folders = [entry for entry in inside if entry.name.lower() in _LABEL_FOLDERS]
    if not image_folders or not label_folders:
        return None
    if len(image_folders) + len(label_folders) > 2:
        raise PairingError(
            f"{folder} has several folders of images or labels: "
            f"{name_some(image_folders + label_folders)}; say which two belong together"
        )
    return image_folders[0], label_folders[0]


def _split_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Tell images and labels that lie in one folder apart."""
    files = list_images(folder)
    labels = [file for file in files if _role_pattern(_LABEL_ROLE).search(_stem(file))]
    if not labels:
        labels = [
            max(group, key=lambda file: _LABEL_LIKELIHOOD.index(file.suffix.lower()))
            for group in _group(files, _stem).values()
            if len(group) > 1
        ]
    if not labels and folder.is_dir():
        names = {_bare_name(file) for file in files}  # zip and JSON files may be anything else
        labels = [file for file in list_rois(folder) if _bare_name(file) in names]
    return [file for file in files if file not in labels], labels


def _find_channels(images: list[Path], labels: list[Path], reading: Reading | None) -> ChannelFiles:
    """Return the images; files are not joined where two of one image have a label each."""
    if reading is None:
        return ChannelFiles(images=images)
    found = find_channel_files(images, reading.axes)
    known = {key(label) for label in labels for key in (_stem, _bare_name)}
    for first in found.beside:
        own = [file for file in found.files(first) if {_stem(file), _bare_name(file)} & known]
        if len(own) > 1:
            apart = f"{name_some(own)} have a label each"
            return find_channel_files(images, reading.axes, apart=apart)
    return found


def _match(found: ChannelFiles, labels: list[Path]) -> tuple[list[Pair], str | None]:
    """Return the pairs, and how they were made where that was not by names."""
    images = found.images
    pairs = _join(found, images, labels, _stem)
    paired = {path for pair in pairs for path in (pair.image, pair.label)}
    rest_of_images = [file for file in images if file not in paired]
    rest_of_labels = [file for file in labels if file not in paired]
    pairs += _join(found, rest_of_images, rest_of_labels, _bare_name)
    if pairs:
        return pairs, None
    pairs, how = _join(found, images, labels, _numbers), "by the numbers in their names"
    if not pairs and len(images) == len(labels) == 1:
        pairs, how = [Pair(image=images[0], label=labels[0])], "as the only two files"
    pairs.sort(key=lambda pair: images.index(pair.image))
    shown = list_some([f"{pair.image.name} with {pair.label.name}" for pair in pairs])
    return pairs, f"names differ, so files were paired {how}; check this: {shown}"


def _join(
    found: ChannelFiles,
    images: list[Path],
    labels: list[Path],
    key: Callable[[Path], Hashable],
) -> list[Pair]:
    images_by_key, labels_by_key = _group(images, key, found.names), _group(labels, key)
    pairs: list[Pair] = []
    for name in images_by_key.keys() & labels_by_key.keys():
        same_images, same_labels = images_by_key[name], labels_by_key[name]
        if len(same_images) > 1:
            raise PairingError(
                f"label {same_labels[0]} fits {len(same_images)} images: "
                f"{name_some(same_images)}; rename or move all but one"
            )
        if len(same_labels) > 1:
            raise PairingError(
                f"image {same_images[0]} fits {len(same_labels)} labels: "
                f"{name_some(same_labels)}; rename or move all but one"
            )
        pairs.append(Pair(image=same_images[0], label=same_labels[0]))
    label_of: dict[Path, Path] = {}
    for pair in pairs:
        if label_of.setdefault(pair.image, pair.label) != pair.label:
            raise PairingError(
                f"image {pair.image}, with the channels beside it, fits 2 labels: "
                f"{name_some([label_of[pair.image], pair.label])}; rename or move all but one"
            )
    return pairs


def _group(
    files: list[Path],
    key: Callable[[Path], Hashable],
    names: Callable[[Path], tuple[Path, ...]] = lambda file: (file,),
) -> dict[Hashable, list[Path]]:
    """Return the files by their key; one that is called in several ways may have several."""
    groups: dict[Hashable, list[Path]] = {}
    for file in files:
        for name in {key(each): None for each in names(file)}:
            if name is not None:
                groups.setdefault(name, []).append(file)
    return groups


def _stem(path: Path) -> str:
    return path.stem.removesuffix(".ome")


def _bare_name(path: Path) -> str:
    """Return the name without the words that tell images from labels."""
    stem = _role_pattern(_ROI_ROLE).sub("", _stem(path)) if is_roi_file(path) else _stem(path)
    stem = _role_pattern(_LABEL_ROLE).sub("", stem)
    return _role_pattern(_IMAGE_ROLE).sub("", stem)


def _numbers(path: Path) -> tuple[int, ...] | None:
    return tuple(int(digits) for digits in re.findall(r"\d+", _stem(path))) or None


def _role_pattern(role: str) -> re.Pattern[str]:
    """Match a word at the start or the end of a name, with what separates it."""
    at_start = rf"^{role}(?:{_SEPARATOR}+|(?=\d)|$)"
    at_end = rf"{_SEPARATOR}+{role}$"
    return re.compile(f"{at_start}|{at_end}", re.IGNORECASE)


def _explain(
    images: Path,
    labels: Path | None,
    image_files: list[Path],
    label_files: list[Path],
    called: tuple[str, str],
) -> str:
    where = "there and in folders beside it" if labels is None else f"in {labels}"
    return (
        f"no {called[0]} has a {called[1]}: saw {name_some(image_files)} as {called[0]}s in "
        f"{images} and {name_some(label_files)} as {called[1]}s {where}; tried "
        "equal names, names ending in _mask, _masks, _label, _labels or _seg, equal numbers in the "
        "names, and folders "
        f"{_any_of(_IMAGE_FOLDERS)} with {_any_of(_LABEL_FOLDERS)}; rename the files so, or give "
        "the label folder"
    )


def _any_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"

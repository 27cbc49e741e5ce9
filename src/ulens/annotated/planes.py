"""The 2-D planes of annotated images, each with its labels as the files hold them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ulens.annotated.label_values import mark_ignored
from ulens.annotated.pairs import Pair
from ulens.annotated.selection import select_planes
from ulens.channels import common_channels, fit_channels, is_grey
from ulens.errors import DataError, LabelError, ShapeError
from ulens.image import Image
from ulens.io.files import join_notes, name_some, num_planes, planes, read_as
from ulens.io.reading import Reading
from ulens.io.rois import read_labels
from ulens.io.store import ArrayStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """A plane as the files hold it; `label` is (Y, X) int64, −1 where ignored.

    `axes` and `shape` are those of the image file; `notes` are on the reading of the files that
    they name; `moment` names the frame, or the slice where there is one frame alone.
    """

    name: str
    image: np.ndarray
    label: np.ndarray
    pair: Pair
    spacing_um: tuple[float, float] | None
    notes: tuple[tuple[Path, str], ...]
    axes: str
    shape: tuple[int, ...]
    moment: str = ""


def read_planes(
    pairs: list[Pair],
    frames: str | None,
    ignore: int | None,
    reading: Reading,
    store: ArrayStore,
) -> Iterator[Plane]:
    """Read the planes of pairs of files, those alone that `frames` selects."""
    wanted: Iterable[list[int] | None] = [None] * len(pairs)
    if frames is not None:
        wanted = select_planes(frames, [num_planes(pair.image, reading) for pair in pairs])
    for pair, numbers in zip(pairs, wanted, strict=True):
        if numbers is None or numbers:
            yield from _read_pair(pair, numbers, ignore, reading, store)


def _read_pair(
    pair: Pair,
    numbers: list[int] | None,
    ignore: int | None,
    reading: Reading,
    store: ArrayStore,
) -> Iterator[Plane]:
    image = read_as(pair.image, reading)
    label = read_labels(pair.label, image, reading.axes)
    image_planes, label_planes = planes(image), planes(label)
    notes = [(pair.image, note) for note in image.notes]
    notes += [(pair.label, note) for note in label.notes]
    _check_equal_sizes(pair, image, label, len(image_planes), len(label_planes))
    for i in range(len(image_planes)) if numbers is None else numbers:
        name, pixels = image_planes[i]
        label_pixels = one_channel(label_planes[i][1], pair.label)
        yield Plane(
            name=f"{pair.image.stem}_{name}" if name else pair.image.stem,
            image=store.keep(pixels),
            label=store.keep(mark_ignored(label_pixels, ignore, pair.label)),
            pair=pair,
            spacing_um=image.spacing_um,
            notes=tuple(notes),
            axes=image.axes,
            shape=image.data.shape,
            moment=name.partition("_z")[0],
        )


def _check_equal_sizes(
    pair: Pair, image: Image, label: Image, num_images: int, num_labels: int
) -> None:
    size, label_size = image.data.shape[-2:], label.data.shape[-2:]
    if size != label_size:
        raise ShapeError(
            f"{pair.image} is {size[0]}×{size[1]} pixels, its label {pair.label} "
            f"{label_size[0]}×{label_size[1]}; both need the same size"
        )
    if num_images != num_labels:
        raise ShapeError(
            f"{pair.image} has {num_images} planes (axes {image.axes}), its label {pair.label} "
            f"{num_labels} (axes {label.axes}); both need as many; channels belong on axis C "
            "(ImageJ hyperstack or OME-TIFF)"
        )


def one_channel(label: np.ndarray, path: Path) -> np.ndarray:
    """Return the (Y, X) values of a (C, Y, X) label plane whose channels are equal."""
    if not is_grey(label):
        raise LabelError(
            f"{path} is a color image with {label.shape[0]} different channels; labels need one "
            "grey value per class or object; save it as an 8- or 16-bit grey PNG or TIFF file"
        )
    return label[0]


def agree_on_channels(selected: list[Plane]) -> list[Plane]:
    """Give all planes the same channels."""
    num_channels = common_channels([plane.image for plane in selected])
    if num_channels is None:
        raise DataError(_name_channels(selected))
    return [replace(plane, image=fit_channels(plane.image, num_channels)) for plane in selected]


def _name_channels(selected: list[Plane]) -> str:
    files_by_count: dict[int, list[Path]] = {}
    for plane in selected:
        files = files_by_count.setdefault(plane.image.shape[0], [])
        if plane.pair.image not in files:
            files.append(plane.pair.image)
    found = "; ".join(
        f"{count} channel{'s' if count > 1 else ''}: {name_some(files)}"
        for count, files in sorted(files_by_count.items())
    )
    return (
        f"images differ in their number of channels ({found}); give all of them the same channels"
    )


def join_all_notes(selected: list[Plane]) -> tuple[str, ...]:
    """Return what was guessed or changed in reading the files, each once."""
    return tuple(join_notes(note for plane in selected for note in plane.notes))


def common_spacing(selected: list[Plane]) -> tuple[float, float] | None:
    """Return the (y, x) pixel size in µm that all images have, None where they differ."""
    spacings = [plane.spacing_um for plane in selected]
    first = spacings[0]
    if first is None or None in spacings:
        return None
    return first if np.allclose(np.array(spacings, float), first, rtol=0.01, atol=0) else None

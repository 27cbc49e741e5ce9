"""What was read of each pair of image and label: a row of the table that is printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulens.annotated.pairs import Pair
from ulens.channels import common_channels
from ulens.image import name_shape
from ulens.labels.meaning import LabelsAre


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRow:
    """An image file with its label file, as they were understood.

    Parameters
    ----------
    image, label : the files
    axes : of the image, such as ZYX
    shape : its pixels along these axes
    num_channels : 1 where the image is grey
    reading : what the label holds, such as ``12 objects``
    """

    image: Path
    label: Path
    axes: str
    shape: tuple[int, ...]
    num_channels: int
    reading: str

    @property
    def size(self) -> str:
        """The pixels along all axes but that of channels."""
        sizes = zip(self.axes, self.shape, strict=True)
        return name_shape(size for axis, size in sizes if axis != "C")


class Source(NamedTuple):
    """Where a plane is from: its files, the axes and pixels of the image file, its own pixels."""

    pair: Pair
    axes: str
    shape: tuple[int, ...]
    plane: np.ndarray


def make_rows(
    sources: Sequence[Source],
    labels: Sequence[np.ndarray],
    meaning: LabelsAre,
    values: tuple[int, ...],
) -> list[PairRow]:
    """Return a row for each pair of files.

    Parameters
    ----------
    sources : of every plane, those of one pair together
    labels : (Y, X) int32 for each: class indices or instances, −1 = ignored
    values : the values of the classes in the files

    Examples
    --------
    >>> pair = Pair(image=Path("a.png"), label=Path("b.png"))
    >>> source = Source(pair, "YX", (1, 3), np.ones((1, 1, 3)))
    >>> make_rows([source], [np.array([[0, 1, -1]])], "classes", (0, 255))[0].reading
    'classes 0, 255; 33.3% ignored'
    """
    by_pair: dict[Pair, list[tuple[Source, np.ndarray]]] = {}
    for source, label in zip(sources, labels, strict=True):
        by_pair.setdefault(source.pair, []).append((source, label))
    rows = []
    for pair, found in by_pair.items():
        first = found[0][0]
        num_channels = common_channels([source.plane for source, _ in found])
        rows.append(
            PairRow(
                image=pair.image,
                label=pair.label,
                axes=first.axes,
                shape=first.shape,
                num_channels=num_channels or len(first.plane),
                reading=_describe([label for _, label in found], meaning, values),
            )
        )
    return rows


def _describe(labels: list[np.ndarray], meaning: LabelsAre, values: tuple[int, ...]) -> str:
    if meaning == "classes":
        indices = sorted({int(i) for label in labels for i in np.unique(label) if i >= 0})
        reading = f"classes {', '.join(str(values[i]) for i in indices)}"
    else:
        num_objects = sum(len(np.unique(label[label > 0])) for label in labels)
        reading = f"{num_objects} object{'' if num_objects == 1 else 's'}"
    ignored = float(np.mean([(label < 0).mean() for label in labels]))
    return f"{reading}; {ignored:.1%} ignored" if ignored else reading

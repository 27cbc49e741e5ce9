"""Files that are frames of one movie or slices of one stack, known by their names and pixels."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ulens.annotated.planes import Plane

THUMBNAIL_PX, FINE_PX = 32, 4.0
MOST_UNLIKE, MOST_UNLIKE_TO_DISTANT = 0.65, 0.92
"""Of neighbours, in median: 1 − their correlation, and this relative to that of distant ones.

Of frames 10 minutes or slices 50 nm apart (DIC-HeLa, PhC-U373, Fluo-SIM+, ISBI 2012) they are up to
0.50 and 0.87 in the first 4 to 60, of the images of unrelated fields (DSB 2018, white blood cells)
at least 0.80 and 0.97.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a plane belongs.

    Parameters
    ----------
    series : its file, or the first and the last file of its series
    moment : what planes of one time have in common
    """

    series: str
    moment: str


def find_places(
    planes: Sequence[Plane], called: Mapping[Path, Path] | None = None
) -> tuple[list[Place], list[str]]:
    """Tell which planes are neighbours: those of one file, and those of a series of files.

    The files of a series are numbered in their names, and alike where their numbers are near.

    Parameters
    ----------
    planes : of all image files, in their order
    called : by the first file of an image whose channels lie in several, its name without them

    Returns
    -------
    the place of each plane, and a sentence on each series

    Notes
    -----
    The last number in a name counts, or those after t and z. Images are compared as thumbnails
    without their coarse brightness. Distant are files half the series apart; where there are fewer
    than four, those of the other series.
    """
    thumbnails: dict[str, list[np.ndarray]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    names_of = [(called or {}).get(each.pair.image, each.pair.image).name for each in planes]
    for plane, name in zip(planes, names_of, strict=True):
        thumbnails.setdefault(name, []).append(_thumbnail(plane.image))
        shapes[name] = plane.image.shape
    images = {name: _standardize(np.mean(each, axis=0)) for name, each in thumbnails.items()}
    groups: dict[object, list[tuple[tuple[int, ...], str]]] = {}
    for name, shape in shapes.items():
        series, numbers = _read_name(name)
        if numbers:
            groups.setdefault((series, shape), []).append((numbers, name))
    places: dict[str, Place] = {}
    sentences = []
    for members in groups.values():
        names = [name for _, name in sorted(members)]
        others = [n for n in images if n not in names and images[n].shape == images[names[0]].shape]
        if _are_neighbours([images[n] for n in names], [images[n] for n in others]):
            series = f"{names[0]} to {names[-1]}"
            places |= {name: Place(series=series, moment=str(n[0])) for n, name in members}
            sentences.append(
                f"{series} ({len(names)} files) are taken for one movie or stack, since neighbours "
                "are much more alike than other images"
            )
    own = [Place(series=each.pair.image.name, moment=each.moment) for each in planes]
    return [places.get(name, place) for name, place in zip(names_of, own, strict=True)], sentences


def _read_name(name: str) -> tuple[str, tuple[int, ...]]:
    """Return a file's name without its numbers in a series, and these; none where it has none.

    Examples
    --------
    >>> _read_name("cell_0012.tif"), _read_name("a1_T3_Z07.tif"), _read_name("a.tif")
    (('cell_#.tif', (12,)), ('a1_T#_Z#.tif', (3, 7)), ('a.tif', ()))
    """
    stem, dot, suffix = name.partition(".")
    found = [re.search(rf"(?<![A-Za-z]){letter}(\d+)", stem, re.IGNORECASE) for letter in "tz"]
    if None in found:
        found = [re.search(r"(\d+)(?=\D*$)", stem)]
    numbers = [match for match in found if match is not None]
    for match in sorted(numbers, key=lambda match: -match.start(1)):
        stem = f"{stem[: match.start(1)]}#{stem[match.end(1) :]}"
    return f"{stem}{dot}{suffix}", tuple(int(match[1]) for match in numbers)


def _are_neighbours(images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    """Whether images are much more alike to the next of them than to distant ones."""
    far = len(images) // 2
    distant = zip(images, images[far:] if far >= 2 else others, strict=False)
    near = [_distance(one, other) for one, other in itertools.pairwise(images)]
    apart = [_distance(one, other) for one, other in distant]
    if not near or not apart:
        return False
    limit = min(MOST_UNLIKE, MOST_UNLIKE_TO_DISTANT * float(np.median(apart)))
    return float(np.median(near)) < limit


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return 1 - float((one * other).mean())


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Return the means of about 32×32 cells of a (C, Y, X) image."""
    means = image.mean(axis=0, dtype=np.float32)
    for axis, size in enumerate(means.shape):
        edges = np.linspace(0, size, min(size, THUMBNAIL_PX), endpoint=False).astype(int)
        counts = np.diff([*edges, size])
        sums = np.add.reduceat(means, edges, axis=axis)
        means = sums / (counts[:, None] if axis == 0 else counts)
    return means


def _standardize(thumbnail: np.ndarray) -> np.ndarray:
    fine = thumbnail - ndimage.gaussian_filter(thumbnail, FINE_PX)
    fine = fine - fine.mean()
    return fine / max(float(fine.std()), 1e-9)

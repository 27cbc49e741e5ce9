"""Label images as outlines: ImageJ ROIs and the GeoJSON of QuPath, read and written; COCO, written.

A pixel belongs to an object when its center lies inside by the even-odd rule, as in ImageJ.
Written outlines follow the edges of pixels, where no center lies and both fill rules agree, so
ImageJ and QuPath fill exactly the pixels that were written. Outlines drawn between pixels are
filled as ImageJ does; masks that QuPath exports may differ from that along the outline, because
Java moves vertices by up to half a pixel unless told otherwise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from ulens.errors import DataError, FileError, LabelError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.atomic import write_file
from ulens.io.coco import encode_coco
from ulens.io.files import is_roi_file, read_label_image
from ulens.io.geojson import encode_geojson, read_geojson
from ulens.io.outline_files import Outline, encode_imagej, read_imagej
from ulens.labels.outlines import fill, trace
from ulens.labels.overlap import LARGEST_LABEL

COCO_ENDING = ".coco.json"
_GEOJSON_SUFFIXES = (".geojson", ".json")


def read_labels(path: Path, like: Image, axes: str | None = None) -> Image:
    """Read labels from a label image or from outlines.

    Parameters
    ----------
    path : a file that `read_label_image` or `read_rois` reads, by its suffix
    like : the image that the labels belong to; outlines take its size, frames and slices
    axes : what the axes of a label image are, as `read_image` takes them
    """
    if not is_roi_file(path):
        return read_label_image(path, axes)
    sizes = {a: n for a, n in zip(like.axes, like.data.shape, strict=True) if a != "C"}
    letters = "".join(sizes)
    data = read_rois(path, tuple(sizes.values()), axes=letters)
    return Image(data=data, axes=letters, source=path)


def read_rois(path: Path, shape: tuple[int, ...], *, axes: str = "YX") -> np.ndarray:
    """Read the objects of an ImageJ ROI zip, a single ROI or a GeoJSON file.

    Parameters
    ----------
    path : .zip, .roi, .geojson or .json
    shape : of the label image, one size per letter of `axes`
    axes : YX, TYX, ZYX or TZYX

    Returns
    -------
    int32 of that shape, 0 = background; labels are the names of the objects where these are
    different positive numbers, else 1…N in the order of the file

    Raises
    ------
    FileError : the file is missing, damaged or of another format
    LabelError : an object has no area, lies outside the image or does not say in which plane
        of a stack it lies

    Notes
    -----
    Sub-pixel coordinates of polygons are used as they are; rectangles and ovals are filled in their
    whole pixels, as ImageJ does. Where objects overlap the later one is on top;
    what reaches over the image's edge is cut off; objects that hold no pixel center vanish.
    """
    path = Path(path)
    outlines = _read(path)
    stack = {letter: size for letter, size in zip(axes, shape, strict=True) if letter in "TZ"}
    places = [_place(outline, stack, path) for outline in outlines]
    labels = np.zeros(shape, np.int32)
    for outline, place, number in zip(outlines, places, _numbers(outlines, places), strict=True):
        _paint(labels[place], outline, number, path)
    return labels


def write_rois(
    path: Path,
    labels: np.ndarray,
    *,
    axes: str = "YX",
    classes: Mapping[int, str] = MappingProxyType({}),
    image: str = "",
) -> None:
    """Write the outlines of all objects.

    Parameters
    ----------
    path : .zip for ImageJ, .coco.json for COCO, .geojson or any other .json for QuPath; replaced
        if it exists
    labels : integers from 0 = background, one dimension per letter of `axes`
    axes : YX, TYX, ZYX or TZYX
    classes : names of the values of classes, which COCO and GeoJSON keep
    image : name of the file that was segmented, which COCO keeps

    Raises
    ------
    SettingError : another suffix
    ShapeError : labels have another number of dimensions
    LabelError : labels are negative or not whole numbers
    OutputError : the file cannot be written, or coordinates are too large for ImageJ

    Notes
    -----
    An object is one ROI or feature with its label as its name, whatever the number of its parts
    and holes: a traced outline, a composite or a MultiPolygon.
    """
    path = Path(path)
    if path.suffix.lower() not in (".zip", *_GEOJSON_SUFFIXES):
        raise SettingError(
            f"outlines cannot be written to {path}; choose .zip (ImageJ), .geojson (QuPath) "
            f"or {COCO_ENDING}"
        )
    if labels.ndim != len(axes):
        raise ShapeError(
            f"labels have shape {labels.shape}, axes {axes!r} name {len(axes)} dimensions; "
            "give one letter per dimension"
        )
    if labels.dtype.kind not in "biu" or labels.min(initial=0) < 0:
        raise LabelError(
            f"labels are {labels.dtype} from {labels.min(initial=0)}; outlines need whole "
            "numbers from 0"
        )
    outlines = _outlines(labels, axes, classes)
    if path.suffix.lower() == ".zip":
        encoded = encode_imagej(outlines, path)
    elif path.name.lower().endswith(COCO_ENDING):
        encoded = encode_coco(outlines, labels.shape, axes=axes, image=image)
    else:
        encoded = encode_geojson(outlines)
    write_file(path, encoded)


def _read(path: Path) -> list[Outline]:
    if not path.is_file():
        raise FileError(f"{path} does not exist; give a .zip, .roi, .geojson or .json file")
    is_imagej = path.suffix.lower() not in _GEOJSON_SUFFIXES
    try:
        outlines = read_imagej(path) if is_imagej else read_geojson(path)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders raise errors of many kinds for damaged files
        raise FileError(
            f"{path} cannot be read ({str(error) or type(error).__name__}); it is damaged or no "
            f"{'ImageJ ROI file' if is_imagej else 'GeoJSON'}: copy or export it again"
        ) from error
    for outline in outlines:
        rings = [ring for polygon in outline.polygons for ring in polygon]
        if not rings or not all(ring.size and np.isfinite(ring).all() for ring in rings):
            raise FileError(
                f"{path}: the outline of {outline.name!r} is empty or holds NaN or infinite "
                "coordinates; draw it again"
            )
    return outlines


def _place(outline: Outline, stack: dict[str, int], path: Path) -> tuple[int, ...]:
    """Return the indices of the plane that an outline lies in."""
    of_outline = {"T": outline.t, "Z": outline.z}
    place = []
    for letter, size in stack.items():
        number = of_outline[letter]
        if number is None and len(stack) == 1:
            number = outline.page
        if number is None or not 0 <= number < size:
            where = "does not say in which" if number is None else f"lies in number {number}"
            kind = "frames" if letter == "T" else "slices"
            raise LabelError(
                f"{path}: {outline.name!r} {where} of the {size} {kind} of its image (counted "
                "from 0); set its position in ImageJ or QuPath, or give the label file of this "
                "image"
            )
        place.append(number)
    return tuple(place)


def _numbers(outlines: list[Outline], places: list[tuple[int, ...]]) -> list[int]:
    """Return the labels: the names where they can be labels, else 1…N."""
    names = [outline.name for outline in outlines]
    if all(name.isascii() and name.isdigit() and len(name) <= 10 for name in names):
        numbers = [int(name) for name in names]
        different = len(set(zip(numbers, places, strict=True))) == len(numbers)
        if different and all(0 < number <= LARGEST_LABEL for number in numbers):
            return numbers
    return list(range(1, len(names) + 1))


def _paint(plane: np.ndarray, outline: Outline, number: int, path: Path) -> None:
    rings = [ring for polygon in outline.polygons for ring in polygon]
    corners = np.concatenate(rings)
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    height, width = plane.shape
    if low[0] >= width or low[1] >= height or (high <= 0).any():
        raise LabelError(
            f"{path}: {outline.name!r} lies at x {low[0]:g}…{high[0]:g}, y {low[1]:g}…{high[1]:g}, "
            f"outside its image of {height}×{width} pixels (y×x); give the image it was drawn on"
        )
    left, top = np.maximum(low, 0).astype(int).tolist()
    right, bottom = np.minimum(high, (width, height)).astype(int).tolist()
    box = plane[top:bottom, left:right]
    box[fill([ring - (left, top) for ring in rings], box.shape)] = number


def _outlines(labels: np.ndarray, axes: str, classes: Mapping[int, str]) -> Iterator[Outline]:
    for place in np.ndindex(*labels.shape[:-2]):
        at = dict(zip(axes, place, strict=False))
        ids, compact = np.unique(np.append(labels[place], 0), return_inverse=True)
        compact = compact[:-1].reshape(labels.shape[-2:])
        for number, box in enumerate(ndimage.find_objects(compact), start=1):
            start = np.array([box[1].start, box[0].start])
            polygons = trace(compact[box] == number)
            value = int(ids[number])
            yield Outline(
                name=str(value),
                polygons=[[ring + start for ring in rings] for rings in polygons],
                t=at.get("T"),
                z=at.get("Z"),
                classification=classes.get(value),
            )

"""Outlines as instances of COCO: JSON that programs for object detection take."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ulens.errors import FileError
from ulens.io.outline_files import Outline
from ulens.labels.outlines import fill

DATASET = "coco.json"
"""Name of the file of all images of a folder, which no image's own file has."""
_OBJECT = "object"


def encode_coco(
    outlines: Iterable[Outline], shape: tuple[int, ...], *, axes: str, image: str
) -> bytes:
    """Return the JSON of an image; each plane of a stack counts as an image of its own.

    Parameters
    ----------
    outlines : along the edges of pixels, as `ulens.labels.outlines.trace` makes them
    shape, axes : of the label image
    image : name of the file that was segmented

    Notes
    -----
    An object without holes is a list of polygons, others are run lengths, not compressed, column
    by column. ``category_id`` is the number of the classification, or 1 of objects without; the
    entry ``label`` has the value in the label image, ``t`` and ``z`` of an image its plane.
    """
    letters, (height, width) = axes[:-2].lower(), shape[-2:]
    places = list(np.ndindex(*shape[:-2]))
    numbers = {place: number for number, place in enumerate(places, start=1)}
    images = [
        {"id": number, "file_name": image, "width": width, "height": height}
        | dict(zip(letters, place, strict=True))
        for place, number in numbers.items()
    ]
    categories: dict[str, int] = {}
    annotations = []
    for number, outline in enumerate(outlines, start=1):
        place = tuple({"t": outline.t, "z": outline.z}[letter] or 0 for letter in letters)
        category = outline.classification or _OBJECT
        annotations.append(
            {
                "id": number,
                "image_id": numbers[place],
                "category_id": categories.setdefault(category, len(categories) + 1),
                "label": int(outline.name),
                "iscrowd": 0,
                **_describe(outline, (height, width)),
            }
        )
    return _encode(image, images, annotations, categories)


def join_coco(files: Iterable[Path]) -> bytes:
    """Return the JSON of all images that `encode_coco` made a file of each for.

    Images and objects are numbered anew, in the order of the files; categories are the same where
    their names are.

    Raises
    ------
    FileError : a file cannot be read, or is not as `encode_coco` makes it
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    for file in files:
        first_image, first = len(images), len(annotations)
        try:
            content = json.loads(file.read_bytes())
            names = {each["id"]: each["name"] for each in content["categories"]}
            images += [each | {"id": each["id"] + first_image} for each in content["images"]]
            for number, each in enumerate(content["annotations"], start=first + 1):
                name = names[each["category_id"]]
                new = {
                    "id": number,
                    "image_id": each["image_id"] + first_image,
                    "category_id": categories.setdefault(name, len(categories) + 1),
                }
                annotations.append(each | new)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise FileError(
                f"{file} cannot be read as COCO ({error}); delete it: the same command makes it "
                "again"
            ) from error
    return _encode(f"images: {len(images)}", images, annotations, categories)


def _encode(
    what: str,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    categories: dict[str, int],
) -> bytes:
    content = {
        "info": {"description": f"{what}, segmented by ulens"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for name, number in (categories or {_OBJECT: 1}).items()
        ],
    }
    return json.dumps(content, ensure_ascii=True).encode()


def _describe(outline: Outline, size: tuple[int, int]) -> dict[str, Any]:
    """Return segmentation, bounding box and area in pixels."""
    rings = [ring for polygon in outline.polygons for ring in polygon]
    corners = np.concatenate(rings).astype(int)
    start, stop = corners.min(axis=0), corners.max(axis=0)
    mask = fill([ring - start for ring in rings], (stop[1] - start[1], stop[0] - start[0]))
    has_holes = len(rings) > len(outline.polygons)
    flat = [ring.ravel().tolist() for ring in rings]
    return {
        "segmentation": _run_lengths(mask, start, size) if has_holes else flat,
        "bbox": [*start.tolist(), *(stop - start).tolist()],
        "area": int(mask.sum()),
    }


def _run_lengths(mask: np.ndarray, start: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """Return how long the runs of pixels outside and inside are, by turns, column by column.

    Parameters
    ----------
    mask : (Y, X) bool, not empty; part of an image of `size` (Y, X)
    start : (x, y) of its first pixel there
    """
    columns, rows = np.nonzero(mask.T)
    inside = (columns + start[0]) * size[0] + rows + start[1]
    firsts = np.flatnonzero(np.diff(inside, prepend=-2) != 1)
    lasts = np.append(firsts[1:], len(inside)) - 1
    edges = np.column_stack([inside[firsts], inside[lasts] + 1]).ravel()
    counts = np.diff(edges, prepend=0, append=size[0] * size[1])
    return {"size": list(size), "counts": counts.tolist()}

"""Outlines as QuPath stores them: GeoJSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ulens.errors import FileError, LabelError
from ulens.io.outline_files import Outline, no_area, plane_of

_FOUND = {"detection", "cell"}
"""Types of objects that QuPath finds; annotations are what a person draws."""


def read_geojson(path: Path) -> list[Outline]:
    """Read a FeatureCollection, or the bare list of features that QuPath's scripts write.

    Raises
    ------
    FileError : JSON of another kind
    LabelError : a feature that has no area, such as a point
    Exception : of any kind where the file is damaged
    """
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content["features"]
    features = content if isinstance(content, list) else [content]
    if any(not isinstance(each, dict) or each.get("type") != "Feature" for each in features):
        raise FileError(
            f"{path} is JSON, but no GeoJSON FeatureCollection; export the objects from QuPath as "
            "GeoJSON, or give label images or ImageJ ROIs"
        )
    outlines = [_from_feature(each, number, path) for number, each in enumerate(features, start=1)]
    _check_regions(features, outlines, path)
    return outlines


def encode_geojson(outlines: Iterable[Outline]) -> bytes:
    """Return a FeatureCollection of annotations, as QuPath opens it."""
    features = [_to_feature(outline) for outline in outlines]
    content = {"type": "FeatureCollection", "features": features}
    return json.dumps(content, ensure_ascii=False).encode()


def _from_feature(feature: dict[str, Any], number: int, path: Path) -> Outline:
    properties, geometry = feature.get("properties") or {}, feature.get("geometry") or {}
    name, kind = str(properties.get("name") or f"feature {number}"), geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        raise no_area(path, name, str(kind))
    coordinates = geometry["coordinates"]
    plane = geometry.get("plane") or {}
    return Outline(
        name=name,
        polygons=[
            [np.array([point[:2] for point in ring], np.float64).reshape(-1, 2) for ring in rings]
            for rings in ([coordinates] if kind == "Polygon" else coordinates)
        ],
        # QuPath leaves the plane out where it is the first
        t=int(plane.get("t", 0)),
        z=int(plane.get("z", 0)),
    )


def _check_regions(features: list[Any], outlines: list[Outline], path: Path) -> None:
    """Raise LabelError where an annotation of QuPath only says where it found cells."""
    kinds = [(each.get("properties") or {}).get("objectType") for each in features]
    if not _FOUND & set(kinds):
        return
    boxes = [_bounds(outline) for outline in outlines]
    found = np.array([box for kind, box in zip(kinds, boxes, strict=True) if kind in _FOUND])
    for kind, (left, top, right, bottom), outline in zip(kinds, boxes, outlines, strict=True):
        inside = (found[:, :2] >= (left, top)).all(axis=1) & (found[:, 2:] <= (right, bottom)).all(
            axis=1
        )
        if kind not in _FOUND and inside.sum() > 1:
            raise LabelError(
                f"{path}: {outline.name!r} is an {kind} around {inside.sum()} detections and would "
                "count as one more object; select the detections in QuPath and export the selected "
                "objects alone"
            )


def _bounds(outline: Outline) -> list[float]:
    """Return left, top, right and bottom."""
    corners = np.concatenate([ring for polygon in outline.polygons for ring in polygon])
    return [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]


def _to_feature(outline: Outline) -> dict[str, Any]:
    polygons = [
        [ring.astype(int).tolist() for ring in (np.vstack([r, r[:1]]) for r in polygon)]
        for polygon in outline.polygons
    ]
    one = len(polygons) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if one else "MultiPolygon",
        "coordinates": polygons[0] if one else polygons,
    }
    if plane := plane_of(outline):
        geometry["plane"] = {"c": -1, "z": 0, "t": 0} | plane
    properties: dict[str, Any] = {"objectType": "annotation", "name": outline.name}
    if outline.classification is not None:
        properties["classification"] = {"name": outline.classification}
    return {"type": "Feature", "geometry": geometry, "properties": properties}

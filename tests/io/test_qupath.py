"""GeoJSON as QuPath exports it, version by version, and as it imports it."""

import json
import zipfile

import numpy as np
import pytest

from ulens.errors import LabelError
from ulens.io.rois import read_rois, write_rois

SHAPE = 20, 30
OLD = {"classification": {"name": "Tumor", "colorRGB": -3670016}, "isLocked": False}  # 0.2
NEW = {"classification": {"name": "Tumor", "color": [200, 0, 0]}, "isLocked": True}  # from 0.4 on


def ring(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def polygon(*rings, **more):
    return {"type": "Polygon", "coordinates": list(rings), **more}


def feature(geometry, kind="annotation", **properties):
    """Of no name unless one is given: QuPath leaves it out."""
    identity = "a3b1c6a0-0000-4000-8000-000000000000"
    properties = {"objectType": kind, **properties}
    return {"type": "Feature", "id": identity, "geometry": geometry, "properties": properties}


def save(path, *features, is_collection=True):
    content = {"type": "FeatureCollection", "features": list(features)}
    path.write_text(json.dumps(content if is_collection else list(features)))
    return path


def box(left, top, right, bottom):
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("is_collection", [True, False])
@pytest.mark.parametrize("properties", [{}, OLD, NEW, {"name": "a cell"}, {"isLocked": True}])
@pytest.mark.parametrize("kind", ["annotation", "detection", "PathAnnotationObject"])
def test_what_an_object_is_called_does_not_matter(tmp_path, is_collection, properties, kind):
    drawn = [
        feature(polygon(ring(1, 2, 5, 6)), kind, **properties),
        feature(polygon(ring(9, 2, 15, 6)), kind, **properties),
    ]
    path = save(tmp_path / "a.geojson", *drawn, is_collection=is_collection)
    expected = box(1, 2, 5, 6) + 2 * box(9, 2, 15, 6)
    np.testing.assert_array_equal(read_rois(path, SHAPE), expected)


def test_holes_and_parts(tmp_path):
    hole = polygon(ring(1, 1, 9, 9), ring(3, 3, 6, 6))
    parts = {
        "type": "MultiPolygon",
        "coordinates": [[ring(12, 1, 20, 9), ring(14, 3, 16, 5)], [ring(22, 4, 25, 8)]],
    }
    labels = read_rois(save(tmp_path / "a.geojson", feature(hole), feature(parts)), SHAPE)
    first = box(1, 1, 9, 9) & ~box(3, 3, 6, 6)
    second = (box(12, 1, 20, 9) & ~box(14, 3, 16, 5)) | box(22, 4, 25, 8)
    np.testing.assert_array_equal(labels, first + 2 * second)


def test_an_ellipse_is_a_polygon(tmp_path):
    angles = np.linspace(0, 2 * np.pi, 101)
    points = np.column_stack([14.5 + 8 * np.cos(angles), 9.25 + 6 * np.sin(angles)])
    drawn = feature(polygon(points.tolist(), isEllipse=True))
    labels = read_rois(save(tmp_path / "a.geojson", drawn), SHAPE)
    y, x = np.indices(SHAPE) + 0.5
    distance = np.hypot((x - 14.5) / 8, (y - 9.25) / 6)
    np.testing.assert_array_equal(labels[distance < 0.99], 1)
    np.testing.assert_array_equal(labels[distance > 1], 0)


def test_of_a_cell_its_border_counts_and_not_its_nucleus(tmp_path):
    cell = feature(polygon(ring(2, 2, 10, 10)), "cell", measurements={"Area": 64.0})
    cell["nucleusGeometry"] = polygon(ring(4, 4, 6, 6))
    labels = read_rois(save(tmp_path / "a.geojson", cell), SHAPE)
    np.testing.assert_array_equal(labels, box(2, 2, 10, 10))


def test_planes(tmp_path):
    first = feature(polygon(ring(1, 1, 5, 5)))  # QuPath leaves the first plane out
    later = feature(polygon(ring(1, 1, 5, 5), plane={"c": -1, "z": 2, "t": 1}))
    path = save(tmp_path / "a.geojson", first, later)
    labels = read_rois(path, (2, 3, *SHAPE), axes="TZYX")
    places = {place for place in np.ndindex(2, 3) if labels[place].any()}
    assert places == {(0, 0), (1, 2)}


@pytest.mark.parametrize("kind", ["cell", "detection"])
def test_a_region_around_detections_is_no_object(tmp_path, kind):
    found = [feature(polygon(ring(x, 2, x + 3, 6)), kind) for x in (2, 8)]
    region = feature(polygon(ring(0, 0, 20, 15)), name="tissue")
    message = r"'tissue' is an annotation around 2 detections .*export the selected objects alone"
    with pytest.raises(LabelError, match=message):
        read_rois(save(tmp_path / "a.geojson", region, *found), SHAPE)
    added = feature(polygon(ring(14, 2, 18, 6)))  # a cell that QuPath missed, drawn
    assert read_rois(save(tmp_path / "b.geojson", *found, added), SHAPE).max() == 3


@pytest.mark.parametrize("kind", ["Point", "MultiPoint", "LineString"])
def test_points_and_lines_are_no_objects(tmp_path, kind):
    drawn = feature({"type": kind, "coordinates": [[1, 1], [2, 2]]}, name="p")
    with pytest.raises(LabelError, match=rf"'p' is a {kind}, which has no area"):
        read_rois(save(tmp_path / "a.geojson", drawn), SHAPE)


def test_a_compressed_export_has_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.geojson", "{}")
    with pytest.raises(LabelError, match=r"a\.zip holds a\.geojson, as QuPath .*; unpack it and"):
        read_rois(tmp_path / "a.zip", SHAPE)


def test_what_is_written_is_what_qupath_imports(tmp_path):
    labels = np.zeros((2, *SHAPE), np.uint16)
    labels[1, 2:9, 3:9] = 5
    labels[1, 4:6, 5:7] = 0
    labels[1, 2:4, 20:22] = 5
    write_rois(tmp_path / "a.geojson", labels, axes="ZYX", classes={5: "Tumor"})
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    (one,) = content["features"]
    assert one["type"] == "Feature"
    assert one["properties"] == {
        "objectType": "annotation",
        "name": "5",
        "classification": {"name": "Tumor"},
    }
    geometry = one["geometry"]
    assert geometry["type"] == "MultiPolygon"
    assert geometry["plane"] == {"c": -1, "z": 1, "t": 0}
    assert [len(rings) for rings in geometry["coordinates"]] == [2, 1]
    for rings in geometry["coordinates"]:
        assert all(each[0] == each[-1] and len(each) >= 4 for each in rings)
    back = read_rois(tmp_path / "a.geojson", labels.shape, axes="ZYX")
    np.testing.assert_array_equal(back, labels)

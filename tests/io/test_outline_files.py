"""ROIs as users draw them in ImageJ, and features as QuPath exports them."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from ulens.errors import FileError, LabelError, OutputError
from ulens.io.geojson import encode_geojson, read_geojson
from ulens.io.outline_files import Outline, encode_imagej, read_imagej, rounded_rectangle
from ulens.io.rois import read_rois
from ulens.labels.outlines import fill

SQUARE = np.array([(1, 1), (4, 1), (4, 3), (1, 3)])


def roi(kind, *, box=(0, 0, 0, 0), **fields):
    made = ImagejRoi()
    made.roitype = kind
    made.left, made.top, made.right, made.bottom = box
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def save(path, *rois):
    with zipfile.ZipFile(path, "w") as archive:
        for number, each in enumerate(rois):
            archive.writestr(f"{each.name or f'{number:04d}'}.roi", each.tobytes())
    return path


def square(n, top, left, height, width):
    mask = np.zeros((n, n), bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize("kind", [ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED])
def test_polygons_of_whole_pixels(tmp_path, kind):
    drawn = ImagejRoi.frompoints(SQUARE)
    drawn.roitype = kind
    labels = read_rois(save(tmp_path / "a.zip", drawn), (8, 8))
    np.testing.assert_array_equal(labels > 0, square(8, 1, 1, 2, 3))


def test_sub_pixel_polygon_is_not_rounded(tmp_path):
    drawn = ImagejRoi.frompoints(SQUARE + 0.6)  # rounded it would be square(8, 2, 2, 2, 3)
    labels = read_rois(save(tmp_path / "a.zip", drawn), (8, 8))
    np.testing.assert_array_equal(labels > 0, square(8, 2, 2, 2, 3))
    drawn = ImagejRoi.frompoints(SQUARE + 0.4)
    labels = read_rois(save(tmp_path / "b.zip", drawn), (8, 8))
    np.testing.assert_array_equal(labels > 0, square(8, 1, 1, 2, 3))


def test_rectangles(tmp_path):
    whole = roi(ROI_TYPE.RECT, box=(1, 2, 4, 7))
    labels = read_rois(save(tmp_path / "a.zip", whole), (8, 8))
    np.testing.assert_array_equal(labels > 0, square(8, 2, 1, 5, 3))
    fine = roi(
        ROI_TYPE.RECT, box=(1, 2, 4, 7), options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
        xd=1.6, yd=2.2, widthd=3.0, heightd=5.0,
    )  # fmt: skip
    labels = read_rois(save(tmp_path / "b.zip", fine), (8, 8))
    np.testing.assert_array_equal(labels > 0, square(8, 2, 1, 5, 3))  # as ImageJ fills it


def test_round_corners(tmp_path):
    drawn = roi(ROI_TYPE.RECT, box=(0, 0, 8, 8), rounded_rect_arc_size=4)
    labels = read_rois(save(tmp_path / "a.zip", drawn), (8, 8))
    expected = np.ones((8, 8), bool)
    expected[[0, 0, 7, 7], [0, 7, 0, 7]] = False
    np.testing.assert_array_equal(labels > 0, expected)


def test_ovals_hold_the_pixels_whose_centers_lie_inside(tmp_path):
    labels = read_rois(save(tmp_path / "a.zip", roi(ROI_TYPE.OVAL, box=(2, 1, 12, 8))), (9, 14))
    y, x = np.mgrid[:9, :14] + 0.5
    expected = ((x - 7) / 5) ** 2 + ((y - 4.5) / 3.5) ** 2 <= 1
    np.testing.assert_array_equal(labels > 0, expected)
    fine = roi(
        ROI_TYPE.OVAL, box=(2, 1, 11, 7), options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
        xd=2.3, yd=1.4, widthd=8.5, heightd=6.0,
    )  # fmt: skip
    labels = read_rois(save(tmp_path / "b.zip", fine), (9, 14))
    expected = ((x - 6.5) / 4.5) ** 2 + ((y - 4) / 3) ** 2 <= 1  # as ImageJ fills it
    np.testing.assert_array_equal(labels > 0, expected)


@settings(max_examples=200, deadline=None)
@given(
    left=st.integers(-5, 10), top=st.integers(-5, 10), width=st.integers(0, 20),
    height=st.integers(0, 20), arc=st.integers(1, 30), shift=st.sampled_from([0.0, 0.25, 0.6]),
)  # fmt: skip
def test_ovals_and_round_corners_are_their_definition(left, top, width, height, arc, shift):
    x, y = left + shift, top + shift
    rows, columns = np.mgrid[:30, :30] + 0.5

    def beyond(position, start, length):
        diameter = min(arc, length)
        offset = np.abs(position - (start + length / 2)) - (length - diameter) / 2
        return offset.clip(0) / (diameter / 2)

    found = np.zeros((30, 30), bool)
    for rings in rounded_rectangle((x, y, width, height), arc):
        found |= fill(rings, found.shape)
    if width and height:
        expected = beyond(columns, x, width) ** 2 + beyond(rows, y, height) ** 2 <= 1
    else:
        expected = np.zeros_like(found)
    np.testing.assert_array_equal(found, expected)


def test_ovals_of_any_size(tmp_path):
    drawn = roi(ROI_TYPE.OVAL, box=(0, 0, 32_000, 32_000))
    path = save(tmp_path / "a.zip", *[drawn] * 50)
    tracemalloc.start()
    assert len(read_imagej(path)) == 50
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6  # drawn whole, a single one has 10⁹ pixels


def test_composites_with_holes_and_curves(tmp_path):
    ring = [0, 1, 1, 1, 7, 1, 1, 7, 7, 1, 1, 7, 4, 0, 3, 3, 1, 3, 5, 1, 5, 5, 1, 5, 3, 4]
    drawn = roi(ROI_TYPE.RECT, box=(1, 1, 7, 7), shape_roi_size=len(ring))
    drawn.multi_coordinates = np.array(ring, np.float32)
    labels = read_rois(save(tmp_path / "a.zip", drawn), (8, 8))
    expected = square(8, 1, 1, 6, 6) & ~square(8, 3, 3, 2, 2)
    np.testing.assert_array_equal(labels > 0, expected)

    k = 8 * 0.5522847  # a circle of radius 8 around (10, 10), the way Java draws it
    corners = [(18, 10), (10, 18), (2, 10), (10, 2), (18, 10)]
    tangents = [(0, k), (-k, 0), (0, -k), (k, 0), (0, k)]
    path = [0, 18, 10]
    for i in range(4):
        (x0, y0), (x1, y1) = corners[i], corners[i + 1]
        (u0, v0), (u1, v1) = tangents[i], tangents[i + 1]
        path += [3, x0 + u0, y0 + v0, x1 - u1, y1 - v1, x1, y1]
    drawn = roi(ROI_TYPE.RECT, box=(2, 2, 18, 18), shape_roi_size=len(path) + 1)
    drawn.multi_coordinates = np.array([*path, 4], np.float32)
    labels = read_rois(save(tmp_path / "b.zip", drawn), (20, 20))
    y, x = np.mgrid[:20, :20] + 0.5
    distance = np.hypot(x - 10, y - 10)
    assert (labels[distance < 7.9] == 1).all()
    assert (labels[distance > 8.1] == 0).all()


def test_quadratic_curves(tmp_path):
    path = [0, 0, 8, 2, 4, -8, 8, 8, 4]  # a parabola with its top at (4, 0)
    drawn = roi(ROI_TYPE.RECT, box=(0, 0, 8, 8), shape_roi_size=len(path))
    drawn.multi_coordinates = np.array(path, np.float32)
    labels = read_rois(save(tmp_path / "a.zip", drawn), (8, 8))
    y, x = np.mgrid[:8, :8] + 0.5
    np.testing.assert_array_equal(labels > 0, y > (x - 4) ** 2 / 2)


def test_names_and_positions(tmp_path):
    named = roi(ROI_TYPE.RECT, box=(0, 0, 2, 2), name="mitosis", t_position=3, z_position=1)
    unnamed = roi(ROI_TYPE.RECT, box=(0, 0, 2, 2), position=4)
    outlines = read_imagej(save(tmp_path / "a.zip", named, unnamed))
    assert [(o.name, o.t, o.z, o.page) for o in outlines] == [
        ("mitosis", 2, 0, None),
        ("0001", None, None, 3),
    ]


def test_single_roi_file(tmp_path):
    (tmp_path / "cell.roi").write_bytes(roi(ROI_TYPE.RECT, box=(1, 1, 4, 3)).tobytes())
    labels = read_rois(tmp_path / "cell.roi", (8, 8))
    np.testing.assert_array_equal(labels > 0, square(8, 1, 1, 2, 3))


def test_other_files_in_a_zip_are_left_out(tmp_path):
    path = save(tmp_path / "a.zip", roi(ROI_TYPE.RECT, box=(1, 1, 4, 3)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._0000.roi", b"resource fork")
        archive.writestr("notes.txt", b"")
    assert len(read_imagej(path)) == 1


@pytest.mark.parametrize(
    ("drawn", "kind"),
    [
        (roi(ROI_TYPE.LINE, name="axis"), "line"),
        (roi(ROI_TYPE.RECT, name="axis", subtype=ROI_SUBTYPE.TEXT), "rect"),
        (ImagejRoi.frompoints(SQUARE, name="axis"), "point"),
    ],
)
def test_rois_without_area_are_named(tmp_path, drawn, kind):
    if kind == "point":
        drawn.roitype = ROI_TYPE.POINT
    message = rf"a\.zip: 'axis' is a {kind}, which has no area; .* delete it from the file"
    with pytest.raises(LabelError, match=message):
        read_imagej(save(tmp_path / "a.zip", drawn))


def test_splines_are_not_taken_for_polygons(tmp_path):
    drawn = ImagejRoi.frompoints(SQUARE, name="round")
    drawn.options |= ROI_OPTIONS.SPLINE_FIT
    with pytest.raises(LabelError, match=r"'round' is a spline, .* \(Edit > Selection > Interp"):
        read_imagej(save(tmp_path / "a.zip", drawn))


def test_objects_too_far_out_for_imagej(tmp_path):
    outline = Outline(name="5", polygons=[[np.array([(0.0, 0), (60536, 0), (60536, 1), (0, 1)])]])
    with pytest.raises(OutputError, match=r"a\.zip cannot hold object 5, which reaches to x 60536"):
        encode_imagej([outline], tmp_path / "a.zip")


def test_zips_do_not_depend_on_the_time(tmp_path):
    outline = Outline(name="5", polygons=[[SQUARE.astype(float)]], t=2)
    assert encode_imagej([outline], tmp_path) == encode_imagej([outline], tmp_path)


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def ring(corners):
    return [[*map(float, corner)] for corner in (*corners, corners[0])]


POLYGON = {"type": "Polygon", "coordinates": [ring(SQUARE)]}


@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_file_of_qupath(tmp_path, bom):
    parts = {
        "type": "MultiPolygon",
        "coordinates": [[ring(SQUARE + 10), ring(SQUARE / 4 + 11.1)], [ring(SQUARE[:, ::-1])]],
        "plane": {"c": -1, "z": 2, "t": 1},
    }
    features = [feature(POLYGON, objectType="annotation"), feature(parts, name="Tumor")]
    content = {"type": "FeatureCollection", "features": features}
    (tmp_path / "a.geojson").write_text(bom + json.dumps(content), encoding="utf-8")
    first, second = read_geojson(tmp_path / "a.geojson")
    assert (first.name, first.t, first.z) == ("feature 1", 0, 0)
    assert (second.name, second.t, second.z) == ("Tumor", 1, 2)
    assert [len(rings) for rings in second.polygons] == [2, 1]
    (tmp_path / "a.json").write_text(json.dumps(features))  # as scripts of QuPath export
    assert len(read_geojson(tmp_path / "a.json")) == 2


@pytest.mark.parametrize("content", ['{"scale": 2}', "[1, 2]", "7", '{"type": "Topology"}'])
def test_json_of_another_kind(tmp_path, content):
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(
        FileError, match=r"meta\.json is JSON, but no GeoJSON FeatureCollection; ex"
    ):
        read_geojson(tmp_path / "meta.json")


@pytest.mark.parametrize("geometry", [{"type": "Point", "coordinates": [1, 2]}, None])
def test_features_without_area_are_named(tmp_path, geometry):
    content = {"type": "FeatureCollection", "features": [feature(geometry, name="seed")]}
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    with pytest.raises(LabelError, match=r"a\.geojson: 'seed' is a (Point|None), which has no"):
        read_geojson(tmp_path / "a.geojson")


def test_written_geojson_is_what_qupath_reads():
    polygon = [SQUARE.astype(float)]
    one = Outline(name="5", polygons=[polygon])
    two = Outline(name="6", polygons=[polygon, polygon], t=3)
    first, second = json.loads(encode_geojson([one, two]))["features"]
    assert first == {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[1, 1], [4, 1], [4, 3], [1, 3], [1, 1]]]},
        "properties": {"objectType": "annotation", "name": "5"},
    }
    assert second["geometry"]["type"] == "MultiPolygon"
    assert second["geometry"]["plane"] == {"c": -1, "z": 0, "t": 3}

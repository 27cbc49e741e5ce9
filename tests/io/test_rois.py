"""Label images survive the way to ImageJ and QuPath and back."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from roifile import ROI_TYPE, ImagejRoi

import cases
from ulens.errors import FileError, LabelError, OutputError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.rois import read_labels, read_rois, write_rois

SUFFIXES = (".zip", ".geojson")


def box(top, left, bottom, right, **fields):
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT
    roi.top, roi.left, roi.bottom, roi.right = top, left, bottom, right
    for name, value in fields.items():
        setattr(roi, name, value)
    return roi


def save(path, *rois):
    with zipfile.ZipFile(path, "w") as archive:
        for number, roi in enumerate(rois):
            archive.writestr(f"{number}.roi", roi.tobytes())
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(
    arrays(
        np.int32,
        array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.sampled_from([0, 1, 2, 70, 2**31 - 1]),
    )
)
def test_every_label_image_comes_back(tmp_path_factory, suffix, labels):
    path = tmp_path_factory.mktemp("rois") / f"labels{suffix}"
    write_rois(path, labels)
    back = read_rois(path, labels.shape)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("axes", ["TYX", "ZYX", "TZYX"])
def test_stacks_come_back(tmp_path, suffix, axes):
    labels = np.random.default_rng(0).integers(0, 4, (3, 2, 6, 7)[-len(axes) :]).astype(np.uint16)
    labels[0, ..., 0] = 0
    path = tmp_path / f"labels{suffix}"
    write_rois(path, labels, axes=axes)
    np.testing.assert_array_equal(read_rois(path, labels.shape, axes=axes), labels)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", [cases.empty, cases.cell_with_hole, cases.three_in_a_row])
def test_gallery_in_all_dtypes(tmp_path, suffix, case):
    for dtype in (np.uint8, np.int64) if case().max() > 1 else (bool, np.int16):
        write_rois(tmp_path / f"a{suffix}", case().astype(dtype))
        np.testing.assert_array_equal(read_rois(tmp_path / f"a{suffix}", case().shape), case())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_coordinates(tmp_path, suffix):
    labels = np.zeros((2, 60535), np.int32)
    labels[0, ::20_000] = labels[:, -3:] = 4
    labels[1, 33_000:59_000] = 9
    write_rois(tmp_path / f"a{suffix}", labels)
    np.testing.assert_array_equal(read_rois(tmp_path / f"a{suffix}", labels.shape), labels)


def test_labels_beyond_the_reach_of_imagej(tmp_path):
    labels = np.zeros((1, 60_600), np.int32)
    labels[0, -1] = 1
    with pytest.raises(OutputError, match=r"ImageJ ROIs end at 60535; write GeoJSON"):
        write_rois(tmp_path / "a.zip", labels)
    write_rois(tmp_path / "a.json", labels)
    np.testing.assert_array_equal(read_rois(tmp_path / "a.json", labels.shape), labels)


def test_names_that_are_no_labels_give_the_order(tmp_path):
    two = [box(0, 0, 2, 2), box(2, 2, 4, 4)]
    for names in (("b", "a"), ("7", "7"), ("0", "5"), ("1", "99999999999"), ("1", "²")):
        for roi, name in zip(two, names, strict=True):
            roi.name = name
        labels = read_rois(save(tmp_path / "a.zip", *two), (4, 4))
        assert (labels[0, 0], labels[3, 3]) == (1, 2)


def test_the_later_object_is_on_top_and_edges_cut(tmp_path):
    path = save(tmp_path / "a.zip", box(-2, -2, 3, 3, name="5"), box(2, 2, 9, 9, name="3"))
    labels = read_rois(path, (5, 4))
    expected = np.zeros((5, 4))
    expected[:3, :3] = 5
    expected[2:, 2:] = 3
    np.testing.assert_array_equal(labels, expected)


def test_an_object_outside_the_image_belongs_to_another(tmp_path):
    message = (
        r"a\.zip: 'far' lies at x 2…4, y 30…40, outside its image of 20×10 pixels \(y×x\); give"
    )
    with pytest.raises(LabelError, match=message):
        read_rois(save(tmp_path / "a.zip", box(30, 2, 40, 4, name="far")), (20, 10))


def test_stacks_need_a_position(tmp_path):
    path = save(tmp_path / "a.zip", box(0, 0, 2, 2, name="c"))
    message = r"'c' does not say in which of the 3 frames of its image .*; set its position"
    with pytest.raises(LabelError, match=message):
        read_rois(path, (3, 4, 4), axes="TYX")
    path = save(tmp_path / "b.zip", box(0, 0, 2, 2, name="c", z_position=4))
    with pytest.raises(LabelError, match=r"'c' lies in number 3 of the 3 slices"):
        read_rois(path, (3, 4, 4), axes="ZYX")
    path = save(tmp_path / "c.zip", box(0, 0, 2, 2, name="c", position=3))
    labels = read_rois(path, (3, 4, 4), axes="ZYX")
    assert labels.any(axis=(1, 2)).tolist() == [False, False, True]
    assert read_rois(path, (4, 4)).any()  # of a single plane it is the channel's


@pytest.mark.parametrize(
    ("name", "kind"), [("a.zip", "ImageJ ROI file"), ("a.roi", "ImageJ"), ("a.geojson", "GeoJSON")]
)
def test_damaged_files(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"{ nothing of this kind")
    with pytest.raises(FileError, match=rf"cannot be read \(.*\); it is damaged or no {kind}"):
        read_rois(tmp_path / name, (4, 4))


def test_missing_file(tmp_path):
    with pytest.raises(
        FileError, match=r"a\.zip does not exist; give a \.zip, \.roi, \.geojson or"
    ):
        read_rois(tmp_path / "a.zip", (4, 4))


@pytest.mark.parametrize("coordinates", [[[[0, 0], [1, float("nan")], [1, 1]]], [[]], []])
def test_outlines_that_are_none(tmp_path, coordinates):
    geometry = {"type": "Polygon", "coordinates": coordinates}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"name": "x"}}
    content = {"type": "FeatureCollection", "features": [feature]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(FileError, match="the outline of 'x' is empty or holds NaN or infinite"):
        read_rois(tmp_path / "a.json", (4, 4))


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(
        SettingError, match=r"cannot be written to .*a\.roi; choose \.zip \(ImageJ\)"
    ):
        write_rois(tmp_path / "a.roi", cases.empty())
    with pytest.raises(ShapeError, match=r"shape \(16, 20\), axes 'TYX' name 3 dimensions; give"):
        write_rois(tmp_path / "a.zip", cases.empty(), axes="TYX")
    with pytest.raises(LabelError, match=r"labels are int32 from -1; outlines need whole numbers"):
        write_rois(tmp_path / "a.zip", cases.empty() - 1)
    with pytest.raises(LabelError, match=r"labels are float64 from 0\.0; outlines need whole"):
        write_rois(tmp_path / "a.zip", cases.empty().astype(float))


def test_labels_take_the_shape_of_their_image(tmp_path):
    labels = np.stack([cases.three_in_a_row(), cases.three_in_a_row()[::-1]])
    write_rois(tmp_path / "a.zip", labels, axes="ZYX")
    image = Image(data=np.zeros((3, 2, 14, 32)), axes="CZYX")
    found = read_labels(tmp_path / "a.zip", image)
    assert found.axes == "ZYX"
    np.testing.assert_array_equal(found.data, labels)

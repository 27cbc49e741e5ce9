"""Annotated folders become samples, and bad ones a message that names the file."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

import cases
import ulens.annotated.planes
from ulens.annotated.samples import read_annotated
from ulens.annotated.selection import parse_frames
from ulens.errors import DataError, FileError, LabelError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.io.rois import write_rois

MASK = np.array([[0, 0, 255, 255], [0, 255, 0, 0], [0, 0, 0, 255]], np.uint8)
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        PIL.Image.fromarray(array).save(path)
    else:
        tifffile.imwrite(path, array, photometric="minisblack", metadata=None)
    return path


@pytest.fixture
def folder(tmp_path):
    """Three grey images with masks."""
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", GREY + i)
        save(tmp_path / "labels" / f"{i}.png", MASK)
    return tmp_path


def test_masks_are_two_classes(folder):
    annotated = read_annotated(folder / "images", folder / "labels")
    assert annotated.labels_are == "classes"
    assert annotated.class_values == (0, 255)
    assert annotated.spacing_um is None
    assert annotated.reading == "3 label images hold {0, 255}: two classes, 255 = foreground"
    assert annotated.unpaired == []
    sample = annotated.samples[1]
    assert sample.name == "1"
    np.testing.assert_array_equal(sample.image, (GREY + 1)[None])
    assert sample.label.dtype == np.int32
    np.testing.assert_array_equal(sample.label, MASK // 255)


def test_masks_told_to_be_instances(folder):
    annotated = read_annotated(folder, labels_are="instances")
    assert annotated.class_values == (0, 1)
    assert [sample.label.max() for sample in annotated.samples] == [2, 2, 2]
    assert annotated.reading == "3 label images hold 2 connected regions: instances, as requested"


def test_instances_are_numbered_per_image(tmp_path):
    save(tmp_path / "images" / "0.png", GREY)
    save(tmp_path / "labels" / "0.tif", np.array([[9, 0, 300, 0], [0, 0, 0, 0], [40, 0, 0, 7]]))
    save(tmp_path / "images" / "1.png", GREY)
    save(tmp_path / "labels" / "1.tif", np.array([[0, 0, 7, 0], [0, 0, 0, 0], [300, 0, 0, 0]]))
    annotated = read_annotated(tmp_path)
    assert annotated.labels_are == "instances"
    assert annotated.class_values == (0, 1)
    assert annotated.samples[0].label.tolist() == [[2, 0, 4, 0], [0, 0, 0, 0], [3, 0, 0, 1]]
    assert annotated.samples[1].label.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [2, 0, 0, 0]]


def test_swapped_folders_are_suspected(tmp_path):
    for i in range(2):
        label = cases.cells(i)
        save(tmp_path / "images" / f"{i}.png", label.astype(np.uint8))
        save(tmp_path / "labels" / f"{i}.png", cases.picture(label, i))
    message = r"are images and labels swapped\? .*images.0\.png, an image, looks like labels; and"
    with pytest.raises(LabelError, match=message):
        read_annotated(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "images").rename(tmp_path / "x")
    for i in range(2):
        save(tmp_path / "images" / f"{i}.png", cases.picture(cases.cells(i), i + 5))
    with pytest.raises(LabelError, match=r"^label images such as .*grey values, not labels"):
        read_annotated(tmp_path / "images", tmp_path / "labels")


def test_every_pair_of_files_has_a_row(tmp_path):
    stack = np.stack([cases.cells(0), cases.cells(1)])
    for role, pixels in (("images", stack), ("labels", stack.astype(np.uint16))):
        (tmp_path / role).mkdir()
        write_tiff(tmp_path / role / "a.tif", Image(data=pixels.astype(np.uint16), axes="ZYX"))
    save(tmp_path / "images" / "b.png", np.dstack([cases.picture(cases.cells(2), 0)] * 3))
    save(tmp_path / "labels" / "b.png", cases.cells(2, number=5).astype(np.uint8))
    rows = read_annotated(tmp_path).rows
    assert [row.image.name for row in rows] == ["a.tif", "b.png"]
    assert [row.label.parent.name for row in rows] == ["labels", "labels"]
    assert [(row.axes, row.size) for row in rows] == [("ZYX", "2×96×96"), ("CYX", "96×96")]
    assert [row.num_channels for row in rows] == [1, 1]
    num_objects = sum(len(np.unique(plane)) - 1 for plane in stack)
    assert [row.reading for row in rows] == [f"{num_objects} objects", "5 objects"]


def test_classes_and_ignored_pixels_stand_in_the_row(folder):
    label = MASK.copy()
    label[0, 0] = 7
    save(folder / "labels" / "1.png", label)
    readings = [row.reading for row in read_annotated(folder, ignore=7).rows]
    assert readings == ["classes 0, 255", "classes 0, 255; 8.3% ignored", "classes 0, 255"]


def test_that_files_were_paired_by_numbers_is_noted(folder):
    assert read_annotated(folder).notes == ()
    for i in range(3):
        (folder / "labels" / f"{i}.png").rename(folder / "labels" / f"truth{i}.png")
    (note,) = read_annotated(folder).notes
    assert note.startswith("names differ, so files were paired by the numbers in their names; che")
    assert "1.png with truth1.png" in note


def test_ignored_pixels_are_minus_one(folder):
    label = MASK.copy()
    label[0, 0] = 7
    save(folder / "labels" / "1.png", label)
    annotated = read_annotated(folder, ignore=7)
    assert annotated.class_values == (0, 255)
    assert annotated.samples[1].label[0, 0] == -1
    assert sum((sample.label == -1).sum() for sample in annotated.samples) == 1
    assert "7 is ignored (2.8% of the pixels)" in annotated.reading


def test_ignoring_the_background_of_instances_is_refused(folder):
    label = MASK.copy()
    label[1:] //= 2
    save(folder / "labels" / "1.png", label)
    with pytest.raises(SettingError, match=r"ignore is 0, the background of instances"):
        read_annotated(folder, ignore=0, labels_are="instances")


def test_stacks_give_one_sample_per_plane(tmp_path):
    save(tmp_path / "volume.tif", np.stack([GREY, GREY + 1]))
    save(tmp_path / "truth.tif", np.stack([MASK, MASK[::-1]]))
    annotated = read_annotated(tmp_path / "volume.tif", tmp_path / "truth.tif")
    assert [sample.name for sample in annotated.samples] == ["volume_t000", "volume_t001"]
    np.testing.assert_array_equal(annotated.samples[1].image[0], GREY + 1)
    np.testing.assert_array_equal(annotated.samples[1].label, MASK[::-1] // 255)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("0-14", list(range(15))),
        ("0-3,12", [0, 1, 2, 3, 12]),
        ("3", [3]),
        (" 5 , 1 - 2,2", [1, 2, 5]),
    ],
)
def test_parse_frames(spec, expected):
    assert parse_frames(spec, 15) == expected


@pytest.mark.parametrize("spec", ["", "a", "1-", "-3", "5-2", "1,,2", "1.5", "²"])
def test_bad_frames_are_refused(spec):
    message = r"is no selection; write .*such as 0-9,12; there are 15 images, 0-14"
    with pytest.raises(SettingError, match=message):
        parse_frames(spec, 15)


def test_frames_out_of_range_are_refused():
    with pytest.raises(SettingError, match=r"'0-15' asks for image 15; there are 15 images, 0-14"):
        parse_frames("0-15", 15)


def test_frames_count_over_files_and_planes(tmp_path):
    for i, num_planes in enumerate([2, 3]):
        save(tmp_path / "images" / f"{i}.tif", np.stack([GREY] * num_planes))
        save(tmp_path / "labels" / f"{i}.tif", np.stack([MASK] * num_planes))
    annotated = read_annotated(tmp_path, frames="1-2,4")
    assert [sample.name for sample in annotated.samples] == ["0_t001", "1_t000", "1_t002"]
    with pytest.raises(SettingError, match=r"there are 5 images, 0-4"):
        read_annotated(tmp_path, frames="5")


def test_files_outside_the_selection_are_not_read(folder, monkeypatch):
    seen = []
    read_image = ulens.annotated.planes.read_as
    monkeypatch.setattr(
        ulens.annotated.planes,
        "read_as",
        lambda path, reading: seen.append(path.name) or read_image(path, reading),
    )
    read_annotated(folder, frames="0,2")
    assert seen == ["0.png", "2.png"]


def test_unpaired_files_are_reported(folder):
    extra = save(folder / "images" / "9.png", GREY)
    assert read_annotated(folder).unpaired == [extra]


def test_grey_labels_in_rgb_files_are_accepted(folder):
    save(folder / "labels" / "1.png", np.stack([MASK] * 3, axis=-1))
    np.testing.assert_array_equal(read_annotated(folder).samples[1].label, MASK // 255)


def test_color_labels_are_refused(folder):
    color = np.stack([MASK, MASK, 255 - MASK], axis=-1)
    save(folder / "labels" / "1.png", color)
    with pytest.raises(LabelError, match=r"1\.png is a color image .*one grey value per class"):
        read_annotated(folder)


def test_indices_of_a_color_palette_are_the_labels(folder):
    image = PIL.Image.fromarray((MASK // 255).astype(np.uint8))
    image.putpalette([0, 0, 0, 255, 0, 0])
    for i in range(3):
        image.save(folder / "labels" / f"{i}.png")
    assert read_annotated(folder).class_values == (0, 1)


def test_different_sizes_are_refused(folder):
    save(folder / "labels" / "1.png", MASK[:2])
    with pytest.raises(ShapeError, match=r"images.*1\.png is 3×4 .*labels.*1\.png 2×4; both need"):
        read_annotated(folder)


def test_different_numbers_of_planes_are_refused(tmp_path):
    save(tmp_path / "a.tif", np.stack([GREY, GREY]))
    save(tmp_path / "a_mask.tif", MASK)
    message = r"a\.tif has 2 planes \(axes TYX\), its label .*a_mask\.tif 1 \(axes YX\).*axis C"
    with pytest.raises(ShapeError, match=message):
        read_annotated(tmp_path)


def test_grey_among_rgb_becomes_rgb(folder):
    colors = np.stack([GREY, GREY + 1, GREY], axis=-1)
    save(folder / "images" / "1.png", colors)
    samples = read_annotated(folder).samples
    assert [sample.image.shape[0] for sample in samples] == [3, 3, 3]
    assert np.array_equal(samples[1].image, np.moveaxis(colors, -1, 0))
    assert np.array_equal(samples[0].image, np.stack([GREY] * 3))


def test_grey_saved_as_rgb_is_grey(folder):
    for i in range(3):
        save(folder / "images" / f"{i}.png", np.stack([GREY] * 3, axis=-1))
    assert [sample.image.shape[0] for sample in read_annotated(folder).samples] == [1, 1, 1]


def test_mixed_channels_are_refused(folder):
    write_tiff(folder / "images" / "1.tif", Image(data=np.stack([GREY] * 2), axes="CYX"))
    (folder / "images" / "1.png").unlink()
    message = r"\(1 channel: 0\.png, 2\.png; 2 channels: 1\.tif\); give all of them the same"
    with pytest.raises(DataError, match=message):
        read_annotated(folder)


def test_rgba_and_rgb_are_the_same(folder):
    for i, num_samples in enumerate([3, 4, 4]):
        color = np.stack([GREY, GREY + 1, GREY, GREY][:num_samples], axis=-1)
        save(folder / "images" / f"{i}.png", color)
    assert {sample.image.shape for sample in read_annotated(folder).samples} == {(3, 3, 4)}


def test_background_alone_is_refused(folder):
    for i in range(3):
        save(folder / "labels" / f"{i}.png", np.zeros_like(MASK))
    with pytest.raises(LabelError, match=r"3 label images hold only the value 0 .*0\.png"):
        read_annotated(folder)


def test_label_with_broken_numbers_is_named(folder):
    (folder / "labels" / "2.png").unlink()
    save(folder / "labels" / "2.tif", MASK.astype(np.float32) / 510)
    with pytest.raises(LabelError, match=r"2\.tif holds 0\.5; .*whole numbers"):
        read_annotated(folder)


@pytest.mark.parametrize(("second_um", "expected"), [(0.5, (0.5, 0.5)), (0.6, None)])
def test_common_pixel_size(tmp_path, second_um, expected):
    for i, um in enumerate([0.5, second_um]):
        save(tmp_path / "labels" / f"{i}.tif", MASK)
        (tmp_path / "images").mkdir(exist_ok=True)
        tifffile.imwrite(
            tmp_path / "images" / f"{i}.tif",
            GREY,
            metadata=None,
            resolution=(1e4 / um, 1e4 / um),
            resolutionunit="CENTIMETER",
        )
    assert read_annotated(tmp_path).spacing_um == (expected and pytest.approx(expected))


@pytest.mark.real
def test_real_nuclei_are_instances(real_data):
    annotated = read_annotated(real_data / "dsb2018")
    assert annotated.labels_are == "instances"
    assert len(annotated.samples) == 41
    assert {sample.image.shape[0] for sample in annotated.samples} == {3}
    assert annotated.reading == (
        "41 label images hold 3…183 ids: instances, since each is one connected object"
    )


@pytest.mark.real
def test_real_membranes_are_two_classes(real_data):
    annotated = read_annotated(real_data / "isbi2012" / "train", frames="0-14")
    assert annotated.class_values == (0, 255)
    assert [sample.name for sample in annotated.samples] == [f"{i:02d}" for i in range(15)]
    assert annotated.reading == "15 label images hold {0, 255}: two classes, 255 = foreground"


@pytest.mark.real
def test_real_blood_cells_are_three_classes(real_data):
    annotated = read_annotated(real_data / "wbc")
    assert annotated.class_values == (0, 128, 255)
    assert {sample.image.shape[0] for sample in annotated.samples} == {3}
    assert annotated.reading == (
        "100 label images hold {0, 128, 255}: three classes, since all 100 images hold the same"
    )


@pytest.mark.real
def test_real_cells_with_track_ids_are_instances(real_data):
    folder = real_data / "PhC-C2DH-U373"
    annotated = read_annotated(folder / "02", folder / "02_GT" / "SEG")
    assert annotated.labels_are == "instances"
    assert annotated.spacing_um == pytest.approx((0.65, 0.65), rel=1e-4)


@pytest.mark.parametrize("suffix", [".zip", ".geojson"])
def test_outlines_are_instances(tmp_path, suffix):
    for name, label in (("a", cases.three_in_a_row()), ("b", cases.cell_with_hole())):
        save(tmp_path / f"{name}.png", np.zeros(label.shape, np.uint8))
        write_rois(tmp_path / f"{name}{suffix}", label)
    annotated = read_annotated(tmp_path)
    assert annotated.labels_are == "instances"
    assert annotated.reading == "2 label images hold 1…3 ids: instances"
    np.testing.assert_array_equal(annotated.samples[0].label, cases.three_in_a_row())
    np.testing.assert_array_equal(annotated.samples[1].label, cases.cell_with_hole())


def test_outlines_of_a_stack_are_read_plane_by_plane(tmp_path):
    labels = np.stack([cases.three_in_a_row(), cases.three_in_a_row()[::-1]])
    stack = Image(data=np.zeros((2, 3, 14, 32), np.uint8), axes="TCYX")
    write_tiff(tmp_path / "a.tif", stack)
    write_rois(tmp_path / "a.zip", labels, axes="TYX")
    samples = read_annotated(tmp_path, frames="1").samples
    assert [sample.name for sample in samples] == ["a_t001"]
    np.testing.assert_array_equal(samples[0].label, labels[1])


def test_json_beside_an_image_must_be_geojson(tmp_path):
    save(tmp_path / "a.png", GREY)
    (tmp_path / "a.json").write_text('{"exposure": 3}')
    with pytest.raises(FileError, match=r"a\.json is JSON, but no GeoJSON FeatureCollection"):
        read_annotated(tmp_path)

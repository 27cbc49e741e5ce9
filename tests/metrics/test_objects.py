import csv
import io

import numpy as np
import pytest

import cases
from ulens.errors import ShapeError
from ulens.metrics.objects import ObjectTable, as_cell, columns, object_table


def test_pixels_and_micrometers():
    labels = np.zeros((6, 8), np.uint16)
    labels[1:3, 2:6], labels[4, 7] = 9, 2
    image = np.arange(48, dtype=np.uint8).reshape(1, 6, 8)
    first, second = object_table(labels, image, (0.5, 0.25))
    assert list(first) == columns(1)
    assert (first["label"], first["area_px"], first["area_um2"]) == (2, 1, 0.125)
    assert (second["label"], second["area_px"], second["area_um2"]) == (9, 8, 1.0)
    assert (second["centroid_y_px"], second["centroid_x_px"]) == (1.5, 3.5)
    assert (second["centroid_y_um"], second["centroid_x_um"]) == (0.75, 0.875)
    inside = image[0][labels == 9]
    assert second["mean_intensity_c0"] == inside.mean()
    assert (second["min_intensity_c0"], second["max_intensity_c0"]) == (10, 21)


def test_unknown_pixel_size_leaves_fields_empty():
    labels = cases.one_pixel()
    row = object_table(labels, np.ones((1, *labels.shape)), None)[0]
    empty = {name for name, value in row.items() if value == ""}
    assert empty == {"area_um2", "centroid_y_um", "centroid_x_um"}


def test_channels_are_measured_one_by_one():
    labels = cases.two_touching_discs()
    image = np.stack([labels * 3, labels * 0 - 5.5])
    rows = object_table(labels, image, None)
    assert [row["mean_intensity_c0"] for row in rows] == [3, 6]
    assert [row["max_intensity_c1"] for row in rows] == [-5.5, -5.5]
    assert list(rows[0]) == columns(2)


@pytest.mark.parametrize("num_channels", [1, 3])
def test_no_objects_no_rows(num_channels):
    labels = cases.empty()
    assert object_table(labels, np.zeros((num_channels, *labels.shape), np.uint8), (1, 1)) == []


def test_sizes_must_agree():
    with pytest.raises(
        ShapeError, match=r"shape \(16, 20\), the image \(16, 20, 3\); need \(Y, X\)"
    ):
        object_table(cases.empty(), np.zeros((16, 20, 3)), None)


@pytest.mark.parametrize(("told", "warning"), [("", "no objects found"), ("too dark", "too dark")])
def test_a_plane_without_objects_has_a_row_without_numbers(tmp_path, told, warning):
    table = ObjectTable(tmp_path / "objects.csv")
    table.add("a.png", "z001", np.zeros((3, 4), int), np.zeros((2, 3, 4)), None, told)
    table.write()
    assert (tmp_path / "objects.csv").read_text(encoding="utf-8") == (
        "image,plane,label,area_px,area_um2,centroid_y_px,centroid_x_px,centroid_y_um,"
        "centroid_x_um,mean_intensity_c0,min_intensity_c0,max_intensity_c0,"
        "mean_intensity_c1,min_intensity_c1,max_intensity_c1,warning\n"
        f"a.png,z001{',' * 14}{warning}\n"
    )


def test_the_table_of_all_images_is_read_back_as_it_was_measured(tmp_path):
    labels, rng = cases.two_touching_discs(), np.random.default_rng(0)
    planes = [  # name, plane, channels, pixel size, warning
        ('a, "b"\n\rc.tif', "", 3, (0.5, 0.25), None),
        ("zellkern_ä.png", "t002", 1, None, "too dark"),
        ("undecoded_\udcff.tif", "", 2, (2.0, 1.5), ""),
    ]
    table, expected = ObjectTable(tmp_path / "objects.csv"), []
    for name, plane, channels, spacing_um, warning in planes:
        pixels = rng.random((channels, *labels.shape))
        told = () if warning is None else (warning,)
        table.add(name, plane, labels, pixels, spacing_um, *told)
        for row in object_table(labels, pixels, spacing_um):
            row |= {"image": name, "plane": plane, "warning": warning or ""}
            expected.append(dict.fromkeys(columns(3), "") | row)
    table.write()
    written = (tmp_path / "objects.csv").read_bytes()
    assert written.count(b"\r") == 2  # of two objects
    found = list(csv.DictReader(io.StringIO(written.decode(), newline="")))
    assert list(found[0]) == ["image", "plane", *columns(3), "warning"]
    for one, other in zip(found, expected, strict=True):
        other["image"] = other["image"].replace("\udcff", "\\udcff")
        assert one == {name: str(value) for name, value in other.items()}


def test_intensities_of_whole_numbers_are_means_without_overflow():
    labels = np.ones((2, 200), int)
    row = object_table(labels, np.full((1, 2, 200), 255, np.uint8), None)[0]
    assert (row["mean_intensity_c0"], row["max_intensity_c0"]) == (255, 255)


@pytest.mark.parametrize("sign", list("=+-@\t\r"))
def test_a_text_that_a_spreadsheet_would_compute_is_marked_and_no_other(sign):
    assert as_cell(f"{sign}1+1.tif") == f"'{sign}1+1.tif"
    assert as_cell(f"a{sign}.tif") == f"a{sign}.tif"
    assert as_cell("") == ""


@pytest.mark.parametrize("number", [-3.5, "-3.5", "+2", "-1e-5"])
def test_numbers_stay_as_they_are(number):
    assert as_cell(number) == number

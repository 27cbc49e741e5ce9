"""Listing folders, reading every format, and cutting stacks into planes."""

from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile

from ulens.errors import DataError, FileError
from ulens.image import Image
from ulens.io.files import (
    list_images,
    list_labels,
    list_rois,
    name_some,
    num_planes,
    plane_names,
    planes,
    read_image,
    read_label_image,
)

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)


def save(path: Path, array: np.ndarray, **options) -> Path:
    PIL.Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a{suffix}", GREY))
    assert image.axes == "YX"
    assert image.spacing_um is None
    assert image.source == tmp_path / f"a{suffix}"
    np.testing.assert_array_equal(image.data, GREY)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_color_is_axis_c(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a{suffix}", RGB))
    assert image.axes == "CYX"
    np.testing.assert_array_equal(image.data, np.moveaxis(RGB, -1, 0))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg(tmp_path, suffix):
    smooth = np.full((16, 16, 3), 90, np.uint8)
    image = read_image(save(tmp_path / f"a{suffix}", smooth, format="JPEG"))
    assert image.axes == "CYX"
    np.testing.assert_allclose(image.data, 90, atol=2)


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    PIL.Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    image = read_image(tmp_path / "a.jpg")
    assert image.data.shape == (3, 16, 16)
    assert image.data.min() > 250


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped(tmp_path, suffix):
    alpha = np.full((3, 4, 1), 7, np.uint8)
    rgba = read_image(save(tmp_path / f"rgba{suffix}", np.concatenate([RGB, alpha], axis=-1)))
    np.testing.assert_array_equal(rgba.data, np.moveaxis(RGB, -1, 0))
    grey_alpha = np.concatenate([GREY[..., None], alpha], axis=-1)
    grey = read_image(save(tmp_path / f"la{suffix}", grey_alpha))
    assert grey.axes == "YX"
    np.testing.assert_array_equal(grey.data, GREY)


def test_16_bit_png_is_kept(tmp_path):
    grey = GREY.astype(np.uint16) * 5000
    np.testing.assert_array_equal(read_image(save(tmp_path / "grey.png", grey)).data, grey)
    color = RGB.astype(np.uint16) * 300
    (tmp_path / "color.png").write_bytes(imagecodecs.png_encode(color))
    image = read_image(tmp_path / "color.png")
    assert image.data.dtype == np.uint16
    np.testing.assert_array_equal(image.data, np.moveaxis(color, -1, 0))


def test_bits_become_0_and_255(tmp_path):
    image = read_image(save(tmp_path / "a.png", GREY > 5))
    np.testing.assert_array_equal(image.data, np.where(GREY > 5, 255, 0))


def save_palette(path: Path, indices: np.ndarray, colors: list[int]) -> Path:
    image = PIL.Image.fromarray(indices)
    image.putpalette(colors)
    image.save(path)
    return path


def test_color_palette_is_resolved_for_images_and_gives_indices_for_labels(tmp_path):
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    path = save_palette(tmp_path / "a.png", indices, [0, 0, 0, 255, 0, 0, 0, 255, 0])
    image = read_image(path)
    assert image.axes == "CYX"
    assert image.data[:, 0, 1].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(read_label_image(path).data, indices)


def test_grey_palette_is_resolved_for_both(tmp_path):
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    path = save_palette(tmp_path / "a.png", indices, [255, 255, 255, 0, 0, 0, 128, 128, 128])
    for image in (read_image(path), read_label_image(path)):
        assert image.data.tolist() == [[255, 0], [128, 0]]


def test_content_decides_not_the_suffix(tmp_path):
    tifffile.imwrite(tmp_path / "a.png", GREY)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, GREY)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_file_is_named(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = save(tmp_path / f"cut{suffix}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    said = "(cannot be read .*PNG, JPEG, BMP and TIFF|says that it holds|is empty)"
    with pytest.raises(FileError, match=f"cut{suffix} {said}"):
        read_image(path)


def test_truncated_16_bit_png_is_named(tmp_path):
    content = imagecodecs.png_encode(RGB.astype(np.uint16) * 300)
    (tmp_path / "cut.png").write_bytes(content[:-30])
    with pytest.raises(FileError, match=r"cut\.png cannot be read"):
        read_image(tmp_path / "cut.png")


def test_unknown_format_is_named(tmp_path):
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(FileError, match=r"a\.png cannot be read .*PNG, JPEG, BMP and TIFF"):
        read_image(tmp_path / "a.png")


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(FileError, match=r"gone\.png does not exist; give an image file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(FileError, match=r"is a folder; give an image file"):
        read_image(tmp_path)


def test_nan_pixels_are_counted(tmp_path):
    pixels = GREY.astype(np.float32)
    pixels[0, :2] = np.nan
    pixels[2, 3] = np.inf
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(
        DataError, match=r"a\.tif holds 3 NaN or infinite pixels of 12; put numbers"
    ):
        read_image(tmp_path / "a.tif")


def test_complex_pixels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.complex64))
    with pytest.raises(FileError, match=r"a\.tif holds complex64 pixels; need integers or floats"):
        read_image(tmp_path / "a.tif")


def test_list_is_in_natural_order_without_hidden_and_other_files(tmp_path):
    for name in ["t10.png", "t9.TIF", "t1.jpg", ".t2.png", "notes.txt"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["t1.jpg", "t9.TIF", "t10.png"]


def test_list_of_one_file(tmp_path):
    path = save(tmp_path / "a.png", GREY)
    assert list_images(path) == [path]


def test_folder_without_images_names_what_it_holds(tmp_path):
    (tmp_path / "cells.oib").touch()
    (tmp_path / ".hidden.png").touch()
    with pytest.raises(FileError, match=r"no images in .* holds cells\.oib; ulens reads PNG"):
        list_images(tmp_path)
    (tmp_path / "sub1").mkdir()
    with pytest.raises(
        FileError, match=r"sub1; folders in it are not searched: give .*sub1; ulens"
    ):
        list_images(tmp_path)
    with pytest.raises(FileError, match=r"gone does not exist; give an image file or a folder"):
        list_images(tmp_path / "gone")


def test_empty_folder_holds_nothing(tmp_path):
    with pytest.raises(FileError, match="holds nothing"):
        list_images(tmp_path)


def test_long_lists_are_shortened():
    assert name_some(Path(f"{i}.png") for i in range(9)).endswith("5.png and 3 more")


def test_planes_of_every_kind():
    def names_and_shapes(axes: str, *shape: int) -> list:
        image = Image(data=np.zeros(shape), axes=axes)
        return [(name, plane.shape) for name, plane in planes(image)]

    assert names_and_shapes("YX", 4, 5) == [("", (1, 4, 5))]
    assert names_and_shapes("CYX", 3, 4, 5) == [("", (3, 4, 5))]
    assert names_and_shapes("TYX", 2, 4, 5) == [("t000", (1, 4, 5)), ("t001", (1, 4, 5))]
    assert names_and_shapes("CZYX", 3, 1, 4, 5) == [("z000", (3, 4, 5))]
    names = [name for name, _ in names_and_shapes("TCZYX", 2, 3, 2, 4, 5)]
    assert names == ["t000_z000", "t000_z001", "t001_z000", "t001_z001"]


def test_planes_hold_their_own_pixels():
    data = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    for i, (_, plane) in enumerate(planes(Image(data=data, axes="TCZYX"))):
        np.testing.assert_array_equal(plane, data[i // 4, :, i % 4])


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("YX", (4, 5), 1),
        ("CYX", (2, 4, 5), 1),
        ("TCZYX", (2, 3, 4, 5, 6), 8),
        ("TZYX", (1, 3, 5, 6), 3),
        ("TYX", (1, 5, 6), 1),
    ],
)
def test_num_planes_of_tiff(tmp_path, axes, shape, expected):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros(shape, np.uint8), ome=True, metadata={"axes": axes}
    )
    assert num_planes(tmp_path / "a.tif") == expected
    names = [name for name, _ in planes(read_image(tmp_path / "a.tif"))]
    assert plane_names(tmp_path / "a.tif") == names


def test_axes_of_one_pixel_name_no_plane(tmp_path):
    pixels = np.zeros((1, 3, 16, 20), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "TZYX"}
    )
    assert plane_names(tmp_path / "a.tif") == ["z000", "z001", "z002"]


def test_num_planes_of_other_formats(tmp_path):
    assert num_planes(save(tmp_path / "a.png", RGB)) == 1


def test_num_planes_of_damaged_tiff_says_what_is_wrong(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\xff\xff")
    with pytest.raises(FileError, match=r"a\.tif cannot be read"):
        num_planes(tmp_path / "a.tif")


def test_pillows_limit_on_size_does_not_count_and_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    pixels = np.zeros((30, 40), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").data.shape == (30, 40)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


def test_labels_are_images_or_where_there_are_none_outlines(tmp_path):
    with pytest.raises(FileError, match="no images in"):
        list_labels(tmp_path)
    for name in ("10.zip", "2.geojson", ".hidden.json", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_labels(tmp_path)] == ["2.geojson", "10.zip"]
    assert list_labels(tmp_path / "10.zip") == [tmp_path / "10.zip"]
    save(tmp_path / "1.png", GREY)
    assert list_labels(tmp_path) == [tmp_path / "1.png"]
    assert [path.name for path in list_rois(tmp_path)] == ["2.geojson", "10.zip"]
    with pytest.raises(FileError, match="gone does not exist"):
        list_labels(tmp_path / "gone")

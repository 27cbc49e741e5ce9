"""Every file is read right or refused, and what was guessed or changed is told."""

import zipfile

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tifffile
import zarr

from odd_files import (
    binary_only,
    damaged_page,
    lsm,
    pixels,
    renamed,
    sparse_tiff,
    turned,
    untagged,
    white_is_zero,
    white_of_12_bits,
    with_sizes,
    without_companion,
    zarr_with_gaps,
)
from ulens.errors import DataError, FileError, LabelError, SettingError
from ulens.image import Image, Steps
from ulens.io.files import (
    list_images,
    num_planes,
    plane_names,
    planes,
    read_image,
    read_label_image,
)
from ulens.io.label_volumes import LabelShape, ZarrLabels
from ulens.io.reading import Reading
from ulens.io.regions import open_volume
from ulens.io.rois import read_rois, write_rois
from ulens.io.segmentations import Targets, write_labels


def whole(path, axes=None) -> Image:
    """Read an image window by window, one channel of one plane after the other."""
    with open_volume(path, Reading(axes=axes)) as volume:
        rows, columns = (slice(0, length) for length in volume.size)
        data = [volume.read(plane, rows, columns) for plane in volume.planes()]
        # T and Z first, then C
        lengths = dict(zip(volume.axes, volume.shape, strict=True))
        outer = [lengths[axis] for axis in "TZ" if axis in lengths]
        stacked = np.stack(data).reshape(*outer, *data[0].shape)
        if "Z" in lengths and "C" in lengths:
            stacked = np.moveaxis(stacked, len(outer), len(outer) - 1)
        return Image(
            data=stacked.reshape(volume.shape),
            axes=volume.axes,
            spacing_um=volume.spacing_um,
            steps=volume.steps,
            axes_from=volume.axes_from,
            notes=volume.notes,
        )


@pytest.mark.parametrize("read", [read_image, read_label_image, whole])
@pytest.mark.parametrize("by_tifffile", [True, False])
@pytest.mark.parametrize(
    ("shape", "axes", "told"),
    [
        ((64, 64), "YX", None),
        ((5, 64, 64), "TYX", "5 pages without axes, taken as frames (TYX)"),
        ((2, 64, 64), "TYX", "2 pages without axes, taken as frames (TYX)"),
        ((64, 64, 2), "CYX", "64 pages of 64×2 px without axes, taken as 64×64 px with 2 channels"),
        ((48, 64, 4), "CYX", "48 pages of 64×4 px without axes, taken as 48×64 px with 4 channels"),
        ((64, 20, 5), "TYX", "64 pages without axes, taken as frames (TYX)"),
        ((8, 64, 4), "TYX", "8 pages without axes, taken as frames (TYX)"),
    ],
)
def test_axes_without_a_name_follow_a_rule_that_is_told(
    tmp_path, shape, axes, told, by_tifffile, read
):
    data = pixels(*shape)
    path = untagged(tmp_path / "a.tif", data, by_tifffile=by_tifffile)
    image = read(path)
    expected = np.moveaxis(data, 2, 0) if axes == "CYX" else data
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, expected)
    assert plane_names(path) == [name for name, _ in planes(image)]
    assert len(image.notes) == (told is not None)
    for note in image.notes:
        assert note.startswith(told)
        assert "--axes" in note


def test_channels_last_of_a_sequence(tmp_path):
    data = pixels(3, 64, 64, 2)
    image = read_image(untagged(tmp_path / "a.tif", data))
    assert image.axes == "TCYX"
    np.testing.assert_array_equal(image.data, data.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(64, 2, 64), (2, 3, 64, 64)])
def test_axes_that_no_rule_tells_are_refused_until_the_user_names_them(tmp_path, shape):
    data = pixels(*shape)
    path = untagged(tmp_path / "a.tif", data)
    for read in (read_image, whole):
        with pytest.raises(FileError, match=r"a\.tif has axes Q.*say which they are, such as --ax"):
            read(path)
    asked = "YCX" if len(shape) == 3 else "TZYX"
    image = read_image(path, asked)
    assert image.axes == "".join(axis for axis in "TCZYX" if axis in asked)
    assert (image.axes_from, image.notes) == (f"axes {asked} as asked for", ())
    np.testing.assert_array_equal(whole(path, asked).data, image.data)


@pytest.mark.parametrize(
    ("kind", "source"), [("imagej", "ImageJ metadata"), ("ome", "OME metadata")]
)
def test_metadata_name_axes_and_say_so(tmp_path, kind, source):
    image = read_image(with_sizes(tmp_path / "a.tif", pixels(2, 3, 64, 64), "ZCYX", kind))
    assert (image.axes, image.notes) == ("CZYX", ())
    assert image.axes_from == f"axes ZCYX from the file's {source}"


@pytest.mark.parametrize("read", [read_image, read_label_image, whole])
@pytest.mark.parametrize("asked", ["ZYX", "tyx", "YXC"])
def test_the_user_overrules_the_metadata(tmp_path, asked, read):
    data = pixels(3, 64, 48)
    tifffile.imwrite(tmp_path / "a.tif", data, ome=True, metadata={"axes": "CYX"})
    image = read(tmp_path / "a.tif", asked)
    assert image.axes == "".join(axis for axis in "TCZYX" if axis in asked.upper())
    expected = np.moveaxis(data, 2, 0) if asked == "YXC" else data
    np.testing.assert_array_equal(image.data, expected)
    assert num_planes(tmp_path / "a.tif", Reading(axes=asked)) == len(planes(image))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("asked", ["YX", "CYX", "YXC"])
def test_colors_are_channels_whatever_place_the_user_gives_them(tmp_path, suffix, asked):
    color, grey = tmp_path / f"color{suffix}", tmp_path / f"grey{suffix}"
    data = pixels(64, 48, 3)
    PIL.Image.fromarray(data).save(color)
    PIL.Image.fromarray(data[..., 0]).save(grey)
    image = read_image(color, asked)
    assert image.axes == "CYX"
    np.testing.assert_array_equal(image.data, np.moveaxis(data, 2, 0))
    # of grey images beside them, and of labels, the same text is right
    np.testing.assert_array_equal(read_label_image(grey, asked).data, data[..., 0])


def test_planes_that_were_taken_for_colors(tmp_path):
    data = pixels(3, 64, 48)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", planarconfig="separate")
    assert read_image(tmp_path / "a.tif").axes == "CYX"
    image = read_image(tmp_path / "a.tif", "ZYX")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize(
    ("asked", "message"),
    [("TZYX", "name 4 dimensions, .* has 3"), ("ZZYX", "at most one each"), ("ZY", "need Y and X")],
)
def test_axes_that_do_not_fit_are_told(tmp_path, asked, message):
    path = untagged(tmp_path / "a.tif", pixels(3, 64, 64))
    for read in (read_image, whole):
        with pytest.raises(SettingError, match=message):
            read(path, asked)


def test_named_dimensions_of_a_bare_zarr_are_its_axes(tmp_path):
    data = pixels(3, 64, 64)
    zarr.create_array(tmp_path / "a.zarr", data=data, dimension_names=["z", "y", "x"])
    image = whole(tmp_path / "a.zarr")
    assert (image.axes, image.axes_from) == ("ZYX", "axes ZYX from the file's Zarr metadata")


@pytest.mark.parametrize("kind", ["imagej", "ome"])
@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX", "TZCYX"])
def test_slices_and_frames_keep_their_steps_to_the_labels(tmp_path, kind, axes):
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 64, "X": 48}
    path = with_sizes(tmp_path / "a.tif", pixels(*(sizes[axis] for axis in axes)), axes, kind)
    image = read_image(path)
    assert image.spacing_um == pytest.approx((0.25, 0.5))
    assert (image.steps.z_um, image.steps.t_seconds) == (pytest.approx(2.0), pytest.approx(30.0))
    assert whole(path).steps == image.steps
    labels = image.data.max(axis=image.axes.index("C")) if "C" in axes else image.data
    write_labels(Targets(labels=tmp_path / "labels.tif"), image, labels)
    written = read_image(tmp_path / "labels.tif")
    assert written.axes == axes.replace("C", "")
    assert written.spacing_um == pytest.approx((0.25, 0.5))
    assert written.steps == image.steps


def test_steps_of_large_labels_are_kept(tmp_path):
    steps = Steps(z_um=2.0, t_seconds=30.0)
    shape = LabelShape(
        axes="TZYX", shape=(2, 3, 64, 64), dtype=np.dtype("u1"), spacing_um=(0.25, 0.5),
        steps=steps, tile_px=16,
    )  # fmt: skip
    ZarrLabels(tmp_path / "a.zarr", shape, block_px=64).create()
    group = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    group["0"][...] = 1
    image = whole(tmp_path / "a.zarr")
    assert (image.axes, image.spacing_um, image.steps) == ("TZYX", (0.25, 0.5), steps)


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, np.inf])
def test_steps_are_positive(size):
    with pytest.raises(DataError, match=r"z_um is .*; need a positive number, or None"):
        Steps(z_um=size)
    with pytest.raises(DataError, match=r"t_seconds is .*; need a positive number"):
        Steps(t_seconds=size)


@pytest.mark.parametrize("read", [read_image, read_label_image, whole])
def test_a_missing_companion_is_named(tmp_path, read):
    path = without_companion(tmp_path)
    with pytest.raises(FileError, match=r"first\.ome\.tif lacks its companion second\.ome\.tif"):
        read(path)
    image = read(without_companion(tmp_path, is_there=True))
    np.testing.assert_array_equal(image.data, pixels(2, 64, 64))


def test_a_part_of_an_image_that_is_described_elsewhere(tmp_path):
    path = binary_only(tmp_path / "a.ome.tif", "all.companion.ome")
    with pytest.raises(FileError, match=r"a\.ome\.tif lacks all\.companion\.ome, which tells how"):
        read_image(path)
    (tmp_path / "all.companion.ome").touch()
    with pytest.raises(FileError, match=r"a\.ome\.tif leaves to all\.companion\.ome"):
        read_image(path)
    path = binary_only(tmp_path / "b.ome.tif", "master.ome.tif")
    with pytest.raises(FileError, match=r"b\.ome\.tif lacks master\.ome\.tif, the file that de"):
        read_image(path)


def test_a_companion_alone_says_where_the_pixels_are_and_what_to_do(tmp_path):
    path = tmp_path / "all.companion.ome"
    part = '<TiffData><UUID FileName="{}">urn:uuid:{}</UUID></TiffData>'
    path.write_text("<OME>" + part.format("b.ome.tif", 1) + part.format("a.ome.tif", 2) + "</OME>")
    message = r"holds no pixels: they are in a\.ome\.tif, b\.ome\.tif; .* save the image as one OME"
    with pytest.raises(FileError, match=message):
        read_image(path)
    path.write_bytes(b"\xff\xfe no XML")
    with pytest.raises(FileError, match=r"describes an image, but holds no pixels; ulens"):
        read_image(path)


def test_a_renamed_file_is_no_companion_of_itself(tmp_path):
    image = read_image(renamed(tmp_path / "b.tif"))
    np.testing.assert_array_equal(image.data, pixels(64, 64))


def test_planes_that_the_metadata_promise_are_missed(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels(3, 64, 64), ome=True, metadata={"axes": "ZYX"})
    content = path.read_bytes()
    path.write_bytes(content.replace(b'SizeZ="3"', b'SizeZ="4"'))
    with pytest.raises(FileError, match=r"a\.ome\.tif lacks page 4 of the 4"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, whole])
@pytest.mark.parametrize(
    ("is_tiled", "part"), [(True, "tile 6 of 16 on page 2"), (False, "strip 6 of 8 on page 2")]
)
def test_a_part_that_was_never_written_is_named(tmp_path, is_tiled, part, read):
    path = sparse_tiff(tmp_path / "a.tif", is_tiled=is_tiled)
    with pytest.raises(FileError, match=rf"a\.tif lacks {part}: it was never written; copy"):
        read(path)


@pytest.mark.parametrize("what", ["pixels", "tags", "page"])
def test_a_damaged_page_is_named(tmp_path, what):
    path = damaged_page(tmp_path / "a.tif", what=what)
    with pytest.raises(FileError, match=r"^page 3 (of 5 )?of .*a\.tif .*damaged.* copy the file"):
        read_image(path)


def test_a_damaged_page_of_a_large_image_is_named(tmp_path):
    with pytest.raises(FileError, match=r"a\.tif cannot be read in plane t002 .* it is damaged"):
        whole(damaged_page(tmp_path / "a.tif", what="pixels"))


def test_absent_chunks_are_counted_and_when_most_are_refused(tmp_path):
    assert whole(zarr_with_gaps(tmp_path / "0.zarr", 0)).notes == ()
    (note,) = whole(zarr_with_gaps(tmp_path / "8.zarr", 8)).notes
    assert note.startswith("8 of 16 chunks are not there and are read as 0, as Zarr allows")
    with pytest.raises(FileError, match=r"9\.zarr lacks 9 of 16 chunks.*copy it again"):
        whole(zarr_with_gaps(tmp_path / "9.zarr", 9))


def test_a_zip_without_outlines_is_not_a_label_of_no_objects(tmp_path):
    for name, entries in {"empty.zip": [], "other.zip": ["a.png", "__MACOSX/._a.roi"]}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry in entries:
                archive.writestr(entry, b"")
        with pytest.raises(LabelError, match=rf"{name} holds no outline .*empty label image"):
            read_rois(tmp_path / name, (64, 64))
    write_rois(tmp_path / "meant.zip", np.zeros((64, 64), np.uint8))
    assert not read_rois(tmp_path / "meant.zip", (64, 64)).any()


@pytest.mark.parametrize("read", [read_image, whole])
@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (np.uint8([[0, 1, 255]]), [[255, 254, 0]]),
        (np.uint16([[0, 1, 65535]]), [[65535, 65534, 0]]),
        (np.int16([[-32768, 0, 32767]]), [[32767, -1, -32768]]),
        (np.array([[False, True, True]]), [[1, 0, 0]]),
    ],
)
def test_where_0_is_white_images_are_inverted_as_in_viewers(tmp_path, stored, shown, read):
    path = white_is_zero(tmp_path / "a.tif", stored.repeat(16, axis=0))
    image = read(path)
    np.testing.assert_array_equal(image.data, np.repeat(shown, 16, axis=0))
    assert image.notes == (
        "grey values inverted, as viewers do, since the file says that 0 is white",
    )
    labels = read_label_image(path)
    np.testing.assert_array_equal(labels.data, stored.repeat(16, axis=0))
    assert labels.notes == ()


def test_white_is_the_largest_value_of_the_bits_in_use(tmp_path):
    image = read_image(white_of_12_bits(tmp_path / "a.tif", [0, 1, 4094, 4095]))
    assert image.data[7].tolist() == [4095, 4094, 1, 0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_and_labels_are_turned_as_viewers_show_them(tmp_path, suffix, orientation):
    data = np.zeros((32, 48, 3), np.uint8)
    data[:16, :16], data[16:, :16], data[:16, 16:] = 200, 120, 60
    path = turned(tmp_path / f"a{suffix}", data, orientation)
    reference = PIL.Image.fromarray(data)
    reference.getexif()[274] = orientation
    shown = np.moveaxis(np.asarray(PIL.ImageOps.exif_transpose(reference)), 2, 0)
    for image in (read_image(path), read_label_image(path)):
        np.testing.assert_allclose(image.data, shown, atol=4 if suffix == ".jpg" else 0)
        assert len(image.notes) == (orientation != 1)
    if suffix == ".tif":
        np.testing.assert_array_equal(whole(path).data, shown)
        with open_volume(path) as volume:
            window = volume.read(volume.planes()[0], slice(3, 20), slice(7, 31))
        np.testing.assert_array_equal(window, shown[:, 3:20, 7:31])


def test_16_bit_png_is_turned(tmp_path):
    data = pixels(64, 48, dtype="uint16") * 300
    image = read_image(turned(tmp_path / "a.png", data, 6))
    np.testing.assert_array_equal(image.data, np.rot90(data, -1))


def test_the_pixel_size_is_turned_too(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", pixels(64, 48), metadata=None, resolution=(20_000, 10_000),
        resolutionunit="CENTIMETER", extratags=[(274, "H", 1, 6, True)],
    )  # fmt: skip
    image = read_image(tmp_path / "a.tif")
    assert (image.data.shape, image.spacing_um) == ((48, 64), pytest.approx((0.5, 1.0)))


def test_nan_pixels_of_a_large_image_are_told(tmp_path):
    data = pixels(64, 64, dtype="float32")
    data[3, 4] = np.nan
    with pytest.raises(DataError, match=r"holds 1 NaN or infinite pixels .*numpy\.nan_to_num"):
        whole(untagged(tmp_path / "a.tif", data))


def test_lsm_files_keep_axes_pixel_size_and_steps(tmp_path):
    data = pixels(5, 40, 48)
    image = read_image(lsm(tmp_path / "a.lsm", data))
    np.testing.assert_array_equal(image.data, data)
    assert (image.axes, image.axes_from) == ("ZYX", "axes ZYX from the file's LSM metadata")
    assert image.spacing_um == pytest.approx((0.3, 0.2))
    assert (image.steps.z_um, image.steps.t_seconds) == pytest.approx((1.5, 30.0))
    assert list_images(tmp_path) == [tmp_path / "a.lsm"]


@pytest.mark.parametrize("num_said", [3, 7])
def test_files_with_other_pages_than_they_say_are_refused(tmp_path, num_said):
    path = lsm(tmp_path / "a.lsm", pixels(5, 40, 48), num_said=num_said)
    message = r"a\.lsm holds 5 pages of 1920 values, but its metadata tell of"
    for read in (read_image, read_label_image):
        with pytest.raises(FileError, match=message):
            read(path)
    with pytest.raises(FileError, match=message), open_volume(path):
        pass


@pytest.mark.parametrize("photometric", ["separated", "cielab", "ycbcr", "cfa"])
@pytest.mark.parametrize("read", [read_image, whole])
def test_colors_whose_numbers_are_no_brightness_are_refused(tmp_path, photometric, read):
    path = tmp_path / "colors.tif"
    channels = {"separated": 4, "cfa": 1}.get(photometric, 3)
    data = np.zeros((16, 16, channels), np.uint8).squeeze()
    options = {} if photometric == "cfa" else {"planarconfig": "contig"}
    tifffile.imwrite(path, data, photometric=photometric, **options)
    with pytest.raises(FileError, match=f"as {photometric.upper()} and not .* save it as RGB"):
        read(path)


@pytest.mark.parametrize("read", [read_image, whole])
def test_jpeg_in_a_tiff_is_decoded_to_colors(tmp_path, read):
    path = tmp_path / "colors.tif"
    dark_red = np.tile(np.uint8([60, 94, 228]), (32, 32, 1))  # as Y, Cb and Cr
    tifffile.imwrite(path, dark_red, photometric="ycbcr", compression="jpeg")
    channels = read(path).data.reshape(3, -1).mean(1)
    np.testing.assert_allclose(channels, [200, 0, 0], atol=4)


def test_an_empty_file_is_called_so(tmp_path):
    (tmp_path / "a.tif").touch()
    with pytest.raises(FileError, match=r"a\.tif is empty, a file of 0 bytes"):
        read_image(tmp_path / "a.tif")

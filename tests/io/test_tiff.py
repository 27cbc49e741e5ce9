"""TIFF files: what other programs write is understood, what ulens writes comes back."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ulens.errors import FileError, OutputError
from ulens.image import Image
from ulens.io.files import read_image
from ulens.io.tiff import write_tiff

STACK = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def written(path: Path, data: np.ndarray, **options) -> Image:
    tifffile.imwrite(path, data, **options)
    return read_image(path)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_compressions_and_dtypes(tmp_path, compression, dtype):
    data = STACK.astype(dtype)
    options = {"compression": compression, "photometric": "minisblack"}
    image = written(tmp_path / "a.tif", data, **options)
    assert image.data.dtype == dtype
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_bytes_come_in_native_order(tmp_path, byteorder):
    image = written(tmp_path / "a.tif", STACK[0].astype(np.uint16) * 99, byteorder=byteorder)
    assert image.data.dtype.isnative
    np.testing.assert_array_equal(image.data, STACK[0].astype(np.uint16) * 99)


@pytest.mark.parametrize("options", [{"metadata": None}, {}], ids=["plain", "tifffile"])
def test_pages_without_meaning_are_frames(tmp_path, options):
    image = written(tmp_path / "a.tif", STACK, photometric="minisblack", **options)
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data, STACK)


@pytest.mark.parametrize("kind", ["imagej", "ome"])
@pytest.mark.parametrize("axes", ["ZYX", "TYX", "CYX"])
def test_imagej_and_ome_tell_axes(tmp_path, kind, axes):
    image = written(
        tmp_path / "a.tif", STACK, photometric="minisblack", metadata={"axes": axes}, **{kind: True}
    )
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, STACK)


def test_ome_axes_in_another_order(tmp_path):
    data = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    options = {"photometric": "minisblack", "ome": True}
    image = written(tmp_path / "a.ome.tif", data, metadata={"axes": "CTYX"}, **options)
    assert image.axes == "TCYX"
    np.testing.assert_array_equal(image.data, data.swapaxes(0, 1))


def test_rgb_stack(tmp_path):
    data = np.zeros((2, 4, 5, 3), np.uint8)
    data[..., 1] = 9
    image = written(tmp_path / "a.tif", data, photometric="rgb")
    assert image.axes == "TCYX"
    assert image.data.shape == (2, 3, 4, 5)
    assert (image.data[:, 1] == 9).all()


def test_extra_samples_that_are_not_alpha_are_channels(tmp_path):
    data = np.zeros((4, 5, 6), np.uint16)
    image = written(tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig")
    assert (image.axes, image.data.shape) == ("CYX", (6, 4, 5))


def test_bits_become_numbers(tmp_path):
    image = written(tmp_path / "a.tif", STACK[0] > 5, photometric="minisblack")
    assert image.data.dtype == np.uint8
    np.testing.assert_array_equal(image.data, STACK[0] > 5)


def test_palette_is_for_display(tmp_path):
    colormap = np.random.default_rng(0).integers(0, 65535, (3, 256), dtype=np.uint16)
    image = written(tmp_path / "a.tif", STACK[0], photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(image.data, STACK[0])


@pytest.mark.parametrize(
    ("unit", "um"),
    [("micron", 1), ("\\u00B5m", 1), ("um", 1), ("nm", 1e-3), ("mm", 1e3), ("inch", 25_400)],
)
def test_imagej_unit(tmp_path, unit, um):
    image = written(
        tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata={"unit": unit}
    )
    assert image.spacing_um == pytest.approx((0.5 * um, 0.25 * um))


@pytest.mark.parametrize("unit", ["pixel", ""])
def test_imagej_without_unit_has_no_pixel_size(tmp_path, unit):
    options = {"resolution": (4, 2), "metadata": {"unit": unit}}
    assert written(tmp_path / "a.tif", STACK, imagej=True, **options).spacing_um is None


def test_ome_unit(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}
    metadata |= {"PhysicalSizeY": 5000.0, "PhysicalSizeYUnit": "Å"}
    image = written(tmp_path / "a.ome.tif", STACK[0], ome=True, metadata=metadata)
    assert image.spacing_um == pytest.approx((0.5, 0.25))


def test_ome_without_unit_is_micrometres_and_without_size_is_unknown(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    image = written(tmp_path / "a.ome.tif", STACK[0], ome=True, metadata=metadata)
    assert image.spacing_um == pytest.approx((0.5, 0.25))
    bare = written(tmp_path / "b.ome.tif", STACK[0], ome=True, metadata={"axes": "YX"})
    assert bare.spacing_um is None


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20_000, 10_000), "CENTIMETER", (1.0, 0.5)),
        ((25_400, 25_400), "INCH", (1.0, 1.0)),
        ((300, 300), "INCH", None),  # a printing resolution
        ((10_000, 10_000), "NONE", None),
        ((0, 0), "CENTIMETER", None),
    ],
)
def test_resolution_tags(tmp_path, resolution, unit, expected):
    options = {"resolution": resolution, "resolutionunit": unit, "metadata": None}
    image = written(tmp_path / "a.tif", STACK[0], **options)
    assert image.spacing_um == (expected and pytest.approx(expected))


def test_pages_of_different_sizes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(np.zeros((4, 5), np.uint8), metadata=None)
        tif.write(np.zeros((8, 9), np.uint8), metadata=None)
    with pytest.raises(
        FileError, match=r"a\.tif holds 2 scenes \(1: \(4×5\); 2: \(8×9\)\); say which"
    ):
        read_image(tmp_path / "a.tif")


def test_thumbnail_is_passed_over(tmp_path):
    thumbnail = np.zeros((2, 2, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(thumbnail, metadata=None, subfiletype=1, photometric="rgb")
        tif.write(STACK, metadata=None, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, STACK)


def test_more_axes_than_ulens_knows_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(FileError, match=r"a\.tif has axes QQYX .* such as --axes ZYX"):
        read_image(tmp_path / "a.tif")


def test_lost_pages_are_noticed(tmp_path):
    encoded = io.BytesIO()
    tifffile.imwrite(encoded, STACK.repeat(50, axis=2), metadata=None, photometric="minisblack")
    path = tmp_path / "cut.tif"
    path.write_bytes(encoded.getvalue()[:-100])
    with pytest.raises(FileError, match=r"cut\.tif is truncated after \d pages; copy it again"):
        read_image(path)


@pytest.mark.parametrize(
    ("first_page", "message"), [(b"\0", "cannot be read"), (b"\x08", "truncated after 0 pages")]
)
def test_tiff_without_pages_is_refused(tmp_path, first_page, message):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + first_page + b"\0\0\0")
    with pytest.raises(FileError, match=rf"a\.tif .*{message}"):
        read_image(tmp_path / "a.tif")


axes_with_shapes = st.lists(st.sampled_from("TCZ"), unique=True).flatmap(
    lambda extra: st.tuples(
        st.just("".join(letter for letter in "TCZYX" if letter in [*extra, "Y", "X"])),
        st.tuples(*[st.integers(2, 4)] * len(extra), *[st.integers(1, 5)] * 2),
    )
)
dtypes = st.sampled_from(
    ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"]
)
spacings = st.none() | st.tuples(*[st.floats(1e-9, 1e6)] * 2)


@settings(max_examples=80, deadline=None)
@given(st.data(), axes_with_shapes, dtypes, spacings)
def test_round_trip(tmp_path_factory, draw, axes_and_shape, dtype, spacing_um):
    axes, shape = axes_and_shape
    exact = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else {}
    elements = hnp.from_dtype(np.dtype(dtype), **exact)
    data = draw.draw(hnp.arrays(dtype, shape, elements=elements))
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    write_tiff(path, Image(data=data, axes=axes, spacing_um=spacing_um))
    back = read_image(path)
    assert back.axes == axes
    assert back.data.dtype == dtype
    np.testing.assert_array_equal(back.data, data)
    assert back.spacing_um == (spacing_um and pytest.approx(spacing_um, rel=1e-9))


def test_written_file_tells_plain_readers_its_pixel_size_and_is_compressed(tmp_path):
    image = Image(data=np.zeros((64, 64), np.int32), axes="YX", spacing_um=(0.5, 0.25))
    write_tiff(tmp_path / "a.tif", image)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        tags = tif.pages.first.tags
        pixels, units = tags["XResolution"].value
        assert pixels / units == pytest.approx(40_000)
        assert tags["ResolutionUnit"].value == 3
        assert tif.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_dtype_that_ome_lacks_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"a\.tif cannot hold int64 pixels; OME-TIFF takes uint8"):
        write_tiff(tmp_path / "a.tif", Image(data=np.zeros((2, 2), np.int64), axes="YX"))


def test_full_disk_keeps_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")  # a limit on file size stands in for a full disk
    path = tmp_path / "a.tif"
    old = Image(data=STACK, axes="TYX")
    write_tiff(path, old)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OutputError, match=r"a\.tif cannot be written .*is unchanged; free"):
            write_tiff(path, Image(data=noise, axes="YX"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    np.testing.assert_array_equal(read_image(path).data, old.data)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_folder_in_the_way_is_an_output_error_that_leaves_nothing(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(OutputError, match=r"a\.tif cannot be written"):
        write_tiff(tmp_path / "a.tif", Image(data=STACK, axes="TYX"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"No such file or directory.*choose another folder"):
        write_tiff(tmp_path / "gone" / "a.tif", Image(data=STACK, axes="TYX"))


@pytest.mark.real
def test_lzw_tiff_of_the_cell_tracking_challenge(real_data):
    image = read_image(real_data / "DIC-C2DH-HeLa" / "01" / "t002.tif")
    assert (image.axes, image.data.shape, image.data.dtype) == ("YX", (512, 512), np.uint8)
    assert image.spacing_um == pytest.approx((0.19, 0.19), rel=1e-4)

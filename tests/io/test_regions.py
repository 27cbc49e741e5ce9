import json
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from ulens.errors import FileError, SettingError
from ulens.image import Image
from ulens.io.files import planes, read_image, write_tiff
from ulens.io.reading import Reading
from ulens.io.regions import open_volume


def pixels(*shape, dtype=np.uint16):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def write_zarr(path, data, axes, *, version="0.5", unit="micrometer", scale=0.5):
    described = [
        {"name": axis, "type": {"t": "time", "c": "channel"}.get(axis, "space")} for axis in axes
    ]
    for axis in described[-2:]:
        axis["unit"] = unit
    scales = [1.0] * (len(axes) - 2) + [scale, 2 * scale]
    transform = [{"type": "scale", "scale": scales}]
    multiscales = [
        {"axes": described, "datasets": [{"path": "s0", "coordinateTransformations": transform}]}
    ]
    if version == "0.5":
        attributes = {"ome": {"version": "0.5", "multiscales": multiscales}}
    else:
        attributes = {"multiscales": [{"version": "0.4", **multiscales[0]}]}
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2, attributes=attributes)
    chunks = (1,) * (data.ndim - 2) + (16, 16)
    group.create_array("s0", shape=data.shape, dtype=data.dtype, chunks=chunks)[...] = data


LAYOUTS = {
    "tiles": {"tile": (16, 16), "compression": "zlib"},
    "strips": {"rowsperstrip": 5, "compression": "zlib"},
    "in one piece": {},
    "big endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("axes", "shape"), [("YX", (40, 50)), ("TCYX", (2, 3, 40, 50))])
def test_windows_of_tiff_are_those_of_the_image(tmp_path, layout, axes, shape):
    path = tmp_path / "image.tif"
    tifffile.imwrite(
        path, pixels(*shape), photometric="minisblack", metadata={"axes": axes}, **LAYOUTS[layout]
    )
    image = read_image(path)
    with open_volume(path) as volume:
        assert (volume.axes, volume.shape, volume.dtype) == (image.axes, shape, np.uint16)
        assert volume.size == shape[-2:]
        expected = planes(image)
        assert [plane.name for plane in volume.planes()] == [name for name, _ in expected]
        for plane, (_, whole) in zip(volume.planes(), expected, strict=True):
            window = volume.read(plane, slice(7, 33), slice(20, 50))
            np.testing.assert_array_equal(window, whole[:, 7:33, 20:50])


def test_colors_come_first_and_alpha_is_dropped(tmp_path):
    data = pixels(40, 50, 4, dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="rgb", extrasamples=["unassalpha"], tile=(16, 16)
    )
    with open_volume(tmp_path / "a.tif") as volume:
        assert (volume.axes, volume.num_channels) == ("CYX", 3)
        window = volume.read(volume.planes()[0], slice(0, 40), slice(5, 6))
    np.testing.assert_array_equal(window, np.moveaxis(data[:, 5:6, :3], 2, 0))


def test_of_a_pyramid_the_full_resolution_is_read(tmp_path):
    data = pixels(64, 64)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        options = {"tile": (16, 16), "photometric": "minisblack"}
        sizes = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
        tif.write(data, subifds=1, metadata=sizes, **options)
        tif.write(data[::2, ::2], subfiletype=1, **options)
    with open_volume(tmp_path / "a.ome.tif") as volume:
        assert (volume.size, volume.spacing_um) == ((64, 64), (0.5, 0.25))
        window = volume.read(volume.planes()[0], slice(8, 64), slice(0, 9))
    np.testing.assert_array_equal(window[0], data[8:, :9])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_tells_its_axes_and_pixel_size(tmp_path, version):
    data = pixels(2, 1, 3, 20, 30)
    write_zarr(tmp_path / "a.zarr", data, "tczyx", version=version, unit="nanometer", scale=500)
    with open_volume(tmp_path / "a.zarr") as volume:
        assert (volume.axes, volume.shape) == ("TZYX", (2, 3, 20, 30))
        assert volume.spacing_um == pytest.approx((0.5, 1.0))
        plane = volume.planes()[4]
        assert (plane.name, plane.t, plane.z) == ("t001_z001", 1, 1)
        np.testing.assert_array_equal(
            volume.read(plane, slice(3, 20), slice(0, 30)), data[1, :, 1, 3:]
        )


def test_axes_overrule_the_metadata(tmp_path):
    data = pixels(3, 20, 30)
    write_tiff(tmp_path / "a.tif", Image(data=data, axes="CYX"))
    with open_volume(tmp_path / "a.tif", Reading(axes="ZYX")) as volume:
        assert (volume.axes, volume.num_channels, len(volume.planes())) == ("ZYX", 1, 3)
    zarr.create_array(tmp_path / "b.zarr", data=data[:, None])
    with open_volume(tmp_path / "b.zarr", Reading(axes="YXC")) as volume:
        assert (volume.axes, volume.shape) == ("CYX", (30, 3, 20))
        window = volume.read(volume.planes()[0], slice(0, 3), slice(0, 4))
    np.testing.assert_array_equal(window, np.moveaxis(data, 2, 0)[:, :, :4])


@pytest.mark.parametrize(
    ("axes", "message"),
    [("ZYXX", "at most one each"), ("XY", "name 2 dimensions"), ("ZY", "Y and X")],
)
def test_axes_must_fit(tmp_path, axes, message):
    write_tiff(tmp_path / "a.tif", Image(data=pixels(3, 20, 30), axes="ZYX"))
    with (
        pytest.raises(SettingError, match=message),
        open_volume(tmp_path / "a.tif", Reading(axes=axes)),
    ):
        pass


def test_the_fingerprint_is_of_the_pixels_and_the_files(tmp_path):
    data = pixels(3, 20, 30)
    write_zarr(tmp_path / "a.zarr", data, "zyx")
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")  # keeps the times
    data[1, 10, 10] += 1
    write_zarr(tmp_path / "c.zarr", data, "zyx")
    prints = []
    for name in "abc":
        with open_volume(tmp_path / f"{name}.zarr") as volume:
            prints.append(volume.fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_files_that_cannot_be_read_window_by_window(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "folder").mkdir()
    zarr.create_group(tmp_path / "plate.zarr").create_group("0")
    zarr.create_array(tmp_path / "bare.zarr", data=pixels(2, 3, 4))
    zarr.create_array(tmp_path / "complex.zarr", data=np.zeros((4, 4), complex))
    side = (20_000, 20_000)
    large = zarr.create_array(tmp_path / "large.zarr", shape=side, chunks=side, dtype=np.uint8)
    large[:] = 1
    for name, message in {
        "a.png": "convert the image, or segment it into a folder",
        "folder": "is a folder of no Zarr",
        "none.tif": "does not exist",
        "plate.zarr": "holds 0, zarr.json; give the folder of one image",
        "bare.zarr": "without names of sizes 2×3×4.*--axes ZYX",
        "complex.zarr": "complex128 pixels",
        "large.zarr": "pieces of 20000×20000 pixels, 400.0 MB each",
    }.items():
        with pytest.raises(FileError, match=message), open_volume(tmp_path / name):
            pass


def test_damaged_pieces_are_told(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(64, 64), tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[0]
    damaged = bytearray(path.read_bytes())
    damaged[offset : offset + 20] = bytes(20)
    path.write_bytes(damaged)
    with open_volume(path) as volume, pytest.raises(FileError, match="is damaged"):
        volume.read(volume.planes()[0], slice(0, 8), slice(0, 8))


def test_zarr_without_units_has_no_pixel_size(tmp_path):
    write_zarr(tmp_path / "a.zarr", pixels(20, 30), "yx", unit=None)
    assert json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    with open_volume(tmp_path / "a.zarr") as volume:
        assert volume.spacing_um is None

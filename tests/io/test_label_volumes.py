import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from ulens.io.files import read_image
from ulens.io.label_volumes import LabelShape, ZarrLabels, write_label_tiff
from ulens.io.regions import Plane, open_volume


def labels_of(*shape):
    return np.random.default_rng(0).integers(0, 70_000, shape).astype(np.uint32)


def test_zarr_is_valid_and_has_smaller_copies(tmp_path):
    data = labels_of(2, 100, 70)
    shape = LabelShape(
        axes="ZYX", shape=data.shape, dtype=data.dtype, spacing_um=(0.5, 0.25), tile_px=16
    )
    file = ZarrLabels(tmp_path / "a.zarr", shape, block_px=64)
    file.create()
    for plane in (Plane("z000", 0, 0), Plane("z001", 0, 1)):
        for top in (0, 64):
            for left in (0, 64):
                rows, columns = slice(top, min(top + 64, 100)), slice(left, min(left + 64, 70))
                file.write(plane, (rows, columns), data[plane.z, rows, columns])
    (tmp_path / "a.zarr" / "0" / "c.1234.partial").write_bytes(b"")
    file.tidy()
    assert not list(tmp_path.rglob("*.partial"))
    yaozarrs.validate_zarr_store(tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert sorted(group) == ["0", "1", "2"]
    for level, factor in enumerate((1, 2, 4)):
        np.testing.assert_array_equal(group[str(level)][:], data[:, ::factor, ::factor])
        assert group[str(level)].chunks == (1, 16, 16)
    with open_volume(tmp_path / "a.zarr") as volume:
        assert (volume.axes, volume.spacing_um) == ("ZYX", (0.5, 0.25))


@pytest.mark.parametrize("axes", ["YX", "TZYX"])
def test_zarr_of_unknown_pixel_size_is_valid(tmp_path, axes):
    sizes = (20, 30) if axes == "YX" else (2, 3, 20, 30)
    shape = LabelShape(axes=axes, shape=sizes, dtype=np.dtype("u1"), spacing_um=None, tile_px=16)
    file = ZarrLabels(tmp_path / "a.zarr", shape, block_px=16)
    file.create()
    file.write(Plane("", 1, 2), (slice(0, 16), slice(16, 30)), np.full((16, 14), 3, np.uint8))
    yaozarrs.validate_zarr_store(tmp_path / "a.zarr")
    written = zarr.open_array(tmp_path / "a.zarr" / "0", mode="r")[:]
    assert written.reshape(-1, 20, 30)[-1, 0, 16] == 3
    assert written.sum() == 3 * 16 * 14


def test_tiff_is_large_tiled_and_the_same_each_time(tmp_path):
    data = labels_of(2, 40, 30)
    shape = LabelShape(
        axes="TYX", shape=data.shape, dtype=data.dtype, spacing_um=(0.5, 0.25), tile_px=16
    )
    padded = np.pad(data, [(0, 0), (0, 8), (0, 2)])
    for name in ("a.tif", "b.tif"):
        tiles = (
            padded[t, y : y + 16, x : x + 16]
            for t in range(2)
            for y in range(0, 40, 16)
            for x in range(0, 30, 16)
        )
        write_label_tiff(tmp_path / name, shape, tiles)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.spacing_um) == ("TYX", (0.5, 0.25))
    np.testing.assert_array_equal(image.data, data)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_bigtiff
        assert tif.pages.first.tile == (16, 16)

import numpy as np
import pytest

from ulens.errors import OutputError
from ulens.image import Image
from ulens.io.files import read_image
from ulens.io.segmentations import (
    Targets,
    check_table,
    plan_targets,
    write_labels,
    write_maps,
)


def test_targets_are_called_as_their_image(tmp_path):
    files = [tmp_path / "a.ome.tif", tmp_path / "b.png"]
    planned = plan_targets(files, tmp_path / "out", maps="probabilities", rois="imagej")
    assert [path.name for path in planned[files[1]].paths] == [
        "b.tif",
        "b_probabilities.tif",
        "b.zip",
    ]
    alone = plan_targets(files, tmp_path / "out", maps=None, rois=None)
    assert [path.name for path in alone[files[1]].paths] == ["b.tif"]


def test_outlines_of_two_images_under_one_name(tmp_path):
    files = [tmp_path / "a.png", tmp_path / "A.tif"]
    with pytest.raises(
        OutputError, match=r"a\.png and A\.tif would both be written to A\.tif; ren"
    ):
        plan_targets(files, tmp_path, maps=None, rois="geojson")


def test_large_labels_are_written_in_32_bits(tmp_path):
    image = Image(data=np.zeros((3, 2, 4), np.uint8), axes="CYX", spacing_um=(2, 3))
    labels = np.zeros((2, 4), np.int32)
    for largest, dtype in ((65535, np.uint16), (65536, np.uint32), (2**31 - 1, np.uint32)):
        labels[0, 0] = largest
        write_labels(Targets(labels=tmp_path / "a.tif"), image, labels)
        written = read_image(tmp_path / "a.tif")
        assert (written.data.dtype, written.axes) == (dtype, "YX")
        assert written.spacing_um == pytest.approx((2, 3))
        np.testing.assert_array_equal(written.data, labels)


def test_maps_lie_on_axis_c(tmp_path):
    image = Image(data=np.zeros((2, 5, 4)), axes="TYX")
    write_maps(tmp_path / "p.tif", image, np.ones((2, 3, 5, 4), np.float32))
    assert read_image(tmp_path / "p.tif").axes == "TCYX"


def test_where_a_table_may_go(tmp_path):
    out = tmp_path / "out"
    check_table(tmp_path / "objects.csv", out, overwrite=False)
    check_table(out / "objects.CSV", out, overwrite=False)
    with pytest.raises(OutputError, match=r"table .*objects\.txt does not end in \.csv; give it"):
        check_table(tmp_path / "objects.txt", out, overwrite=True)
    with pytest.raises(OutputError, match=r"no folder .*nowhere for table objects\.csv; make it"):
        check_table(tmp_path / "nowhere" / "objects.csv", out, overwrite=True)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=r"table .*folder\.csv is a folder, a file is needed"):
        check_table(tmp_path / "folder.csv", out, overwrite=True)

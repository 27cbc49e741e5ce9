import numpy as np
import pytest

import ulens
from ulens.errors import FileError, ShapeError
from ulens.image import Image
from ulens.io.files import write_tiff

LABELS = np.zeros((60, 80), np.uint16)
LABELS[10:30, 20:50] = 1


@pytest.mark.parametrize("shape", [(60, 80), (1, 60, 80), (3, 60, 80), (60, 80, 3), (2, 60, 80)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_any_plane_is_shown_with_its_outlines(shape, dtype):
    image = np.zeros(shape, dtype)
    bare = np.array(ulens.show(image))
    outlined = np.array(ulens.show(image, LABELS))
    assert bare.shape == outlined.shape == (360, 480, 3)
    differ = (bare != outlined).any(axis=-1)
    rows, columns = np.nonzero(differ)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 179, 120, 299)
    assert not differ[66:174, 126:294].any()  # the outline alone


def test_truth_is_yellow_underneath():
    shown = np.array(ulens.show(np.zeros((60, 80)), np.zeros_like(LABELS), truth=LABELS))
    assert (shown == (255, 214, 10)).all(axis=-1).any()
    covered = np.array(ulens.show(np.zeros((60, 80)), LABELS, truth=LABELS))
    assert not (covered == (255, 214, 10)).all(axis=-1).any()


def test_files_and_images_are_shown_alike(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.uint8)
    for name, data in (("a.tif", pixels), ("b.tif", LABELS)):
        write_tiff(tmp_path / name, Image(data=data, axes="YX"))
    expected = np.array(ulens.show(pixels, LABELS))
    shown = ulens.show(str(tmp_path / "a.tif"), ulens.read_image(tmp_path / "b.tif"))
    np.testing.assert_array_equal(np.array(shown), expected)
    with pytest.raises(FileError, match=r"nothing\.tif does not exist"):
        ulens.show(tmp_path / "nothing.tif")


def test_a_large_image_is_shrunk():
    assert max(ulens.show(np.zeros((3000, 500), np.uint8)).size) == 512


@pytest.mark.parametrize("shape", [(9, 60, 80), (2, 3, 60, 80), (60,)])
def test_a_stack_is_told_from_an_image(shape):
    with pytest.raises(ShapeError, match=r"need one plane.*such as stack\[0\]"):
        ulens.show(np.zeros(shape))


def test_labels_of_another_image():
    with pytest.raises(ShapeError, match=r"labels are 60×80, the image is 60×60; give labels"):
        ulens.show(np.zeros((60, 60)), LABELS)
    with pytest.raises(ShapeError, match=r"truth are 60×80"):
        ulens.show(np.zeros((60, 60)), truth=LABELS)

import numpy as np
import pytest

from tiny_training import squares, write_folder
from ulens.annotated.unseen import divide
from ulens.errors import DataError, LabelError, SettingError
from ulens.image import Image
from ulens.io.files import write_tiff


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("unseen"), number=8)


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    """Two sequences of 4 frames with gold truth."""
    root = tmp_path_factory.mktemp("set")
    for sequence in ("01", "02"):
        truth = root / f"{sequence}_GT" / "SEG"
        truth.mkdir(parents=True)
        (root / sequence).mkdir()
        for k in range(4):
            image, label = squares(k)
            write_tiff(root / sequence / f"t{k:03d}.tif", Image(data=image, axes="YX"))
            cells = (label > 0).astype(np.uint16)
            write_tiff(truth / f"man_seg{k:03d}.tif", Image(data=cells, axes="YX"))
    return root


@pytest.mark.parametrize(
    ("asked", "training", "unseen"),
    [
        ({}, "0-5", "6-7"),
        ({"training": "0-2"}, "0-2", "3-7"),
        ({"unseen": "0,3-4"}, "1-2,5-7", "0,3-4"),
        ({"training": "0,2", "unseen": "5"}, "0,2", "5"),
    ],
)
def test_a_side_that_is_not_told_follows_from_the_other(folder, asked, training, unseen):
    found = divide(folder / "images", folder / "labels", **asked)
    assert (found.training, found.unseen) == (training, unseen)
    assert found.class_values == (0, 255)


def test_of_each_sequence_the_last_quarter_is_scored(challenge):
    found = divide(challenge)
    assert (found.training, found.unseen) == ("01:0-2,02:0-2", "01:3,02:3")
    assert [sample.name for sample in found.samples] == ["01/t003", "02/t003"]
    assert found.num_training == 6


def test_frames_of_a_sequence_may_be_told(challenge):
    found = divide(challenge, training="01:0-1,3", unseen="02:0-3")
    assert (found.training, found.unseen) == ("01:0-1,3", "02:0-3")


def test_an_image_on_both_sides_is_refused(folder):
    with pytest.raises(SettingError, match="frames 2-3 are both to be trained on and to be scored"):
        divide(folder / "images", folder / "labels", training="0-3", unseen="2-7")


def test_a_side_without_images_is_refused(folder):
    with pytest.raises(SettingError, match="no annotated image is left to score"):
        divide(folder / "images", folder / "labels", training="0-7")


def test_one_image_cannot_be_divided(tmp_path):
    folder = write_folder(tmp_path, number=1)
    with pytest.raises(DataError, match="has 1 annotated image; two are needed"):
        divide(folder / "images", folder / "labels")


def test_training_images_without_a_class_are_refused(tmp_path):
    folder = write_folder(tmp_path, number=3)
    for k in range(2):
        empty = Image(data=np.zeros((40, 40), np.uint8), axes="YX")
        write_tiff(folder / "labels" / f"{k}.tif", empty)
    with pytest.raises(LabelError, match="lack label value 255; choose other frames"):
        divide(folder / "images", folder / "labels", training="0-1")

"""What `inspect` returns, and that constant images are refused by name."""

import numpy as np
import pytest

import ulens
from tiny_training import write_folder
from ulens.errors import DataError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.inspect import InspectSettings, run_inspection
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import run_training


def write_image(path, pixels):
    write_tiff(path, Image(data=pixels, axes="YX"))


def test_inspect_gives_a_row_for_each_pair(tmp_path):
    folder = write_folder(tmp_path / "data", number=3)
    rows = ulens.inspect(folder / "images", folder / "labels")
    assert [row.image for row in rows] == [folder / "images" / f"{i}.tif" for i in range(3)]
    assert {(row.size, row.axes, row.num_channels) for row in rows} == {("40×40", "YX", 1)}
    (row,) = ulens.inspect(folder, frames="1", labels_are="instances")
    assert row.reading.endswith(" objects")


@pytest.mark.parametrize("number", [1, 3])
def test_constant_images_are_named_where_there_are_no_others(tmp_path, number):
    folder = write_folder(tmp_path / "data", number=number)
    for i in range(number):
        write_image(folder / "images" / f"{i}.tif", np.full((40, 40), 7 + i, np.uint8))
    settings = TrainSettings(folder / "images", folder / "labels", out=tmp_path / "m", steps=2)
    with pytest.raises(DataError, match=r"image 0 is constant, every pixel is 7, .*check that th"):
        list(run_training(settings))
    assert not (tmp_path / "m").exists()


def test_a_constant_image_among_others_is_named(tmp_path):
    generator = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    for k in range(5):
        pixels = generator.integers(0, 255, (70, 80), np.uint8)
        if k in (1, 3):
            pixels[:] = 7
        if k == 4:
            pixels[:] = 7
            pixels[5, 9] = 8  # one other pixel, beside those that are looked at first
        label = np.zeros((70, 80), np.uint8)
        label[20:40, 20:40] = 255
        write_image(tmp_path / "images" / f"{k}.png", pixels)
        write_image(tmp_path / "labels" / f"{k}.png", label)
    lines = run_inspection(InspectSettings(tmp_path / "images", tmp_path / "labels")).lines
    assert any("2 of 5 images are constant, every pixel is 7: 1, 3;" in line for line in lines)

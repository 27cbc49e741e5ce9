"""`segment --rois coco`: one data set of all images of a folder, beside the file of each."""

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from brightness import make_bundle, make_image
from ulens.bundle import save_bundle
from ulens.errors import DataError, FileError, OutputError
from ulens.io.files import read_image
from ulens.jobs.segment import segment


@pytest.fixture
def model(tmp_path):
    decoding = {"threshold": 0.5, "min_area_px": 10}
    save_bundle(make_bundle(labels_are="instances", decoding=decoding), tmp_path / "cells.model")
    return tmp_path / "cells.model"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    stack = np.stack([make_image(30, 40)] * 2)
    stack[1, 15:25, 20:30] = 200
    imageio.imwrite(folder / "one.png", stack[0])
    imageio.imwrite(folder / "two.png", stack[1])
    return folder


def test_one_coco_file_for_all_images(model, images, tmp_path):
    out = tmp_path / "out"
    segment(model, images, out, rois="coco")
    coco = pytest.importorskip("pycocotools.coco").COCO(out / "coco.json")
    assert [each["file_name"] for each in coco.loadImgs(coco.getImgIds())] == ["one.png", "two.png"]
    for number, name in coco.imgs.items():
        labels = read_image(out / f"{Path(name['file_name']).stem}.tif").data
        for each in coco.loadAnns(coco.getAnnIds(number)):
            np.testing.assert_array_equal(coco.annToMask(each), labels == each["label"])
            labels[labels == each["label"]] = 0
        assert not labels.any()


def test_the_coco_file_of_all_images_grows_with_the_folder(model, images, tmp_path):
    out = tmp_path / "out"
    segment(model, images, out, rois="coco")
    imageio.imwrite(images / "added.png", make_image(30, 40))
    (images / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 4 images could not be segmented"):
        segment(model, images, out, rois="coco")
    content = json.loads((out / "coco.json").read_text())
    assert [each["file_name"] for each in content["images"]] == ["added.png", "one.png", "two.png"]
    (out / "one.coco.json").write_bytes(b"")
    (images / "broken.png").unlink()
    with pytest.raises(FileError, match="delete it: the same command makes it again"):
        segment(model, images, out, rois="coco")
    assert json.loads((out / "coco.json").read_text()) == content
    (out / "one.coco.json").unlink()
    segment(model, images, out, rois="coco")
    assert json.loads((out / "coco.json").read_text()) == content


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_coco_file_of_the_user_is_kept(model, images, tmp_path, overwrite):
    out = tmp_path / "out"
    segment(model, images, out, rois="imagej")  # which writes none
    (out / "coco.json").write_text("mine")
    segment(model, images, out, rois="imagej", overwrite=overwrite)
    with pytest.raises(OutputError, match=r"holds coco\.json, which .* did not write"):
        segment(model, images, out, rois="coco", overwrite=True)
    assert (out / "coco.json").read_text() == "mine"
    (out / "coco.json").unlink()
    segment(model, images, out, rois="coco", overwrite=True)
    (images / "two.png").unlink()
    segment(model, images, out, rois="coco", overwrite=overwrite)
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 1

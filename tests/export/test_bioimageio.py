"""A package of the model zoo, run by the zoo's own program."""

import dataclasses
import io
import zipfile

import numpy as np
import PIL.Image
import pytest
import torch

from exported import draw_image, make_bundle
from ulens.bundle import START, load_bundle
from ulens.errors import SettingError
from ulens.export.bioimageio import EPSILON, Card, halo_and_step, make_package
from ulens.export.onnx import make_graph

core = pytest.importorskip("bioimageio.core")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("zoo") / "cells.zip"
    card = Card(name="Cells of many looks", license="CC0-1.0", authors=["A. Person"])
    path.write_bytes(make_package(load_bundle(START), card))
    return path


def test_the_zoo_s_own_test_passes(package):
    summary = core.test_model(package)
    errors = [error.msg for detail in summary.details for error in detail.errors]
    assert (summary.status, errors) == ("passed", [])
    run = {detail.loc for detail in summary.details}
    assert {("weights", "onnx"), ("weights", "pytorch_state_dict")} <= run


def test_tiles_have_no_seams(package):
    bundle, side = load_bundle(START), 280
    pixels = np.random.default_rng(0).normal(size=(1, 1, side, side)).cumsum(3).astype(np.float32)
    normalized = (pixels - pixels.mean()) / (pixels.std() + EPSILON)
    with torch.inference_mode():
        whole = make_graph(bundle, is_normalized=True)(torch.from_numpy(normalized)).numpy()
    model = core.load_model_description(package)
    found = core.predict(model=model, inputs={"image": pixels}, blocksize_parameter=0)
    tiled = np.asarray(found.members["maps"].data)
    assert tiled.shape == whole.shape
    (halo, _), _ = halo_and_step(bundle)
    # at the image's own borders bioimageio.core does not mirror
    inside = (..., slice(halo, -halo), slice(halo, -halo))
    assert tiled[inside] == pytest.approx(whole[inside], abs=1e-4)


def test_the_page_and_the_cover(package):
    with zipfile.ZipFile(package) as opened:
        page = opened.read("README.md").decode()
        cover = PIL.Image.open(io.BytesIO(opened.read("cover.png")))
    assert "Cells of many looks" in page
    assert "held out" in page
    assert cover.size == (512, 256)
    left, right = (np.asarray(cover)[:, half] for half in (slice(0, 256), slice(256, 512)))
    assert left.std() > 10
    assert right.std() > 10


def test_classes_with_a_pixel_size(tmp_path):
    architecture = {"name": "unet", "in_channels": 2, "num_classes": 3, "width": 2, "depth": 1}
    example = draw_image(0, (60, 70), 2).astype(np.float32) / 10_000
    bundle = dataclasses.replace(
        make_bundle(architecture, zoom=(0.5, 0.5)), example=example, spacing_um=(0.2, 0.3)
    )
    path = tmp_path / "classes.zip"
    path.write_bytes(make_package(bundle, Card(name="Three classes", license="MIT")))
    model = core.load_model_description(path)
    assert "semantic-segmentation" in model.tags
    assert model.outputs[0].axes[1].channel_names == ["class_0", "class_1", "class_2"]
    for tensor in (model.inputs[0], model.outputs[0]):
        assert [(axis.unit, axis.scale) for axis in tensor.axes[2:]] == [
            ("micrometer", 0.2),
            ("micrometer", 0.3),
        ]
    assert core.test_model(path).status == "passed"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"license": "free for friends"}, "license 'free for friends'"),
        ({"name": "a/b"}, "name 'a/b'"),
    ],
)
def test_what_the_zoo_refuses_is_told_in_a_sentence(options, told):
    with pytest.raises(SettingError, match=told) as refusal:
        make_package(load_bundle(START), Card(**{"name": "Cells", "license": "MIT", **options}))
    assert len(str(refusal.value)) < 200

"""The exported graph is what `ulens segment` computes, for every size and pixel size."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exported import NETWORKS, draw_image, expected, make_bundle
from ulens.bundle import START, load_bundle
from ulens.export.onnx import make_graph, make_onnx, name_maps
from ulens.export.sources import list_arguments, write_source
from ulens.normalize import Normalization, fit_normalization

onnxruntime = pytest.importorskip("onnxruntime")

ZOOMS = [(1.0, 1.0), (0.25, 0.25), (1 / 3, 2 / 3), (1.5, 1.5)]


def open_session(bundle):
    return onnxruntime.InferenceSession(make_onnx(bundle))


def run(session, image):
    return session.run(None, {"image": image.astype(np.float32)[None]})[0][0]


@pytest.fixture(scope="module")
def sessions():
    bundles = [make_bundle(NETWORKS[0], zoom) for zoom in ZOOMS]
    return [(bundle, open_session(bundle)) for bundle in bundles]


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(0, len(ZOOMS) - 1),
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    seed=st.integers(0, 1000),
)
def test_images_of_any_size_at_any_zoom(sessions, number, height, width, seed):
    bundle, session = sessions[number]
    image = draw_image(seed, (height, width))
    assert run(session, image) == pytest.approx(expected(bundle, image), abs=1e-4)


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("encoding", ["classes", "distance"])
def test_every_network_and_activation(architecture, encoding):
    bundle = make_bundle(architecture, encoding=encoding)
    image = draw_image(0, (40, 50), architecture["in_channels"])
    assert run(open_session(bundle), image) == pytest.approx(expected(bundle, image), abs=1e-4)


def test_the_model_that_comes_with_ulens():
    bundle, image = load_bundle(START), draw_image(1, (150, 170))
    assert run(open_session(bundle), image) == pytest.approx(expected(bundle, image), abs=1e-4)


@pytest.mark.parametrize("value", [0, 7, 65_535])
def test_a_constant_image_is_0_throughout(sessions, value):
    bundle, session = sessions[0]
    image = np.full((1, 30, 40), value, np.uint16)
    assert run(session, image) == pytest.approx(expected(bundle, image), abs=1e-4)


def test_the_floor_holds_back_the_noise_of_an_empty_image():
    image = draw_image(0, (60, 60))
    floor = 4 * fit_normalization([image]).floor[0] * 1.5  # above the image's own contrast
    with_floor, without = (make_bundle(NETWORKS[0], floor=each) for each in (floor, 0.0))
    found = run(open_session(with_floor), image)
    assert found == pytest.approx(expected(with_floor, image), abs=1e-4)
    assert np.abs(found - expected(without, image)).max() > 1e-3


def test_floors_of_older_models_are_grey_values():
    bundle = make_bundle(NETWORKS[0])
    object.__setattr__(bundle, "normalization", Normalization((50_000.0,), is_absolute=True))
    image = draw_image(2, (40, 40))
    assert run(open_session(bundle), image) == pytest.approx(expected(bundle, image), abs=1e-4)


def test_a_batch_is_normalized_image_by_image(sessions):
    bundle, session = sessions[0]
    images = np.stack([draw_image(seed, (50, 40)) for seed in (1, 2)])
    maps = session.run(None, {"image": images.astype(np.float32)})[0]
    for image, found in zip(images, maps, strict=True):
        assert found == pytest.approx(expected(bundle, image), abs=1e-4)


def test_the_file_tells_what_the_maps_are():
    bundle = load_bundle(START)
    told = open_session(bundle).get_modelmeta().custom_metadata_map
    assert name_maps(bundle)[0] in told["maps"]
    assert told["encoding"] == bundle.encoding


@pytest.mark.parametrize("architecture", NETWORKS)
def test_its_source_alone_makes_the_network_again(architecture, tmp_path):
    bundle = make_bundle(architecture, zoom=(0.5, 0.5))
    graph, image = make_graph(bundle, is_normalized=True), torch.ones(1, 3, 40, 50).cumsum(3) / 50
    image = image[:, : architecture["in_channels"]]
    (tmp_path / "network.py").write_text(write_source(bundle.net), encoding="utf-8")
    saved = {"state": graph.state_dict(), "image": image, "maps": graph(image).detach()}
    torch.save(saved, tmp_path / "saved.pt")
    program = f"""
import sys, torch, network
saved = torch.load("saved.pt")
graph = network.make_graph(zoom=(0.5, 0.5), softmax=True, **{list_arguments(bundle.net)!r})
graph.load_state_dict(saved["state"])
assert torch.allclose(graph(saved["image"]), saved["maps"], atol=1e-6)
assert not any(name.split(".")[0] == "ulens" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)

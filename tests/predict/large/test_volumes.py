"""Decoding block by block against decoding at once, given the same maps of the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from brightness import make_bundle
from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS, decode_maps
from ulens.errors import DataError, ShapeError
from ulens.io.reading import BY_FILE
from ulens.io.regions import Volume
from ulens.nets.unet import UNet
from ulens.normalize import Normalization
from ulens.predict.large.blocks import BlockFiles, Blocks
from ulens.predict.large.volumes import PlaneWork
from ulens.predict.predictor import Predictor

DECODING = {
    "boundary": {"threshold": 0.6, "reach_threshold": 0.35, "min_area_px": 4},
    "distance": {"seed_threshold": 0.55, "cell_threshold": 0.35, "min_area_px": 12},
    "membrane": {"threshold": 0.5},
}


def volume_of(data, axes="YX"):
    """An image in memory."""
    return Volume(
        path="cells.tif",
        files=(),
        axes=axes,
        shape=data.shape,
        channels=BY_FILE.choose_channels(
            data.shape[0] if "C" in axes else 1, (), Path("cells.tif")
        ),
        dtype=data.dtype,
        spacing_um=None,
        stored_axes=axes,
        cut=lambda where: data[where],
    )


def random_maps(seed, size=(45, 70), smoothing=1.5):
    """Two maps with blobs of some 5 px and no equal values."""
    noise = np.random.default_rng(seed).random((2, *size))
    smooth = ndimage.gaussian_filter(noise, (0, smoothing, smoothing))
    low = smooth.min((1, 2), keepdims=True)
    maps = (smooth - low) / (smooth.max((1, 2), keepdims=True) - low)
    maps[1] *= 0.7  # the neighbour distance, or the foreground
    return maps.astype(np.float32)


def make_work(folder, maps, encoding, *, block_px=16, halo_px):
    bundle = ModelBundle(
        net=UNet(1, 2, width=1, depth=1),
        normalization=Normalization((1.0,)),
        encoding=encoding,
        class_values=(0, 1),
        decoding=DECODING[encoding],
    )
    volume = volume_of(np.zeros(maps.shape[1:]))
    blocks = Blocks(volume.size, block_px)
    work = PlaneWork(
        volume, volume.planes()[0], bundle, folder=folder, blocks=blocks, halo_px=halo_px
    )
    files = BlockFiles(folder / "maps", blocks)
    for block in blocks:
        files.write(block, maps[:, *blocks.window(block)])
    return work


def do(work, *stages, predictor=None):
    """Do the parts of some stages, the last first, since their order must not matter."""
    for stage in stages:
        for part in reversed(work.parts(stage)):
            num_steps = sum(work.do(stage, part, predictor))
            assert num_steps == work.num_steps(stage, part, predictor)
            assert work.is_done(stage, part)
        work.finish(stage)


def decode(work):
    do(work, *work.stages[2:])
    height, width = work.blocks.size
    return work.labels((slice(0, height), slice(0, width))), work.num_unsure


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("halo_px", [12, 70])
@pytest.mark.parametrize("encoding", ["boundary", "distance"])
def test_instances_are_those_of_the_whole_plane(tmp_path, encoding, halo_px, seed):
    maps = random_maps(seed)
    if encoding == "boundary":
        maps[1] /= 0.7
    whole = ENCODINGS[encoding].decode(maps, **DECODING[encoding])
    assert whole.max() > 5
    work = make_work(tmp_path, maps, encoding, halo_px=halo_px)
    labels, num_unsure = decode(work)
    assert labels.dtype == np.uint32
    if halo_px == 70:
        assert num_unsure == 0
    if num_unsure == 0:
        np.testing.assert_array_equal(labels, whole)
    else:
        unsure = [np.asarray(work._unsure.read(block)) for block in work.blocks]
        counted = np.isin(labels, work._table()[np.concatenate(unsure)])
        if not any(0 in each for each in unsure):
            np.testing.assert_array_equal(labels[~counted] > 0, whole[~counted] > 0)
        assert ((labels > 0) != (whole > 0)).mean() < 0.15


def test_small_objects_need_a_small_halo(tmp_path):
    maps = np.zeros((2, 64, 64), np.float32)
    y, x = np.mgrid[:64, :64]
    for row in range(8, 64, 12):
        for column in range(8, 64, 12):
            maps[1] = np.maximum(maps[1], 1 - 0.15 * np.hypot(y - row, x - column * 1.01))
    whole = ENCODINGS["boundary"].decode(maps, **DECODING["boundary"])
    labels, num_unsure = decode(make_work(tmp_path, maps, "boundary", halo_px=8))
    assert (whole.max(), num_unsure) == (25, 0)
    np.testing.assert_array_equal(labels, whole)


def test_growth_beyond_the_halo_is_counted(tmp_path):
    maps = np.zeros((2, 16, 64), np.float32)
    maps[1, 4:12, 2:62] = 0.4 + 0.001 * np.arange(60)[::-1]
    maps[1, 4:12, 2:8] = 0.9
    assert ENCODINGS["boundary"].decode(maps, **DECODING["boundary"])[6, 60] == 1
    labels, num_unsure = decode(make_work(tmp_path / "a", maps, "boundary", halo_px=4))
    assert labels[6, 60] == 0
    assert num_unsure == 1
    labels, num_unsure = decode(make_work(tmp_path / "b", maps, "boundary", halo_px=64))
    assert (labels[6, 60], num_unsure) == (1, 0)


def test_a_core_larger_than_any_halo_is_one_object(tmp_path):
    maps = np.zeros((2, 40, 64), np.float32)
    maps[1, 3:37, 2:62] = 0.9
    maps[1, 7:33, 6:58] = 0
    labels, num_unsure = decode(make_work(tmp_path, maps, "boundary", halo_px=0))
    np.testing.assert_array_equal(labels, maps[1] > 0)
    assert num_unsure == 0


def test_membranes_are_those_of_the_whole_plane_where_the_halo_holds_it(tmp_path):
    maps = random_maps(0, smoothing=3)
    maps[1] /= 0.7
    _, whole = decode_maps("membrane", maps, DECODING["membrane"])
    labels, num_unsure = decode(make_work(tmp_path, maps, "membrane", halo_px=70))
    np.testing.assert_array_equal(labels, whole)
    assert num_unsure == 0


@pytest.mark.parametrize("kind", ["grey", "color", "grey as color", "grey for color"])
def test_the_network_sees_what_it_sees_of_the_whole_image(tmp_path, kind):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (3, 50, 61)).astype(np.uint8)
    if kind == "grey as color":
        image[:] = image[0]
    volume = volume_of(image, "CYX") if "as" in kind or kind == "color" else volume_of(image[0])
    num_channels = 3 if kind in ("color", "grey for color") else 1
    bundle = make_bundle(in_channels=num_channels)
    options = {"folder": tmp_path, "blocks": Blocks(volume.size, 16), "halo_px": 0}
    work = PlaneWork(volume, volume.planes()[0], bundle, **options)
    predictor = Predictor(bundle.net, device="cpu", engine="fp32", max_input=30)
    assert work.stages == ("measure", "predict")
    do(work, *work.stages, predictor=predictor)
    seen = image if kind == "color" else image[:1]
    seen = np.repeat(seen, num_channels // len(seen), axis=0)
    maps = predictor.predict(bundle.normalization.apply(seen))
    labels = work.labels((slice(0, 50), slice(0, 61)))
    np.testing.assert_array_equal(labels, np.where(maps.argmax(0), 255, 0))


def test_images_that_do_not_fit_the_model(tmp_path):
    options = {"folder": tmp_path, "blocks": Blocks((20, 20), 16), "halo_px": 0}
    for data, axes, error, message in (
        (np.arange(800.0).reshape(2, 20, 20), "CYX", ShapeError, "cells.tif has 2 channels"),
        (np.full((20, 20), np.nan), "YX", DataError, "NaN or infinite"),
    ):
        volume = volume_of(data, axes)
        work = PlaneWork(volume, volume.planes()[0], make_bundle(), **options)
        with pytest.raises(error, match=message):
            do(work, "measure")


@pytest.mark.parametrize("zoom", [0.25, 0.5, 2 / 3, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("max_input", [40, 1000])
def test_blocks_of_a_network_of_another_pixel_size_give_what_the_whole_image_gives(
    tmp_path, zoom, max_input
):
    torch.manual_seed(0)
    net = UNet(1, 2, width=3, depth=2, dropout=0).eval()
    bundle = ModelBundle(
        net=net,
        normalization=Normalization((1.0,)),
        encoding="boundary",
        class_values=(0, 1),
        decoding=DECODING["boundary"],
        zoom=(zoom, zoom),
    )
    data = np.random.default_rng(1).normal(size=(75, 101)).astype(np.float32)
    volume, blocks = volume_of(data), Blocks(data.shape, 32)
    work = PlaneWork(
        volume, volume.planes()[0], bundle, folder=tmp_path, blocks=blocks, halo_px=8
    )  # fmt: skip
    predictor = Predictor(net, engine="fp32", max_input=max_input)
    do(work, "measure", "predict", predictor=predictor)
    whole = Predictor(net, engine="fp32").predict(
        bundle.normalization.apply(data[None]), bundle.zoom
    )
    found = BlockFiles(tmp_path / "maps", blocks).read_window((slice(0, 75), slice(0, 101)))
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5)
    assert whole.std() > 1e-3

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ulens.errors import SettingError, ShapeError
from ulens.nets.shapes import Geometry
from ulens.nets.unet import UNet
from ulens.predict.predictor import Predictor
from ulens.predict.tiles import mirror_indices

VIEWS = [(transpose, axes) for transpose in (False, True) for axes in ((), (1,), (2,), (1, 2))]


class Pointwise(nn.Module):
    """Sees one pixel and loses a border: invariant to rotations."""

    geometry = Geometry(base=12, alignment=4, margin=4)
    in_channels = 1

    def forward(self, x):
        x = x[..., 4:-4, 4:-4]
        return torch.cat([x, 0.5 - x], dim=1)


def make_net(depth, width=2, in_channels=1, seed=0):
    torch.manual_seed(seed)
    return UNet(in_channels, 3, width=width, depth=depth)


def make_image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def predict_whole(net, image):
    """Predict in one piece, written independently of the tiles."""
    sizes = [net.geometry.input_size(length) for length in image.shape[1:]]
    rows, columns = (
        mirror_indices(-net.geometry.margin, size - net.geometry.margin, length)
        for size, length in zip(sizes, image.shape[1:], strict=True)
    )
    padded = torch.from_numpy(image[:, rows][:, :, columns])[None]
    with torch.inference_mode():
        probabilities = net.eval()(padded).softmax(1)[0].numpy()
    return probabilities[:, : image.shape[1], : image.shape[2]]


def predict_whole_views(net, image):
    """Mean over the 8 views of the image, embedded in a canvas of the net's alignment."""
    margin = net.geometry.margin
    sizes = [net.geometry.input_size(length) for length in image.shape[1:]]
    rows, columns = (
        mirror_indices(-margin, size - margin, length)
        for size, length in zip(sizes, image.shape[1:], strict=True)
    )
    padded = image[:, rows][:, :, columns]
    total = 0
    for transpose, axes in VIEWS:
        view = np.flip(padded, axes)
        view = view.swapaxes(1, 2) if transpose else view
        with torch.inference_mode():
            output = net.eval()(torch.from_numpy(view.copy())[None]).softmax(1)[0].numpy()
        output = output.swapaxes(1, 2) if transpose else output
        total = total + np.flip(output, axes)
    return (total / 8)[:, : image.shape[1], : image.shape[2]]


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(1, 3),
    width=st.integers(2, 4),
    in_channels=st.integers(1, 3),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    extra=st.integers(0, 8),
    average=st.sampled_from([1, 8]),
)
def test_tiled_equals_whole_image(depth, width, in_channels, shape, extra, average):
    net = make_net(depth, width, in_channels)
    image = make_image(in_channels, *shape)
    max_input = net.geometry.base + extra * net.geometry.alignment
    predictor = Predictor(net, device="cpu", average=average, engine="fp32", max_input=max_input)
    whole = predict_whole if average == 1 else predict_whole_views
    np.testing.assert_allclose(predictor.predict(image), whole(net, image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("average", [1, 8])
def test_many_tiles_equal_one_where_the_output_depends_on_the_grid(average):
    net, image = make_net(2), make_image(1, 101, 77)
    tiled, whole = (
        Predictor(net, device="cpu", average=average, engine="fp32", max_input=max_input)
        for max_input in (60, 828)
    )
    assert tiled.num_tiles((101, 77)) > whole.num_tiles((101, 77)) == 1
    np.testing.assert_allclose(tiled.predict(image), whole.predict(image), rtol=0, atol=1e-5)
    # the test has teeth: one pixel off the grid is another function
    shifted = whole.predict(np.roll(image, 1, axis=2))[:, 50, 40]
    assert np.abs(shifted - whole.predict(image)[:, 50, 39]).max() > 1e-4


def test_probabilities_are_float32_and_sum_to_one():
    for average in (1, 8, "rotations7"):
        predictor = Predictor(make_net(1), device="cpu", average=average, engine="bf16")
        probabilities = predictor.predict(make_image(1, 30, 23))
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (3, 30, 23)
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
        assert probabilities.min() >= 0


@pytest.mark.parametrize("average", [1, 8, "rotations7"])
def test_distances_are_clipped_to_their_range(average):
    class Constant(Pointwise):
        def forward(self, x):
            x = 0 * x[..., 4:-4, 4:-4]
            return torch.cat([x - 3, x + 0.25, x + 7], dim=1)

    predictor = Predictor(Constant(), activation="clip", device="cpu", average=average)
    maps = predictor.predict(make_image(1, 30, 23))
    expected = np.broadcast_to(np.array([0, 0.25, 1])[:, None, None], (3, 30, 23))
    np.testing.assert_allclose(maps, expected, atol=1e-6)


def test_bf16_is_close_to_fp32():
    image = make_image(1, 40, 40)
    exact, rough = (
        Predictor(make_net(2), device="cpu", engine=engine).predict(image)
        for engine in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - rough).max() < 0.05


def test_average_8_of_a_flipped_image_is_the_flipped_average():
    net, image = make_net(2), make_image(1, 36, 36)
    predictor = Predictor(net, device="cpu", average=8, engine="fp32")
    flipped = predictor.predict(image.swapaxes(1, 2))
    np.testing.assert_allclose(flipped, predictor.predict(image).swapaxes(1, 2), atol=1e-5)


@pytest.mark.parametrize("shape", [(36, 36), (90, 41), (1, 7)])
def test_the_mean_of_each_view_is_the_average_of_8(shape):
    predictor = Predictor(make_net(2), device="cpu", average=8, engine="fp32", max_input=64)
    image = make_image(1, *shape)
    views = np.empty((8, 3, *shape), np.float32)
    for write, part in predictor.stream_each_view(image):
        views[..., *write] = part
    np.testing.assert_allclose(views.mean(axis=0), predictor.predict(image), atol=1e-6)
    plain = Predictor(make_net(2), device="cpu", engine="fp32").predict(image)
    np.testing.assert_allclose(views[0], plain, atol=1e-6)
    if min(shape) > 1:
        assert np.abs(views[0] - views[-1]).max() > 1e-3


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (1, 9), (1, 1)])
def test_rotations_change_nothing_for_a_pointwise_net_on_a_smooth_image(shape):
    y, x = np.indices(shape, dtype=np.float32)
    image = np.sin(y / 8 + x / 11)[None]
    plain, rotated = (
        Predictor(Pointwise(), device="cpu", average=average, engine="fp32", max_input=24)
        for average in (1, "rotations7")
    )
    difference = np.abs(rotated.predict(image) - plain.predict(image))
    # interpolation flattens the crease that mirroring makes at the border
    assert difference.max() < 0.05
    assert difference.mean() < 0.005


def test_rotations_average_a_direction_away():
    class RightNeighbour(Pointwise):
        def forward(self, x):
            x = x[..., 4:-4, 5:-3]
            return torch.cat([x, -x], dim=1)

    ramp = np.broadcast_to(np.linspace(-1, 1, 61, dtype=np.float32), (1, 61, 61)).copy()
    plain, rotated = (
        Predictor(RightNeighbour(), device="cpu", average=average, engine="fp32")
        for average in (1, "rotations7")
    )
    center = (0, 30, 30)
    assert plain.predict(ramp)[center] > 0.515
    assert rotated.predict(ramp)[center] == pytest.approx(0.5, abs=1e-3)


def test_stream_yields_num_tiles_and_covers_the_image():
    for average in (1, 8, "rotations7"):
        predictor = Predictor(make_net(1), device="cpu", average=average, max_input=40)
        image = make_image(1, 50, 70)
        parts = list(predictor.stream(image))
        assert len(parts) == predictor.num_tiles((50, 70)) > 1
        count = np.zeros((50, 70), int)
        for write, probabilities in parts:
            assert probabilities.shape[1:] == count[write].shape
            count[write] += 1
        assert (count == 1).all()


def test_the_given_network_is_left_as_it_was():
    net = make_net(1).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    Predictor(net, device="cpu", engine="bf16").predict(make_image(1, 20, 20))
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)


def test_iterating_does_not_leak_inference_mode():
    for _ in Predictor(make_net(1), device="cpu").stream(make_image(1, 20, 20)):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_wrong_channel_count_is_refused_at_once():
    predictor = Predictor(make_net(1), device="cpu")
    with pytest.raises(ShapeError, match="image has 3 channels; the model was trained on 1"):
        predictor.stream(make_image(3, 20, 20))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"average": 4}, "average is 4; choose 1, 8 or 'rotations7'"),
        ({"activation": "relu"}, "activation is 'relu'; choose 'softmax' or 'clip'"),
        ({"engine": "fp16"}, "engine is 'fp16'; this computer has fp32"),
        ({"device": "tpu"}, "device is 'tpu'; this computer has .*cpu; choose one of these"),
        ({"device": "cpu:x"}, "device is 'cpu:x'"),
    ],
)
def test_unknown_settings_are_named(option, message):
    with pytest.raises(SettingError, match=message):
        Predictor(make_net(1), **option)


@pytest.mark.parametrize("average", [1, 8])
def test_a_block_by_itself_is_the_block_of_the_whole(average):
    image = make_image(1, 50, 61)
    predictor = Predictor(make_net(2), device="cpu", engine="fp32", average=average, max_input=60)
    whole = predictor.predict(image)

    def read(window):
        rows, columns = (
            mirror_indices(start + side.start, start + side.stop, length)
            for start, side, length in zip((16, 32), window, image.shape[1:], strict=True)
        )
        return image[:, rows[:, None], columns]

    block = np.empty((3, 30, 29), np.float32)
    for write, part in predictor.stream_block(read, (30, 29)):
        block[:, *write] = part
    np.testing.assert_allclose(block, whole[:, 16:46, 32:61], atol=1e-5)


def test_a_block_is_not_rotated():
    predictor = Predictor(make_net(1), average="rotations7")
    with pytest.raises(SettingError, match="needs the whole image in memory; choose 1 or 8"):
        predictor.stream_block(lambda window: make_image(1, 4, 4), (4, 4))

"""The sliding window: layers as published, dense and patchwise alike, centred on its pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ulens.errors import SettingError, ShapeError
from ulens.nets.shapes import Geometry
from ulens.nets.sliding_window import SlidingWindow
from ulens.predict.predictor import Predictor
from ulens.predict.tiles import read_mirrored

KERNELS = {33: (4, 4, 5), 65: (4, 4, 5), 63: (4, 5, 4, 4), 95: (4, 5, 4, 4)}


def small_net(window=33, in_channels=1, num_classes=2, seed=0) -> SlidingWindow:
    torch.manual_seed(seed)
    return SlidingWindow(in_channels, num_classes, window=window, width=6, hidden=8).eval()


def num_parameters(**settings) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in SlidingWindow(**settings).parameters())


def walk(window: int, kernels: tuple[int, ...]) -> int:
    """Side of the last map of the published network; every pooling must divide evenly."""
    size = window
    for kernel in kernels:
        size -= kernel - 1
        assert size % 2 == 0
        size //= 2
    return size


def test_number_of_parameters_of_n4():
    assert num_parameters() == 219_290


@pytest.mark.parametrize(
    ("window", "expected"), [(33, 105_578), (63, 142_490), (65, 335_978), (95, 219_290)]
)
def test_number_of_parameters_by_hand(window, expected):
    kernels = KERNELS[window]
    by_hand = sum(
        48 * (before * kernel**2 + 1)
        for before, kernel in zip((1, 48, 48, 48), kernels, strict=False)
    )
    by_hand += 200 * (48 * walk(window, kernels) ** 2 + 1) + 2 * (200 + 1)
    assert num_parameters(window=window) == by_hand == expected


@pytest.mark.parametrize("window", [*range(33, 130, 8), *range(63, 130, 16)])
def test_window_chooses_the_stages_and_the_last_map(window):
    kernels = (4, 4, 5) if window % 8 == 1 else (4, 5, 4, 4)
    with torch.device("meta"):
        net = SlidingWindow(window=window)
        assert tuple(stage.kernel_size[0] for stage in net.stages) == kernels
        assert net.hidden.kernel_size == (walk(window, kernels),) * 2
        assert net.geometry == Geometry(base=window, alignment=1, margin=(window - 1) // 2)
        for height, width in ((window, window), (window, window + 3), (window + 20, window + 1)):
            output = net(torch.empty(2, 1, height, width))
            assert output.shape == (2, 2, height - window + 1, width - window + 1)


@settings(max_examples=20, deadline=None)
@given(
    window=st.sampled_from([33, 41, 63]),
    in_channels=st.integers(1, 2),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 100),
)
def test_dense_equals_patchwise(window, in_channels, extra, batch_size, seed):
    net = small_net(window, in_channels, num_classes=3, seed=seed)
    image = torch.randn(2, in_channels, window + extra[0], window + extra[1])
    dense, patchwise = net(image).detach(), net.predict_patchwise(image, batch_size=batch_size)
    assert dense.shape == patchwise.shape == (2, 3, extra[0] + 1, extra[1] + 1)
    torch.testing.assert_close(dense, patchwise, rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", [65, 95])
def test_dense_equals_patchwise_at_full_width(window):
    torch.manual_seed(0)
    net = SlidingWindow(window=window).eval()
    image = torch.randn(1, 1, window + 2, window + 1)
    dense, patchwise = net(image).detach(), net.predict_patchwise(image, batch_size=4)
    torch.testing.assert_close(dense, patchwise, rtol=0, atol=1e-5)
    assert dense.std() > 1e-3  # neighbouring pixels are told apart


@pytest.mark.parametrize("window", [33, 63])
def test_a_batch_of_windows_is_decided_like_the_pixels_in_their_centres(window):
    net, margin = small_net(window), (window - 1) // 2
    image = torch.randn(1, 1, window + 10, window + 7)
    centres = [(margin, margin), (margin + 10, margin + 7), (margin + 3, margin + 6)]
    windows = torch.cat(
        [image[..., y - margin : y + margin + 1, x - margin : x + margin + 1] for y, x in centres]
    )
    decided, dense = net(windows), net(image)
    assert decided.shape == (3, 2, 1, 1)
    for logits, (y, x) in zip(decided, centres, strict=True):
        expected = dense[0, :, y - margin, x - margin]
        torch.testing.assert_close(logits[:, 0, 0], expected, rtol=0, atol=1e-5)


def test_a_window_costs_what_the_published_network_costs():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        SlidingWindow()(torch.empty(1, 1, 95, 95))
    layers = [(1, 4, 92), (48, 5, 42), (48, 4, 18), (48, 4, 6)]  # channels in, kernel, output
    products = sum(48 * before * kernel**2 * size**2 for before, kernel, size in layers)
    assert counter.get_total_flops() == 2 * (products + 200 * 48 * 3**2 + 2 * 200)


def test_patchwise_every_pixel_costs_a_window():
    net = small_net()
    with FlopCounterMode(display=False) as window:
        net(torch.zeros(1, 1, 33, 33))
    with FlopCounterMode(display=False) as patchwise:
        net.predict_patchwise(torch.zeros(2, 1, 35, 34), batch_size=5)
    assert patchwise.get_total_flops() == 2 * 3 * 2 * window.get_total_flops()


def test_gradients_of_windows_and_of_the_dense_network_are_the_same():
    net, image = small_net().double(), torch.randn(1, 1, 35, 34, dtype=torch.float64)
    windows = torch.cat([image[..., y : y + 33, x : x + 33] for y in range(3) for x in range(2)])
    from_windows = torch.autograd.grad(net(windows).square().sum(), list(net.parameters()))
    from_dense = torch.autograd.grad(net(image).square().sum(), list(net.parameters()))
    for first, second in zip(from_windows, from_dense, strict=True):
        torch.testing.assert_close(first, second)
        assert first.any()


@pytest.mark.parametrize("window", [33, 63])
def test_an_output_pixel_sees_its_window_and_nothing_else(window):
    """A single bright pixel lights exactly the output pixels whose window holds it."""
    net = small_net(window).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.fill_(0.1 if weight.ndim > 1 else 0.0)
    margin, (height, width) = net.geometry.margin, (window + 12, window + 9)
    rows, columns = torch.arange(height - 2 * margin), torch.arange(width - 2 * margin)
    for y, x in ((0, 0), (3, width - 4), (height // 2, width // 2), (height - 1, 5)):
        image = torch.zeros(1, 1, height, width, dtype=torch.float64)
        image[..., y, x] = 1
        is_near_y, is_near_x = (
            (places + margin - place).abs() <= margin for places, place in ((rows, y), (columns, x))
        )
        assert torch.equal(net(image)[0, 0] > 0, is_near_y[:, None] & is_near_x)


@settings(max_examples=10, deadline=None)
@given(
    window=st.sampled_from([33, 63]),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    extra=st.integers(0, 12),
)
def test_tiled_equals_whole_image(window, shape, extra):
    net = small_net(window)
    image = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    margin = net.geometry.margin
    border = tuple(slice(-margin, length + margin) for length in shape)
    mirrored = torch.from_numpy(read_mirrored(image, border))[None]
    with torch.no_grad():
        # logits of 0 on average, so that softmax hides no difference
        net.head.bias -= net(mirrored).mean((0, 2, 3))
        whole = net(mirrored)[0].softmax(0).numpy()
    predictor = Predictor(net, device="cpu", engine="fp32", max_input=window + extra)
    np.testing.assert_allclose(predictor.predict(image), whole, rtol=0, atol=1e-5)


def test_he_initialisation():
    torch.manual_seed(0)
    net = SlidingWindow()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            expected, count = math.sqrt(2 / module.weight[0].numel()), module.weight.numel()
            five_sigma = 5 * expected / math.sqrt(2 * count)
            assert module.weight.std().item() == pytest.approx(expected, abs=five_sigma)
            assert not module.bias.any()


@pytest.mark.parametrize("window", [0, 25, 31, 32, 47, 64, 96])
def test_a_window_that_fits_no_layers_is_refused(window):
    with pytest.raises(SettingError) as error:
        SlidingWindow(window=window)
    assert str(error.value) == (
        f"window is {window}; SlidingWindow takes 8s+25 (three stages) and 16s+47 (four stages), "
        "s = 1, 2, 3, …; choose for instance 33, 65 or 95"
    )


@pytest.mark.parametrize("name", ["in_channels", "num_classes", "width", "hidden"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(SettingError) as error:
        SlidingWindow(**{name: 0})
    assert str(error.value) == f"{name} is 0; SlidingWindow needs at least 1"


def test_a_batch_without_windows_is_refused():
    with pytest.raises(SettingError) as error:
        small_net().predict_patchwise(torch.zeros(1, 1, 40, 40), batch_size=0)
    assert str(error.value) == "batch_size is 0; predict_patchwise needs at least 1 window"


@pytest.mark.parametrize("method", ["forward", "predict_patchwise"])
def test_an_image_smaller_than_the_window_is_refused(method):
    net, arguments = small_net(), {"batch_size": 4} if method == "predict_patchwise" else {}
    with pytest.raises(ShapeError) as error:
        getattr(net, method)(torch.zeros(1, 1, 40, 32), **arguments)
    assert str(error.value) == (
        "image is 40×32; SlidingWindow(window=33) takes every size from 33 up; "
        "pad to 40×33 (output 8×1) or call segment(), which mirrors and tiles for you"
    )

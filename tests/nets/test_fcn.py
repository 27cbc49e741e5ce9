"""The fully convolutional networks: layers as published, margins measured, no seams."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ulens.errors import SettingError, ShapeError
from ulens.nets.fcn import FCN8s, FCNAlexNet
from ulens.predict.predictor import Predictor
from ulens.predict.tiles import read_mirrored

SMALL_WIDTHS = {FCN8s: 2, FCNAlexNet: 6}
BOTH = pytest.mark.parametrize("kind", SMALL_WIDTHS)
SCORES = ("score_fc7", "score_pool4", "score_pool3")

TWO, THREE = [(3, 1), (3, 1), (2, 2)], [(3, 1), (3, 1), (3, 1), (2, 2)]
LAYERS = {  # (kernel, stride) of each layer up to fc7
    FCN8s: [*TWO, *TWO, *THREE, *THREE, *THREE, (7, 1), (1, 1)],
    FCNAlexNet: [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2), (6, 1), (1, 1)],
}


def small_net(kind, **settings):
    torch.manual_seed(0)
    return kind(width=SMALL_WIDTHS[kind], **settings).eval()


def averaging_net(kind, keep="score_fc7"):
    """Every layer an average of what it sees, one score kept: linear, exact in float64."""
    net = small_net(kind, num_classes=1).double()
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride))
            if isinstance(child, nn.Conv2d):
                is_silent = name in SCORES and name != keep
                nn.init.constant_(child.weight, 0 if is_silent else 1 / child.weight[0].numel())
    return net


def count(kind, in_channels) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in kind(in_channels).parameters())


def count_by_hand(*layers: tuple[int, int, int]) -> int:
    """Parameters of convolutions given as (channels in, channels out, kernel)."""
    return sum(after * (before * kernel**2 + 1) for before, after, kernel in layers)


@pytest.mark.parametrize(("in_channels", "expected"), [(1, 134_269_126), (3, 134_270_278)])
def test_number_of_parameters_of_fcn_8s(in_channels, expected):
    channels = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    vgg = [(a, b, 3) for a, b in zip([in_channels, *channels], channels, strict=False)]
    full = [(512, 4096, 7), (4096, 4096, 1), (4096, 2, 1), (512, 2, 1), (256, 2, 1)]
    assert count(FCN8s, in_channels) == count_by_hand(*vgg, *full) == expected


@pytest.mark.parametrize(("in_channels", "expected"), [(1, 58_266_306), (3, 58_289_538)])
def test_number_of_parameters_of_fcn_alexnet(in_channels, expected):
    layers = [(in_channels, 96, 11), (96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3)]
    layers += [(256, 4096, 6), (4096, 4096, 1), (4096, 2, 1)]
    assert count(FCNAlexNet, in_channels) == count_by_hand(*layers) == expected


@pytest.mark.parametrize(
    ("kind", "width", "expected"),
    [
        (FCN8s, 3, [3, 3, 6, 6, 12, 12, 12, 24, 24, 24, 24, 24, 24, 192, 192, 2, 2, 2]),
        (FCNAlexNet, 10, [10, 27, 40, 40, 27, 427, 427, 2]),
        (FCNAlexNet, 1, [1, 3, 4, 4, 3, 43, 43, 2]),
    ],
)
def test_width_scales_every_layer(kind, width, expected):
    with torch.device("meta"):
        net = kind(width=width)
    assert [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)] == expected


@BOTH
def test_layers_are_those_published_and_unpadded(kind):
    with torch.device("meta"):
        net = kind()
    leaves = [module for module in net.modules() if not list(module.children())]
    assert {type(module) for module in leaves} == {nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Dropout}
    sliding = [m for m in leaves if isinstance(m, (nn.Conv2d, nn.MaxPool2d))]
    assert all(m.padding in (0, (0, 0)) for m in sliding)
    scores = [getattr(net, name) for name in SCORES if hasattr(net, name)]
    found = [(np.max(m.kernel_size), np.max(m.stride)) for m in sliding if m not in scores]
    assert found == LAYERS[kind]
    assert [m.p for m in leaves if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def divides_evenly(size: int, layers) -> bool:
    for kernel, stride in layers:
        if size < kernel or (size - kernel) % stride:
            return False
        size = (size - kernel) // stride + 1
    return True


@BOTH
def test_valid_sizes_are_those_that_every_layer_divides_evenly(kind):
    for size in range(kind.geometry_of({}).base, 1000):
        assert kind.geometry_of({}).is_valid(size) == divides_evenly(size, LAYERS[kind])


@BOTH
def test_output_is_the_input_less_two_margins(kind):
    base, margin = kind.geometry_of({}).base, kind.geometry_of({}).margin
    for y, x in ((base, base), (base + 32, base + 96), (base + 224, base + 64)):
        with torch.device("meta"):
            output = kind(3, 5)(torch.empty(2, 3, y, x))
        assert output.shape == (2, 5, y - 2 * margin, x - 2 * margin)


@pytest.mark.parametrize(
    ("kind", "score"), [(FCNAlexNet, "score_fc7"), *((FCN8s, score) for score in SCORES)]
)
def test_each_output_pixel_lies_at_its_index_plus_the_margin(kind, score):
    """Averages and bilinear interpolation keep a ramp: the output reads its own position."""
    net, geometry = averaging_net(kind, keep=score), kind.geometry_of({})
    height, width = geometry.base + 32, geometry.base + 64
    rows, columns = (torch.arange(length, dtype=torch.float64) for length in (height, width))
    ramps = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[:, None]
    with torch.no_grad():
        y, x = net(ramps)[:, 0]
    inner = slice(geometry.margin, -geometry.margin)
    torch.testing.assert_close(y, rows[inner, None].expand_as(y), rtol=0, atol=1e-9)
    torch.testing.assert_close(x, columns[None, inner].expand_as(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "score", "pixel", "seen"),
    [
        # between two centres 32, 16, 8 px apart, each ± half of 404, 100, 44 px
        (FCN8s, "score_fc7", 0, (0, 435)),
        (FCN8s, "score_pool4", 0, (160, 275)),
        (FCN8s, "score_pool3", 0, (192, 243)),
        (FCN8s, "score_fc7", 39, (32, 467)),
        # on a centre the score there alone, between two both
        (FCNAlexNet, "score_fc7", 0, (0, 354)),
        (FCNAlexNet, "score_fc7", 1, (0, 386)),
        (FCNAlexNet, "score_fc7", 32, (32, 386)),
    ],
)
def test_receptive_field_by_gradient(kind, score, pixel, seen):
    size = kind.geometry_of({}).base + 32
    image = torch.ones(
        1, 1, kind.geometry_of({}).base, size, dtype=torch.float64, requires_grad=True
    )
    averaging_net(kind, keep=score)(image)[..., pixel].sum().backward()
    hit = image.grad[0, 0].sum(dim=0).nonzero().flatten()
    assert (int(hit[0]), int(hit[-1])) == seen


@BOTH
def test_shifting_the_input_by_the_alignment_and_by_no_less_shifts_the_output(kind):
    net, step = small_net(kind).double(), kind.geometry_of({}).alignment
    size = kind.geometry_of({}).base + 2 * step
    image = torch.rand(1, 1, kind.geometry_of({}).base, size + step, dtype=torch.float64)

    def column_error(shift: int) -> float:
        still, moved = net(image[..., :size]), net(image[..., shift : shift + size])
        difference = still[..., shift:] - moved[..., : moved.shape[-1] - shift]
        return (difference.abs().max() / still.std()).item()

    with torch.no_grad():
        assert column_error(step) < 1e-12
        assert all(column_error(shift) > 1e-3 for shift in (1, 2, 4, 8, 16, 31))


def balanced_net(kind, image):
    """A network whose logits are 0 on average, so that softmax hides no difference.

    Returns it with its probabilities of the whole (C, Y, X) image, computed in one piece.
    """
    net, geometry = small_net(kind), kind.geometry_of({})
    sizes = [geometry.input_size(length) for length in image.shape[1:]]
    border = tuple(slice(-geometry.margin, size - geometry.margin) for size in sizes)
    mirrored = torch.from_numpy(read_mirrored(image, border))[None]
    with torch.no_grad():
        net.score_fc7.bias -= net(mirrored).mean((0, 2, 3))
        whole = net(mirrored)[0].softmax(0).numpy()
    return net, whole[:, : image.shape[1], : image.shape[2]]


@BOTH
@pytest.mark.parametrize("shape", [(1, 97), (77, 5), (71, 103)])
def test_tiled_equals_whole_image(kind, shape):
    image = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    net, whole = balanced_net(kind, image)
    predictor = Predictor(
        net, device="cpu", engine="fp32", max_input=kind.geometry_of({}).base + 32
    )
    assert predictor.num_tiles(shape) > 1
    assert whole.std(axis=(1, 2)).min() > 3e-3
    np.testing.assert_allclose(predictor.predict(image), whole, rtol=0, atol=1e-5)


@BOTH
def test_many_tiles_equal_one_in_the_mean_over_the_8_views(kind):
    image = np.random.default_rng(0).standard_normal((1, 45, 67), np.float32)
    net, _ = balanced_net(kind, image)
    tiled, whole = (
        Predictor(net, device="cpu", engine="fp32", average=8, max_input=size).predict(image)
        for size in (kind.geometry_of({}).base + 32, 2000)
    )
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


@BOTH
def test_he_initialisation(kind):
    torch.manual_seed(0)
    for module in kind(width=12).modules():
        if isinstance(module, nn.Conv2d):
            expected, number = math.sqrt(2 / module.weight[0].numel()), module.weight.numel()
            five_sigma = 5 * expected / math.sqrt(2 * number)
            assert module.weight.std().item() == pytest.approx(expected, abs=five_sigma)
            assert not module.bias.any()


@BOTH
def test_dropout_acts_in_training_alone_and_gradients_reach_every_weight(kind):
    net, image = small_net(kind), torch.rand(1, 1, *(kind.geometry_of({}).base + 32,) * 2)
    assert torch.equal(net(image), net(image))
    net.train()(image).square().sum().backward()
    assert not torch.equal(net(image), net(image))
    assert all(weight.grad.any() for weight in net.parameters() if weight.ndim > 1)


@BOTH
@pytest.mark.parametrize("name", ["in_channels", "num_classes", "width"])
def test_counts_below_one_are_refused(kind, name):
    with pytest.raises(SettingError) as error:
        kind(**{name: 0})
    assert str(error.value) == f"{name} is 0; {kind.__name__} needs at least 1"


@BOTH
def test_an_invalid_size_is_named_with_what_to_do(kind):
    sizes, proposal = {
        FCN8s: ("32k+436", "532×436 (output 104×8)"),
        FCNAlexNet: ("32k+355", "515×387 (output 161×33)"),
    }[kind]
    with torch.device("meta"), pytest.raises(ShapeError) as error:
        kind(width=3)(torch.empty(1, 1, 512, 356))
    assert str(error.value) == (
        f"image is 512×356; {kind.__name__} takes sizes {sizes}, k = 0, 1, 2, …; "
        f"pad to {proposal} or call segment(), which mirrors and tiles for you"
    )

"""The network is the paper's: layers, sizes, initialisation, dropout, margin, alignment."""

import math

import pytest
import torch
from torch import Tensor, nn

from ulens.errors import SettingError, ShapeError
from ulens.nets.layers import centre_crop
from ulens.nets.unet import UNet

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def meta_net(**settings) -> UNet:
    with torch.device("meta"):
        return UNet(**settings)


def record_shapes(net: UNet, kinds: tuple[type[nn.Module], ...], size: int) -> list[torch.Size]:
    """Shapes that leave the modules of `kinds` when `net` runs on a tile of `size`."""
    shapes: list[torch.Size] = []
    for module in net.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
    device = next(net.parameters()).device
    net(torch.zeros(1, net.in_channels, size, size, device=device))
    return shapes


def double_net(depth: int = 2, **settings) -> UNet:
    """A small network in float64 and evaluation mode, for exact comparisons."""
    torch.manual_seed(0)
    return UNet(width=3, depth=depth, **settings).double().eval()


def test_number_of_parameters():
    assert sum(weight.numel() for weight in meta_net().parameters()) == 31_030_658


def test_23_convolutional_layers():
    kinds = [
        (type(module), module.kernel_size)
        for module in meta_net().modules()
        if isinstance(module, CONVOLUTIONS)
    ]
    assert kinds.count((nn.Conv2d, (3, 3))) == 18
    assert kinds.count((nn.ConvTranspose2d, (2, 2))) == 4
    assert kinds.count((nn.Conv2d, (1, 1))) == 1
    assert len(kinds) == 23


def test_every_layer_is_a_convolution_a_relu_a_pooling_or_dropout():
    leaves = [module for module in meta_net().modules() if not list(module.children())]
    assert {type(m) for m in leaves} == {*CONVOLUTIONS, nn.ReLU, nn.MaxPool2d, nn.Dropout}


def test_a_relu_follows_every_3x3_convolution_and_no_other():
    seen: list[tuple[type, object]] = []
    net = UNet(width=2, depth=2)
    for module in net.modules():
        if isinstance(module, (*CONVOLUTIONS, nn.ReLU)):
            kernel = getattr(module, "kernel_size", None)
            module.register_forward_hook(lambda m, _, __, k=kernel: seen.append((type(m), k)))
    net(torch.zeros(1, 1, 44, 44))
    for (kind, kernel), (following, _) in zip(seen, [*seen[1:], (None, None)], strict=True):
        if kind is not nn.ReLU:
            assert (following is nn.ReLU) == (kernel == (3, 3))


def test_every_relu_has_the_slope():
    leaves = [
        module for module in meta_net(negative_slope=0.2).modules() if not [*module.children()]
    ]
    slopes = [module.negative_slope for module in leaves if isinstance(module, nn.LeakyReLU)]
    assert slopes == 18 * [0.2]


def test_with_a_slope_channels_that_are_negative_everywhere_still_learn():
    for slope, is_alive in ((0.0, False), (0.01, True)):
        net = UNet(width=2, depth=2, negative_slope=slope)
        last = net.down[-1][2]
        with torch.no_grad():
            last.bias.fill_(-100.0)
        net(torch.rand(1, 1, 44, 44)).square().sum().backward()
        assert bool(last.weight.grad.any()) is is_alive


def test_sizes_and_channels_from_572_to_388():
    shapes = record_shapes(meta_net(), (*CONVOLUTIONS, nn.MaxPool2d), 572)
    down = [(64, 570), (64, 568), (64, 284), (128, 282), (128, 280), (128, 140)]
    down += [(256, 138), (256, 136), (256, 68), (512, 66), (512, 64), (512, 32)]
    down += [(1024, 30), (1024, 28)]
    up = [(512, 56), (512, 54), (512, 52), (256, 104), (256, 102), (256, 100)]
    up += [(128, 200), (128, 198), (128, 196), (64, 392), (64, 390), (64, 388), (2, 388)]
    assert [(shape[1], shape[2]) for shape in shapes] == down + up
    assert all(shape[2] == shape[3] for shape in shapes)


def test_skip_connection_comes_first_and_is_cropped_at_the_centre():
    net = double_net(depth=1)
    caught: dict[str, Tensor] = {}
    net.down[0].register_forward_hook(lambda _, __, output: caught.update(skip=output))
    net.up[0].register_forward_hook(lambda _, __, output: caught.update(up=output))
    net.merge[0].register_forward_hook(lambda _, inputs, __: caught.update(merged=inputs[0]))
    net(torch.rand(1, 1, 20, 20, dtype=torch.float64))
    assert caught["skip"].shape[-1] == 16
    assert torch.equal(caught["merged"][:, :3], caught["skip"][..., 4:12, 4:12])
    assert torch.equal(caught["merged"][:, 3:], caught["up"])


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_smallest_size(depth):
    net = meta_net(width=1, depth=depth)
    base, output = net.geometry.base, net.geometry.output_size(net.geometry.base)
    assert net(torch.empty(1, 1, base, base, device="meta")).shape == (1, 2, output, output)
    with pytest.raises(ShapeError):
        net(torch.empty(1, 1, base - net.geometry.alignment, base, device="meta"))


def test_channels_classes_and_unequal_sides():
    net = UNet(3, 5, width=2, depth=2)
    assert net(torch.zeros(2, 3, 44, 60)).shape == (2, 5, 4, 20)


@pytest.mark.parametrize(
    ("height", "width", "proposal"),
    [
        (300, 301, "300×316 (output 116×132)"),
        (301, 301, "316×316 (output 132×132)"),
        (1, 572, "188×572 (output 4×388)"),
    ],
)
def test_an_invalid_size_is_named_with_what_to_do(height, width, proposal):
    with pytest.raises(ShapeError) as error:
        meta_net(width=1)(torch.empty(1, 1, height, width, device="meta"))
    assert str(error.value) == (
        f"image is {height}×{width}; UNet(depth=4) takes sizes 16k+188, k = 0, 1, 2, …; "
        f"pad to {proposal} or call segment(), which mirrors and tiles for you"
    )


@pytest.mark.parametrize("name", ["in_channels", "num_classes", "width", "depth"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(SettingError) as error:
        UNet(**{name: 0})
    assert str(error.value) == f"{name} is 0; UNet needs at least 1"


def test_he_initialisation():
    torch.manual_seed(0)
    net = UNet(width=32, depth=2)
    for module in net.modules():
        if isinstance(module, CONVOLUTIONS):
            # what one output unit sums over, read off the weight and not off the layer's settings
            is_up = isinstance(module, nn.ConvTranspose2d)
            nodes = module.weight.shape[0] if is_up else module.weight[0].numel()
            expected, count = math.sqrt(2 / nodes), module.weight.numel()
            five_sigma = 5 * expected / math.sqrt(2 * count)
            assert module.weight.std().item() == pytest.approx(expected, abs=five_sigma)
            assert abs(module.weight.mean().item()) < 5 * expected / math.sqrt(count)
            assert not module.bias.any()


def test_activations_neither_vanish_nor_explode():
    torch.manual_seed(0)
    net = UNet(width=16, depth=3).eval()
    spread = net(torch.randn(1, 1, 124, 124)).std().item()
    assert 0.1 < spread < 10


def test_dropout_acts_after_the_last_two_contracting_stages_alone():
    shapes = record_shapes(meta_net(), (nn.Dropout,), 572)
    assert [tuple(shape[1:]) for shape in shapes] == [(512, 64, 64), (1024, 28, 28)]


def test_dropout_acts_in_training_alone():
    net = double_net()
    image = torch.rand(1, 1, 60, 60, dtype=torch.float64)
    assert torch.equal(net(image), net(image))
    without = double_net(dropout=0.0)
    assert torch.equal(net(image), without(image))
    assert torch.equal(without.train()(image), without.eval()(image))
    assert not torch.equal(net.train()(image), net(image))


@pytest.mark.parametrize("depth", [1, 2])
def test_margin_by_gradient(depth):
    """No input pixel is wasted, and an output pixel lies `margin` further in than its index."""
    net = double_net(depth)
    net.pool = nn.AvgPool2d(2)  # a maximum hides three of four pixels from the gradient
    with torch.no_grad():
        for weight in net.parameters():
            weight.fill_(0.1)
    geometry = net.geometry
    size = geometry.base + 2 * geometry.alignment
    assert _influence(net, size, slice(None)) == (0, size - 1)
    # with the deeper levels silenced an output pixel sees its own place ± four convolutions
    for up in net.up:
        nn.init.zeros_(up.weight)
    for pixel in (0, 1, geometry.output_size(size) - 1):
        centre = pixel + geometry.margin
        assert _influence(net, size, slice(pixel, pixel + 1)) == (centre - 4, centre + 4)


def _influence(net: UNet, size: int, columns: slice) -> tuple[int, int]:
    """First and last input column that changes the output's `columns`."""
    image = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    net(image)[..., columns].sum().backward()
    assert image.grad is not None
    hit = image.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    return int(hit[0]), int(hit[-1])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_alignment_is_the_smallest_shift_that_leaves_the_function_the_same(depth):
    net = double_net(depth)
    step = net.geometry.alignment
    assert step == 2**depth
    size = net.geometry.base + 3 * step
    image = torch.rand(1, 1, size, size + 2 * step, dtype=torch.float64)

    def column_error(shift: int) -> float:
        """Largest difference where the outputs of a tile and of its shifted copy overlap."""
        still, moved = net(image[..., :size]), net(image[..., shift : shift + size])
        return (still[..., shift:] - moved[..., : moved.shape[-1] - shift]).abs().max().item()

    with torch.no_grad():
        assert column_error(step) < 1e-12
        assert column_error(2 * step) < 1e-12
        assert all(column_error(shift) > 1e-3 for shift in range(1, step))


@pytest.mark.parametrize(("height", "width"), [(5, 7), (3, 1), (4, 4)])
def test_centre_crop_is_central(height, width):
    image = torch.arange(11 * 13).reshape(1, 11, 13)
    top, left = (11 - height) // 2, (13 - width) // 2
    expected = image[:, top : top + height, left : left + width]
    assert torch.equal(centre_crop(image, (height, width)), expected)


def test_gradient_of_centre_crop_keeps_the_channels_last_layout():
    image = torch.randn(1, 8, 12, 10).contiguous(memory_format=torch.channels_last)
    image.requires_grad_()
    centre_crop(image, (5, 4)).sum().backward()
    assert image.grad.is_contiguous(memory_format=torch.channels_last)
    assert image.grad.sum() == 8 * 5 * 4

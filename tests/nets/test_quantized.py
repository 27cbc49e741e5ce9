import pytest
import torch
from torch import nn

from ulens.nets.quantized import QuantizedConvolution, equalize, measure_inputs, quantize
from ulens.nets.unet import UNet


def make_net(**settings):
    torch.manual_seed(0)
    return UNet(width=4, depth=1, **settings).eval().requires_grad_(False)


def a_convolution(weight, bias=0.0, *, transposed=False):
    convolution = nn.ConvTranspose2d(1, 1, 1) if transposed else nn.Conv2d(1, 1, 1)
    nn.init.constant_(convolution.weight, weight)
    nn.init.constant_(convolution.bias, bias)
    return convolution.requires_grad_(False)


@pytest.mark.parametrize("step", [1.0, 2.0**-10])
@pytest.mark.parametrize("transposed", [False, True])
def test_inputs_are_rounded_to_256_steps_of_their_range_and_clipped_to_it(transposed, step):
    convolution = a_convolution(0.5, bias=1.0, transposed=transposed)
    quantized = QuantizedConvolution(convolution, 0.0, 255 * step)
    x = step * torch.tensor([0.0, 3.4, 3.6, 255.0, 300.0, -7.0])[None, None, None]
    expected = 1 + 0.5 * step * torch.tensor([0.0, 3.0, 4.0, 255.0, 255.0, 0.0])
    torch.testing.assert_close(quantized(x).flatten(), expected)


def test_zero_stays_zero_whatever_the_range():
    for low, high in ((-1.3, 7.1), (2.0, 9.0), (-5.0, -3.0)):
        quantized = QuantizedConvolution(a_convolution(0.7), low, high)
        assert not quantized(torch.zeros(1, 1, 1, 1)).any()


def test_weights_have_a_scale_for_each_output_channel():
    for transposed in (False, True):
        kind = nn.ConvTranspose2d if transposed else nn.Conv2d
        convolution = kind(2, 2, 1, bias=False).requires_grad_(False)
        weight = torch.tensor([[100.0, 0.3], [0.001, 0.002]])  # row: output channel
        convolution.weight.copy_((weight.T if transposed else weight)[..., None, None])
        x = torch.tensor([0.0, 1.0])[None, :, None, None]
        found = QuantizedConvolution(convolution, 0.0, 1.0)(x).flatten()
        # 0.3 is lost between steps of 100 / 64; the small channel has small steps
        torch.testing.assert_close(found, torch.tensor([0.0, 0.002]))


def test_only_the_named_convolutions_of_a_copy_change():
    net = make_net()
    names = ("down.0.2", "up.0")
    quantized = quantize(net, dict.fromkeys(names, (0.0, 1.0)))
    found = [n for n, m in quantized.named_modules() if isinstance(m, QuantizedConvolution)]
    assert tuple(found) == names
    assert not any(isinstance(module, QuantizedConvolution) for module in net.modules())
    assert quantized.geometry == net.geometry


def test_the_whole_network_in_8_bits_computes_nearly_the_same():
    net = make_net(negative_slope=0.01)
    x = torch.randn(1, 1, 60, 60, generator=torch.Generator().manual_seed(1))
    inputs = measure_inputs(net, [x])
    ranges = {name: (each.low, each.high) for name, each in inputs.items()}
    assert len(ranges) == 8
    exact, rounded = net(x), quantize(net, ranges)(x)
    assert 0 < (exact - rounded).abs().mean() < 0.02 * exact.abs().mean()


def test_a_few_large_values_do_not_coarsen_the_steps_of_all_others():
    def highest(largest):
        x = torch.rand(1, 1, 260, 260, generator=torch.Generator().manual_seed(1))
        x[0, 0, 0, 0] = largest
        return measure_inputs(make_net(), [x])["down.0.0"].high

    assert highest(1.0) == 1.0
    # to clip one of 67,600 values costs less than the finer steps of the others gain
    assert highest(1.2) == pytest.approx(0.9 * 1.2)


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_equal_ranges_change_no_bit_and_harm_8_bits_less(slope):
    torch.manual_seed(0)
    net = UNet(width=4, depth=2, negative_slope=slope).eval().requires_grad_(False)
    factors = torch.tensor([0.01, 0.1, 1.0, 10.0])
    for stage in (net.down[0], net.down[1], net.merge[0], net.merge[1]):
        factor = factors.repeat(len(stage[0].weight) // 4)  # what one grows by, the next takes back
        stage[0].weight.mul_(factor[:, None, None, None])
        stage[0].bias.normal_().mul_(factor)
        stage[2].weight.div_(factor[:, None, None])
    x = torch.randn(1, 1, 76, 76, generator=torch.Generator().manual_seed(1))
    equal = equalize(net, [x])
    assert torch.equal(equal(x), net(x))
    assert not torch.equal(equal.down[0][0].weight, net.down[0][0].weight)

    def error(of):
        inputs = measure_inputs(of, [x])
        ranges = {name: (each.low, each.high) for name, each in inputs.items()}
        return (quantize(of, ranges)(x) - net(x)).abs().mean()

    assert error(equal) < 0.7 * error(net)


def test_channels_that_are_always_zero_stay_as_they_are():
    net = make_net()
    net.down[0][0].weight[1] = 0
    net.down[0][0].bias[1] = 0
    equal = equalize(net, [torch.randn(1, 1, 28, 28)])
    assert all(parameter.isfinite().all() for parameter in equal.parameters())
    assert not equal.down[0][0].weight[1].any()


def test_multiplications_are_counted_where_they_happen():
    inputs = measure_inputs(make_net(), 2 * [torch.zeros(1, 1, 28, 28)])
    # 28 → 26 → 24, pooled 12 → 10 → 8, up 16 → 14 → 12
    assert inputs["down.0.0"].multiplications == 2 * 26**2 * 9 * 4
    assert inputs["up.0"].multiplications == 2 * 8**2 * 4 * 8 * 4
    assert inputs["head"].multiplications == 2 * 12**2 * 4 * 2


@pytest.mark.parametrize(
    ("values", "range_"),
    [((-1.0, 3.0, 0.5), (-1, 3)), ((0.25, 0.5), (0, 0.5)), ((-0.5, -0.25), (-0.5, 0))],
)
def test_the_range_is_that_of_all_windows_and_holds_0(values, range_):
    windows = [value * torch.ones(1, 1, 28, 28) for value in values]
    first = measure_inputs(make_net(), windows)["down.0.0"]
    # two or three values that lie near steps of the whole range are best left unclipped
    assert (first.low, first.high) == range_


def test_measuring_leaves_the_network_in_training():
    net = make_net().train()
    measure_inputs(net, [torch.zeros(1, 1, 28, 28)])
    equalize(net, [torch.zeros(1, 1, 28, 28)])
    assert all(module.training for module in net.modules())


def test_channels_are_scaled_by_powers_of_two_near_the_square_root_of_their_share():
    net = make_net()
    net.down[0][0].weight.zero_()
    # of the largest value: all, 1/64, too little to be told from a channel that is 0, and nothing
    net.down[0][0].bias.copy_(torch.tensor([4.0, 4 / 64, 2.0**-40, 0.0]))
    equal = equalize(net, [torch.zeros(1, 1, 28, 28)])
    assert equal.down[0][0].bias.tolist() == [4.0, 4 / 8, 2.0**-32, 0.0]
    taken_up = equal.down[0][2].weight / net.down[0][2].weight
    scales = torch.tensor([1.0, 1 / 8, 2.0**-8, 1.0])[:, None, None]
    torch.testing.assert_close(taken_up[0], scales.expand(4, 3, 3))

import copy

import pytest
import torch
from torch import nn

from ulens.nets.normalized import (
    NormalizedConvolution,
    adopt,
    fold,
    freeze,
    measure_outputs,
    normalize,
)
from ulens.nets.unet import UNet

SIZE = 60


def a_net():
    torch.manual_seed(0)
    return UNet(width=4, depth=2, negative_slope=0.01)


def normalized():
    net = a_net().eval()
    normalize(net)
    return net


def tiles(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, 1, SIZE, SIZE, generator=generator)


def vary(net):
    """Draw all means and deviations, so that no channel is as at the beginning."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, NormalizedConvolution):
            nn.init.normal_(module.bias)
            nn.init.normal_(module.scale)
    return net


def weights_of(net):
    return dict(net.named_parameters())


def test_an_output_has_the_learned_mean_and_deviation_in_every_tile():
    torch.manual_seed(0)
    convolution = NormalizedConvolution(nn.Conv2d(2, 3, 3))
    nn.init.normal_(convolution.bias)
    nn.init.uniform_(convolution.scale, 0.5, 2)
    output = convolution(torch.randn(2, 2, 20, 20) * torch.tensor([1.0, 5.0])[:, None, None, None])
    variance, mean = torch.var_mean(output, (-2, -1), correction=0)
    torch.testing.assert_close(mean, convolution.bias.expand(2, 3))
    torch.testing.assert_close(variance.sqrt(), convolution.scale.expand(2, 3), rtol=1e-3, atol=0)


def test_a_tile_is_normalised_alone():
    net = vary(normalized())
    both = tiles(2)
    for _ in ("at first", "after measuring"):
        torch.testing.assert_close(net(both), torch.cat([net(both[:1]), net(both[1:])]))
        measure_outputs(net, weights_of(net), both)


def test_only_convolutions_before_a_relu_are_normalised():
    net = normalized()
    names = {n for n, m in net.named_modules() if isinstance(m, NormalizedConvolution)}
    stages = [f"down.{i}" for i in range(3)] + [f"merge.{i}" for i in range(2)]
    assert names == {f"{stage}.{place}" for stage in stages for place in (0, 2)}


def test_folded_weights_compute_the_same_on_the_tile_whose_moments_they_have():
    net = vary(normalized())
    tile = tiles(1)
    plain = a_net().eval()
    plain.load_state_dict(fold(weights_of(net), measure_outputs(net, weights_of(net), tile)))
    torch.testing.assert_close(plain(tile), net(tile), rtol=1e-3, atol=1e-3)


def test_frozen_it_computes_what_folded_weights_do_on_every_tile():
    net = vary(normalized())
    moments = measure_outputs(net, weights_of(net), tiles(3))
    plain = a_net().eval()
    plain.load_state_dict(fold(weights_of(net), moments))
    others = tiles(2, seed=5)
    before = net(others)
    freeze(net, moments)
    torch.testing.assert_close(net(others), plain(others))
    assert not torch.allclose(net(others), before, atol=1e-3)
    freeze(net, {})
    torch.testing.assert_close(net(others), before)


def test_moments_are_those_of_all_tiles_together():
    net = a_net()
    net.down[0][0].weight.data[:] = 0
    net.down[0][0].weight.data[:, :, 1, 1] = 1  # hands the image on
    normalize(net)
    both = tiles(2) * torch.tensor([1.0, 3.0])[:, None, None, None] + 2
    mean, variance = measure_outputs(net, weights_of(net), both)["down.0.0"]
    inner = both[..., 1:-1, 1:-1]
    torch.testing.assert_close(mean, inner.mean().expand(4))
    torch.testing.assert_close(variance, inner.var(correction=0).expand(4))


@pytest.mark.parametrize("num_constant", [0, 5, 9])
def test_constant_tiles_do_not_blow_the_others_up(num_constant):
    net = normalized()
    shown = tiles(10)
    shown[:num_constant] = -0.5
    moments = measure_outputs(net, weights_of(net), shown)
    before = net(shown[-1:]).std()
    freeze(net, moments)
    assert net(shown[-1:]).std() < 5 * before


def test_measuring_takes_the_weights_given_and_leaves_those_of_the_network():
    net = vary(normalized())
    before = copy.deepcopy(net.state_dict())
    others = {name: 2 * value for name, value in net.named_parameters()}
    mean, _ = measure_outputs(net, others, tiles(2))["down.0.0"]
    own, _ = measure_outputs(net, weights_of(net), tiles(2))["down.0.0"]
    torch.testing.assert_close(mean, 2 * own)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_moments_need_all_weights():
    net = normalized()
    weights = weights_of(net)
    del weights["head.bias"]
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        measure_outputs(net, weights, tiles(1))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_gradients_reach_all_weights(precision):
    net = normalized()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        output = net(tiles(2))
    output.float().square().sum().backward()
    for name, value in net.named_parameters():
        if name.startswith("up.") and name.endswith("bias"):
            assert not value.requires_grad  # the next normalisation takes it away
        else:
            assert value.grad is not None, name
            assert torch.isfinite(value.grad).all(), name


def test_a_network_that_was_trained_without_keeps_its_function():
    net = a_net().eval()
    with torch.no_grad():
        for value in net.parameters():
            value += 0.1 * torch.randn_like(value)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    seen = tiles(3)
    expected = net(seen)
    normalize(net)
    adopt(net, seen)
    moments = measure_outputs(net, weights_of(net), seen)
    kept = fold(weights_of(net), moments)
    for name, value in before.items():
        torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-6)
    freeze(net, moments)
    torch.testing.assert_close(net(seen), expected, rtol=1e-4, atol=1e-5)

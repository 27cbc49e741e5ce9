import pytest
import torch

from ulens.nets.quantized import quantize
from ulens.nets.unet import UNet
from ulens.predict.engine_choice import Tolerance, differences
from ulens.training.quantization import SHARE_OF_ALLOWED, find_int8


@pytest.fixture
def net():
    torch.manual_seed(0)
    return UNet(width=4, depth=1).eval().requires_grad_(False)


@pytest.fixture
def windows():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 1, 60, 60, generator=generator) for _ in range(2)]


def test_all_are_taken_where_nothing_is_asked_and_none_where_all_is(net, windows):
    lenient, strict = Tolerance(difference=1.0, agreement=0.0), Tolerance(difference=0, agreement=1)
    assert len(find_int8(net, windows, "softmax", lenient)) == 8
    assert find_int8(net, windows, "softmax", strict) == {}


def test_as_many_as_keep_the_maps(net, windows):
    int8 = find_int8(net, windows, "softmax", Tolerance(difference=2e-3, agreement=0.996))
    assert 0 < len(int8) < 8
    exact = torch.stack([net(x)[0].softmax(0) for x in windows]).numpy()
    found = torch.stack([quantize(net, int8)(x)[0].softmax(0) for x in windows]).numpy()
    difference, disagreement = differences(exact, found, "softmax")
    assert difference <= SHARE_OF_ALLOWED * 2e-3
    assert disagreement <= SHARE_OF_ALLOWED * 0.004


def test_one_that_rounding_harms_is_left_out(net, windows):
    # a weight far larger than those of the same output channel takes their steps away
    net.merge[0][0].weight[:, 0, 1, 1] *= 1e4
    net.down[0][2].weight[0] *= 1e-4
    net.down[0][2].bias[0] = 0
    allowed = Tolerance(difference=4e-3, agreement=0.9)
    assert "merge.0.0" not in find_int8(net, windows, "softmax", allowed)

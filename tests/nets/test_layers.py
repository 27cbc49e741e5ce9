import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ulens.nets.layers import centre_crop, he_initialise


def test_a_network_without_weights_does_not_load_the_compiler():
    code = (
        "import sys, torch; from ulens.nets.unet import UNet;"
        "torch.set_default_device('meta'); UNet(width=1, depth=1);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_are_drawn_by_what_a_unit_sees_and_biases_are_zero():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(10, 300, (3, 5)), nn.ConvTranspose2d(50, 100, 2, stride=2), nn.Linear(3, 4)
    )
    linear = net[2].weight.clone()
    he_initialise(net)
    for layer, num_seen in zip(net, (10 * 3 * 5, 50), strict=False):
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / num_seen), rel=0.03)
        assert abs(layer.weight.mean().item()) < 0.03 * math.sqrt(2 / num_seen)
        assert not layer.bias.any()
    assert torch.equal(net[2].weight, linear)


SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(deadline=None)
@given(size=SIZES, before=SIZES, odd=st.tuples(st.booleans(), st.booleans()))
def test_a_crop_is_the_centre_and_half_a_pixel_goes_to_the_end(size, before, odd):
    shape = [a + 2 * b + c for a, b, c in zip(size, before, odd, strict=True)]
    image = torch.arange(2 * math.prod(shape)).reshape(2, *shape)
    window = tuple(slice(b, b + a) for a, b in zip(size, before, strict=True))
    assert torch.equal(centre_crop(image, size), image[(..., *window)])
    assert torch.equal(centre_crop(image, torch.Size(shape)), image)

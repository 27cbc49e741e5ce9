import pytest
import torch

from ulens.nets.fcn import FCN8s, FCNAlexNet
from ulens.nets.properties import count_multiplications, count_parameters, receptive_field
from ulens.nets.sliding_window import SlidingWindow
from ulens.nets.unet import UNet


def test_the_parameters_are_the_published_ones():
    with torch.device("meta"):
        assert count_parameters(UNet()) == 31_030_658
        assert count_parameters(SlidingWindow()) == 219_290


def test_multiplications_of_a_layer_counted_by_hand():
    net = SlidingWindow(window=33, width=1)
    # 4×4 on 33: 30²·16; 4×4 on 15: 12²·16; 5×5 on 6: 2²·25; 200 units on one pixel; two classes
    assert count_multiplications(net, (33, 33)) == 30**2 * 16 + 12**2 * 16 + 2**2 * 25 + 200 + 400


def test_multiplications_of_a_u_net_counted_by_hand():
    net = UNet(in_channels=3, width=1, depth=1)
    # 20 → 18 → 16, pooled 8 → 6 → 4, up 8 → 6 → 4; a stage as (sides squared)·9·(channels)
    down = 18**2 * 9 * 3 + 16**2 * 9 + 6**2 * 9 * 2 + 4**2 * 9 * 4
    up = 4**2 * 4 * 2 + 6**2 * 9 * 2 + 4**2 * 9
    counted = count_multiplications(net, (20, 20))
    assert counted == down + up + 4**2 * 2
    assert isinstance(counted, int)


def test_a_dense_evaluation_costs_less_than_its_windows():
    net = SlidingWindow(window=95, width=4)
    patchwise = count_multiplications(net, (95, 95)) * 64**2
    assert patchwise > 10 * count_multiplications(net, (94 + 64, 94 + 64))


@pytest.mark.parametrize(
    ("net", "side"),
    [
        (SlidingWindow(window=65, width=1), 65),
        # 5 px of the merged map; up-sampled from 3 px, which see 3 + 4 pooled ones, 14 px, and
        # these 4 px more
        (UNet(width=1, depth=1), 18),
        # 5 px from 3 px, 3 + 4 px from 4 px, these see 8; 16 px, 16 + 4 px; 40 px, 40 + 4 px
        (UNet(in_channels=3, width=2, depth=2), 44),
        # each pixel lies between scores 32 px apart: three of 404 px, or two of 355 px
        (FCN8s(width=1), 404 + 2 * 32),
        (FCNAlexNet(width=1), 355 + 32),
    ],
)
def test_receptive_fields_counted_by_hand(net, side):
    assert receptive_field(net) == side

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


def test_a_dense_evaluation_costs_less_than_its_windows():
    net = SlidingWindow(window=95, width=4)
    patchwise = count_multiplications(net, (95, 95)) * 64**2
    assert patchwise > 10 * count_multiplications(net, (94 + 64, 94 + 64))


@pytest.mark.parametrize(
    ("net", "side"),
    [(SlidingWindow(window=65, width=1), 65), (UNet(width=1, depth=1), 18)],
)
def test_receptive_fields_counted_by_hand(net, side):
    # U-Net of depth 1: 5 px of the merged map; up-sampled from 3 px, which see 3 + 4 pooled
    # ones, 14 px, and these 4 px more
    assert receptive_field(net) == side


@pytest.mark.parametrize("net", [FCN8s(width=1), FCNAlexNet(width=1)])
def test_the_fcns_see_the_scores_on_either_side_of_a_pixel(net):
    scores_see = {FCN8s: 404, FCNAlexNet: 355}[type(net)]
    assert scores_see < receptive_field(net) <= net.geometry.base + 32

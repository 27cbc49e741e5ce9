from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tiny_training import changed, tiny_plan
from ulens.bundle import START, load_bundle
from ulens.errors import ModelError, SettingError
from ulens.training.begin import begin_network

PLAN = tiny_plan(
    width=16,
    depth=3,
    negative_slope=0.01,
    encoding="contact",
    class_weights=(1.0, 1.0, 1.0),
    crop=100,
)
TILES = torch.randn(2, 1, 100, 100, generator=torch.Generator().manual_seed(0))


def test_without_a_model_the_seed_decides():
    first, again, other = (begin_network(replace(PLAN, seed=s), 1).eval() for s in (3, 3, 4))
    assert torch.equal(first(TILES), again(TILES))
    assert not torch.equal(first(TILES), other(TILES))


@pytest.mark.parametrize("num_channels", [1, 2, 3])
def test_it_computes_what_the_model_does_of_the_mean_of_all_channels(num_channels):
    start = load_bundle(START)
    net = begin_network(PLAN, num_channels, start, START).eval()
    channels = torch.randn(2, num_channels, 100, 100, generator=torch.Generator().manual_seed(1))
    expected = start.net.eval()(channels.mean(1, keepdim=True))
    torch.testing.assert_close(net(channels), expected, rtol=1e-4, atol=1e-4)


def test_where_something_else_is_learned_the_head_alone_is_new():
    plan = changed(PLAN, encoding="classes")
    net, start = begin_network(plan, 1, load_bundle(START), START), load_bundle(START).net
    theirs = start.state_dict()
    new = [name for name, value in net.state_dict().items() if not torch.equal(value, theirs[name])]
    assert new == ["head.weight", "head.bias"]


def test_a_model_of_other_channels_is_refused():
    start = load_bundle(START)
    floors = start.normalization.floor * 2
    start = replace(
        start,
        net=begin_network(PLAN, 2),
        normalization=replace(start.normalization, floor=floors),
    )
    with pytest.raises(ModelError, match="m takes 2 channels, these images have 3; start from a"):
        begin_network(PLAN, 3, start, Path("m"))


def test_a_model_of_another_size_is_refused():
    with pytest.raises(SettingError, match=r"of width 16 and depth 3 .* asks for U-Net of width 8"):
        begin_network(changed(PLAN, width=8), 1, load_bundle(START), Path("m"))

import pytest
import torch

from ulens.nets.build import (
    NETWORKS,
    build_network,
    describe_architecture,
    name_network,
    network_geometry,
    undo_balance,
)

SMALL = {"in_channels": 3, "num_classes": 2, "width": 4, "depth": 2, "window": 33}
SMALL["negative_slope"] = 0.1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_described_so_that_another_like_it_can_be_made(name):
    with torch.device("meta"):
        net = build_network({"name": name, **SMALL})
        described = describe_architecture(net)
        again = build_network(described)
    assert described["name"] == name
    shapes = [
        {key: value.shape for key, value in each.state_dict().items()} for each in (net, again)
    ]
    assert shapes[0] == shapes[1]
    assert network_geometry({"name": name, **SMALL}) == net.geometry
    assert {key: described[key] for key in described if key != "name"}.items() <= SMALL.items()


def test_a_model_of_the_time_before_there_was_a_slope_has_relus():
    architecture = {key: value for key, value in SMALL.items() if key != "negative_slope"}
    assert build_network({"name": "unet", **architecture}).negative_slope == 0.0


@pytest.mark.parametrize("name", ["unet", "sliding-window", "fcn-8s", "fcn-alexnet"])
def test_a_network_learned_from_balanced_pixels_expects_the_true_shares(name):
    torch.manual_seed(0)
    net = build_network({"name": name, **SMALL}).eval()
    geometry = net.geometry
    x = torch.randn(1, 3, *2 * [geometry.base + geometry.alignment])
    with torch.no_grad():
        before = net(x).softmax(1)
        undo_balance(net, (0.9, 0.1))
        after = net(x).softmax(1)
    expected = before * torch.tensor([0.9, 0.1])[:, None, None]  # Bayes, with a prior of 1/2 each
    torch.testing.assert_close(after, expected / expected.sum(1, keepdim=True))


def test_equal_shares_change_no_logit():
    net = build_network({"name": "unet", **SMALL, "num_classes": 4})
    undo_balance(net, 4 * [1 / 4])
    assert not net.head.bias.any()


def test_dropout_goes_to_the_networks_that_have_it():
    architecture = {"name": "unet", **SMALL}
    assert build_network(architecture, dropout=0.25).dropout.p == 0.25
    build_network({**architecture, "name": "sliding-window"}, dropout=0.25)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unet", "U-Net of width 4 and depth 2"),
        ("sliding-window", "sliding-window of width 4 and window 33"),
        ("fcn-8s", "fcn-8s of width 4"),
    ],
)
def test_a_network_is_named_by_what_sets_it_apart(name, words):
    assert name_network({"name": name, **SMALL}) == words


def test_weights_depend_on_the_seed_alone_and_other_draws_stay_as_they_are():
    architecture = {"name": "unet", **SMALL}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = build_network(architecture, seed=1).head.weight
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(build_network(architecture, seed=1).head.weight, first)
    assert not torch.equal(build_network(architecture, seed=2).head.weight, first)
    plain = build_network(architecture).head.weight
    assert torch.equal(build_network(architecture, seed=0).head.weight, plain)

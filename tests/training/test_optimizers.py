"""Our optimizers beside PyTorch's, which are the oracle."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from ulens.nets.unet import UNet
from ulens.training.optimizers import Optimizer

NAMES = ("adamw", "sgd")


def torchs(name, parameters):
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=1.0, betas=(0.8, 0.999), fused=True)
    return torch.optim.SGD(groups, lr=1.0, momentum=0.8)


def make_net(memory_format):
    torch.manual_seed(0)
    net = UNet(width=2, depth=1, dropout=0).to(memory_format=memory_format)
    net.up[0].bias.requires_grad_(False)
    return net


def learn(net, seed):
    image = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
    net(image).square().mean().backward()


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("name", NAMES)
def test_steps_are_those_of_pytorch(name, memory_format):
    net, other = make_net(memory_format), make_net(memory_format)
    ours = Optimizer(name, net.parameters(), weight_decay=0.1, momentum=0.8)
    theirs = torchs(name, list(other.parameters()))
    for step in range(5):
        rate = 1e-2 / (step + 1)
        for each, optimizer in ((net, ours), (other, theirs)):
            if optimizer is ours:
                ours.clear_gradients()
            else:
                theirs.zero_grad()
            learn(each, step)
        ours.step(rate)
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
    before = make_net(memory_format)
    for a, b, first in zip(net.parameters(), other.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)
        assert torch.equal(a, first) == (not a.requires_grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("moved", [(0, 1, 2, 3), (0, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_every_shape_and_precision_move_as_in_pytorch(name, moved, dtype):
    both = [
        [nn.Parameter(torch.ones((2,) * ndim, dtype=dtype)) for ndim in range(4)] for _ in range(2)
    ]
    ours = Optimizer(name, both[0], weight_decay=0.1, momentum=0.8)
    theirs = torchs(name, both[1])
    for group in theirs.param_groups:
        group["lr"] = 0.1
    for _ in range(3):
        for parameters in both:
            for ndim in moved:
                parameters[ndim].grad = torch.full_like(parameters[ndim], 0.5)
        ours.step(0.1)
        theirs.step()
    for ndim, (a, b) in enumerate(zip(*both, strict=True)):
        torch.testing.assert_close(a, b)
        assert bool((a != 1).all()) == (ndim in moved)


def test_steps_are_counted_beyond_the_whole_numbers_of_bfloat16():
    parameter = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    ours = Optimizer("adamw", [parameter], weight_decay=0.1, momentum=0.8)
    for _ in range(258):
        parameter.grad = torch.ones_like(parameter)
        ours.step(1e-3)
    assert ours.memory()["0.step"] == 258


@pytest.mark.parametrize("name", NAMES)
def test_restored_it_goes_on_the_same(name):
    net, other = make_net(torch.channels_last), make_net(torch.channels_last)
    ours = Optimizer(name, net.parameters(), weight_decay=0.1, momentum=0.8)
    for step in range(3):
        ours.clear_gradients()
        learn(net, step)
        ours.step(1e-2)
    fresh = Optimizer(name, other.parameters(), weight_decay=0.1, momentum=0.8)
    other.load_state_dict(net.state_dict())
    # what a file returns is laid out anew
    fresh.restore({key: value.contiguous() for key, value in ours.memory().items()})
    for each, optimizer in ((net, ours), (other, fresh)):
        optimizer.clear_gradients()
        learn(each, 9)
        optimizer.step(1e-2)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_step_does_not_load_the_compiler():
    code = (
        "import sys, torch; from ulens.nets.unet import UNet;"
        "from ulens.training.optimizers import Optimizer;"
        "net = UNet(width=1, depth=1);"
        "ours = Optimizer('adamw', net.parameters(), weight_decay=0, momentum=0);"
        "net(torch.zeros(1, 1, 28, 28)).mean().backward(); ours.step(0.1);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""What a network costs and how far it sees, found by running it rather than by formulas."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ulens.nets.build import build_network, describe_architecture
from ulens.nets.network import Network
from ulens.nets.sliding_window import SlidingWindow


def count_parameters(net: nn.Module) -> int:
    """Return how many numbers a network has learned."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_multiplications(net: Network, size: tuple[int, int]) -> int:
    """Return the multiplications in the convolutions of one evaluation.

    Parameters
    ----------
    size : (Y, X) of the input in pixels, valid for the network

    Notes
    -----
    Runs without memory for the maps (torch's meta device), so any size can be asked.

    Examples
    --------
    >>> count_multiplications(SlidingWindow(window=33, width=1), (33, 33))
    17404
    """
    with torch.device("meta"):
        shadow = build_network(describe_architecture(net)).eval()
        image = torch.empty(1, net.in_channels, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(image)
    return counter.get_total_flops() // 2  # a multiplication and an addition each


def receptive_field(net: Network) -> int:
    """Return the side of the largest square of the input that one output pixel depends on.

    Parameters
    ----------
    net : its weights do not matter

    Notes
    -----
    Pooling and up-sampling make it differ from pixel to pixel, with the alignment as period; the
    largest is returned. It is where the gradient of an output pixel is not zero, in a network of
    the same layers with one channel each, positive weights, and means for maxima, so that nothing
    the pixel could depend on is left out. The pixels of the first period all see the first row of
    the input, so the last row that any of them sees says how far.

    Examples
    --------
    >>> receptive_field(SlidingWindow(window=33, width=1))
    33
    """
    if isinstance(net, SlidingWindow):
        return net.window
    architecture = describe_architecture(net)
    wiring = _open_wide(build_network({**architecture, "width": 1, "in_channels": 1}))
    side = net.geometry.base + net.geometry.alignment
    image = torch.ones(1, 1, side, net.geometry.base, dtype=torch.float64, requires_grad=True)
    output = wiring(image)[0].sum(0)
    period = output[: net.geometry.alignment, output.shape[1] // 2]
    (gradient,) = torch.autograd.grad(period.sum(), image)
    return int(gradient[0, 0].any(dim=1).nonzero().max()) + 1


def _open_wide(net: nn.Module) -> nn.Module:
    """Change a network so that every gradient passes through it, and return it."""
    net.double().eval()
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride))
    for parameter in net.parameters():
        nn.init.ones_(parameter)  # numbers grow over the layers, but not out of double precision
    return net

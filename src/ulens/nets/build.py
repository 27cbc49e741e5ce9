"""The networks by name: the U-Net and those it is compared with."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ulens.nets.draws import own_draws
from ulens.nets.fcn import FCN8s, FCNAlexNet
from ulens.nets.network import Network
from ulens.nets.shapes import Geometry
from ulens.nets.sliding_window import SlidingWindow
from ulens.nets.unet import UNet

NetName = Literal["unet", "sliding-window", "fcn-8s", "fcn-alexnet"]

NETWORKS: Mapping[NetName, type[Network]] = {
    "unet": UNet,
    "sliding-window": SlidingWindow,
    "fcn-8s": FCN8s,
    "fcn-alexnet": FCNAlexNet,
}


def describe_architecture(net: Network) -> dict[str, Any]:
    """Return the name of a network and the arguments that make one like it.

    Examples
    --------
    >>> describe_architecture(SlidingWindow(width=4, window=33))
    {'name': 'sliding-window', 'in_channels': 1, 'num_classes': 2, 'width': 4, 'window': 33}
    """
    name = next(name for name, kind in NETWORKS.items() if isinstance(net, kind))
    settings = "in_channels", "num_classes", *net.settings
    return {"name": name, **{setting: getattr(net, setting) for setting in settings}}


def name_network(architecture: Mapping[str, Any]) -> str:
    """Return in words what `describe_architecture` returns, without channels, classes and slope.

    Examples
    --------
    >>> name_network({"name": "unet", "width": 32, "depth": 4})
    'U-Net of width 32 and depth 4'
    """
    name: NetName = architecture["name"]
    said = [setting for setting in NETWORKS[name].settings if setting != "negative_slope"]
    words = " and ".join(f"{setting} {architecture[setting]}" for setting in said)
    return f"{'U-Net' if name == 'unet' else name} of {words}"


@torch.no_grad()
def undo_balance(net: Network, frequencies: Sequence[float] | np.ndarray) -> None:
    """Make a network that learned from as many pixels of each class expect them as they are.

    Parameters
    ----------
    net : its outputs are logits; changed in place
    frequencies : (K,) shares of the classes, above 0 and of sum 1

    Notes
    -----
    Bayes' rule for a changed prior: a constant for each class is added to the logits. Source:
    Saerens, Latinne and Decaestecker, Neural Computation 14 (2002), equation 2.4.
    """
    bias = net.last.bias
    assert bias is not None
    shares = torch.as_tensor(frequencies, dtype=torch.float64)
    bias += torch.log(shares * len(shares)).to(bias)


def build_network(
    architecture: Mapping[str, Any], *, dropout: float = 0.5, seed: int = 0
) -> Network:
    """Make a network of what `describe_architecture` returns, with new weights.

    Parameters
    ----------
    architecture : its name and arguments; those that this network does not have are left out
    dropout : in training, where the network has it
    seed : the weights depend on it
    """
    kind = NETWORKS[architecture["name"]]
    # models of the time before there was a slope have none
    known = {"negative_slope": 0.0, **architecture}
    arguments = {key: known[key] for key in ("in_channels", "num_classes", *kind.settings)}
    if kind.has_dropout:
        arguments["dropout"] = dropout
    with own_draws(seed):
        return kind(**arguments)


def network_geometry(architecture: Mapping[str, Any]) -> Geometry:
    """Return the sizes that a network takes, without making its weights.

    Parameters
    ----------
    architecture : as of `build_network`; depth and window are enough

    Examples
    --------
    >>> network_geometry({"name": "sliding-window", "window": 65})
    Geometry(base=65, alignment=1, margin=32)
    """
    return NETWORKS[architecture["name"]].geometry_of(architecture)

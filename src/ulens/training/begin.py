"""The weights that a training begins with."""

import math
from pathlib import Path
from typing import Any

from ulens.bundle import START, ModelBundle
from ulens.errors import ModelError, SettingError
from ulens.nets.build import describe_architecture, name_network
from ulens.nets.network import Network
from ulens.nets.properties import receptive_field
from ulens.planning.plan import Plan

SHARED = ("name", "width", "depth", "window", "negative_slope")
HEAD = "head."


def begin_network(
    plan: Plan, in_channels: int, start: ModelBundle | None = None, path: Path | None = None
) -> Network:
    """Draw the weights of a network from the plan's seed, or take them over from a model.

    Parameters
    ----------
    plan : which network
    in_channels : of the images
    start : the model to go on from; None = random weights
    path : of `start`, for messages

    Returns
    -------
    the network. Its head is new where `start` learned something else; where `start` saw one channel
    and these images have several, it sees their mean

    Raises
    ------
    SettingError : the plan asks for another network than that of `start`
    ModelError : `start` takes other channels
    """
    net = plan.make_network(in_channels)
    if start is None:
        return net
    theirs, ours = (_shape(each) for each in (start.net, net))
    if theirs != ours:
        raise SettingError(
            f"{path} is {_name(theirs)}, the plan asks for {_name(ours)}; leave these to the "
            "model, or write them so in the plan"
        )
    if start.net.in_channels not in (1, in_channels):
        raise ModelError(
            f"{path} takes {start.net.in_channels} channels, these images have {in_channels}; "
            "start from a model of such images, or from one of grey images"
        )
    own, learned = net.state_dict(), start.net.state_dict()
    if start.net.in_channels < in_channels:
        first = next(iter(learned))
        learned[first] = learned[first].expand_as(own[first]) / in_channels
    fitting = {
        name: value
        for name, value in learned.items()
        if value.shape == own[name].shape
        and (start.encoding == plan.encoding.name or not name.startswith(HEAD))
    }
    net.load_state_dict({**own, **fitting})
    return net


def images_seen(start: ModelBundle | None, path: Path | None) -> list[str] | None:
    """Return the hashes of the images that a model has seen, and those it was trained from.

    Parameters
    ----------
    start : None = random weights, which have seen none
    path : of `start`; the model that comes with ulens has seen none of the user's images

    Returns
    -------
    as `ulens.annotated.seen.hash_image` makes them; None where the model does not tell
    """
    if start is None or path == START:
        return []
    return start.provenance.get("seen")


def reach_px(plan: Plan) -> tuple[int, int]:
    """Return how far around a pixel the network sees: (y, x) in pixels of the images."""
    half = receptive_field(plan.make_network(1)) // 2
    y, x = plan.tiles.zoom
    return math.ceil(half / y), math.ceil(half / x)


def _shape(net: Network) -> dict[str, Any]:
    """Return what two networks must share for one to start from the other."""
    architecture = describe_architecture(net)
    return {name: value for name, value in architecture.items() if name in SHARED}


def _name(shape: dict[str, Any]) -> str:
    slope = shape.get("negative_slope")
    return name_network(shape) + (f" with ReLUs of slope {slope}" if slope is not None else "")

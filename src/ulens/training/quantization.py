"""Which convolutions of a trained network 8-bit integers compute well enough."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulens.encodings.table import ENCODINGS, Activation, EncodingName, decode_maps
from ulens.nets.quantized import Ranges, equalize, measure_inputs, quantize
from ulens.nets.unet import UNet
from ulens.predict.engine_choice import (
    ALLOWED,
    Tolerance,
    differences,
    smooth_score,
)
from ulens.predict.engines import activate
from ulens.resample import AS_IT_IS, Zoom, inverse, resample
from ulens.training.examples import Example

# The other convolutions are computed in bfloat16, which needs a part of what is allowed.
SHARE_OF_ALLOWED = 0.6


def prepare_int8(
    net: UNet,
    windows: Sequence[np.ndarray],
    examples: Sequence[Example],
    *,
    encoding: EncodingName,
    decoding: Mapping[str, Any],
    zoom: Zoom = AS_IT_IS,
    allowed: Tolerance = ALLOWED,
) -> tuple[UNet, dict[str, tuple[float, float]]]:
    """Return a network equalised for 8-bit integers, and which of its convolutions bear them.

    Parameters
    ----------
    net : trained; not changed
    windows : (C, Y, X) float32, normalised, of training images, by which they are found
    examples : held out, by which they are judged: their maps differ little, and so does their score
    allowed : what is little

    Returns
    -------
    the network, whose outputs are the same in fp32, and convolutions as `find_int8`
    """
    way = ENCODINGS[encoding]

    def score(maps: np.ndarray) -> float:
        """Return a score of the examples; 0 where there is nothing to find in them."""
        found = [
            decode_maps(encoding, resample(each, inverse(zoom), label.shape), decoding)[1]
            for each, (_, label) in zip(maps, examples, strict=True)
        ]
        return smooth_score([label for _, label in examples], found, way.labels_are) or 0.0

    shown = [torch.from_numpy(window)[None] for window in windows]
    net = equalize(net, shown)
    int8 = list(find_int8(net, shown, way.activation, allowed).items())
    images = [torch.from_numpy(image)[None] for image, _ in examples]
    exact = maps_of(net, images, way.activation)
    exact_score = score(exact)
    while int8:
        maps = maps_of(quantize(net, dict(int8)), images, way.activation)
        if (
            are_close(exact, maps, way.activation, allowed)
            and abs(exact_score - score(maps)) <= allowed.score_change
        ):
            break
        int8 = int8[: len(int8) // 2]
    return net, dict(int8)


def find_int8(
    net: UNet, windows: Sequence[Tensor], activation: Activation, allowed: Tolerance = ALLOWED
) -> dict[str, tuple[float, float]]:
    """Return convolutions that can be computed in 8-bit integers, with the ranges of their inputs.

    Parameters
    ----------
    net : trained
    windows : (1, C, Y, X) float32, normalised, of training images
    activation : as of `Predictor`
    allowed : what an engine may differ

    Notes
    -----
    Convolutions are taken in the order of the difference that each alone makes to the maps, for
    each multiplication, as long as all taken together keep within `SHARE_OF_ALLOWED` of what an
    engine may differ. So the sensitive ones stay as they are, as do those that hardly take time.
    """
    inputs = measure_inputs(net, windows)
    ranges = {name: (each.low, each.high) for name, each in inputs.items()}
    exact = maps_of(net, windows, activation)

    def maps(taken: Ranges) -> np.ndarray:
        return maps_of(quantize(net, taken), windows, activation)

    cost = {
        name: differences(exact, maps({name: ranges[name]}), activation)[0]
        / inputs[name].multiplications
        for name in ranges
    }
    order = sorted(ranges, key=lambda name: cost[name])
    fewest, most = 0, len(order)
    while fewest < most:  # the error grows with their number
        middle = (fewest + most + 1) // 2
        taken = {name: ranges[name] for name in order[:middle]}
        if are_close(exact, maps(taken), activation, allowed):
            fewest = middle
        else:
            most = middle - 1
    return {name: ranges[name] for name in order[:fewest]}


def are_close(
    exact: np.ndarray, maps: np.ndarray, activation: Activation, allowed: Tolerance
) -> bool:
    """Whether maps keep within `SHARE_OF_ALLOWED` of what those of an engine may differ."""
    difference, disagreement = differences(exact, maps, activation)
    is_close = difference <= SHARE_OF_ALLOWED * allowed.difference
    return is_close and disagreement <= SHARE_OF_ALLOWED * (1 - allowed.agreement)


@torch.inference_mode()
def maps_of(net: UNet, windows: Sequence[Tensor], activation: Activation) -> np.ndarray:
    """Return the (N, K, y, x) maps of N windows of one size, computed in fp32."""
    return torch.stack([activate(net(window)[0], activation) for window in windows]).numpy()

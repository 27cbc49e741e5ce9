"""The self-test of a saved network: what it once computed of noise."""

from pathlib import Path

import torch
from torch import Tensor

from ulens.errors import ModelError
from ulens.nets.build import build_network, describe_architecture
from ulens.nets.network import Network

SELFTEST_TOLERANCE = 1e-3


def make_selftest(net: Network) -> dict[str, Tensor]:
    """Return noise as "input", and as "output" what a network computes of it."""
    size = net.geometry.base
    noise = torch.randn(1, net.in_channels, size, size, generator=torch.Generator().manual_seed(0))
    return {"input": noise, "output": _run_on_cpu(net, noise)}


def check_selftest(folder: Path, selftest: dict[str, Tensor], net: Network) -> None:
    """Raise ModelError unless the network of a folder computes what it once computed."""
    check_shapes(folder, selftest, net)
    expected = selftest["output"]
    output = _run_on_cpu(net, selftest["input"])
    difference = float((output - expected).abs().max())
    # logits have no fixed scale: rounding grows with them
    allowed = SELFTEST_TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:
        raise ModelError(
            f"{folder} fails its self-test: the output differs by {difference:.2g} from the one "
            f"saved with it, {allowed:.2g} is allowed; this computer's torch {torch.__version__} "
            "computes another function; install the version in constraints.txt"
        )


def check_shapes(folder: Path, selftest: dict[str, Tensor], net: Network) -> None:
    """Raise ModelError unless the self-test, and the example beside it, fit the network."""
    geometry = net.geometry
    output_px = geometry.output_size(geometry.base)
    needed: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
        "input": (torch.float32, (1, net.in_channels, geometry.base, geometry.base)),
        "output": (torch.float32, (1, net.num_classes, output_px, output_px)),
    }
    if example := _example_shape(selftest.get("example"), net):
        needed["example"] = (torch.float32, example)
    for name, (dtype, shape) in needed.items():
        found = selftest.get(name)
        came = "missing" if found is None else f"{found.dtype} {tuple(found.shape)}"
        if found is None or (found.dtype, tuple(found.shape)) != (dtype, shape):
            raise ModelError(
                f"{folder} has no self-test of its network: {name} is {came}; it needs to be "
                f"{dtype} {shape}; copy the whole folder again"
            )


def _example_shape(example: Tensor | None, net: Network) -> tuple[int, ...] | None:
    """Return the shape that an example needs to have: its own, where the network takes it."""
    if example is None:
        return None
    size = tuple(example.shape[-2:])
    fits = len(size) == 2 and all(map(net.geometry.is_valid, size))
    base = net.geometry.base
    return net.in_channels, *(size if fits else (base, base))


def _run_on_cpu(net: Network, x: Tensor) -> Tensor:
    """Run a float32 copy of `net` as for prediction; `net` keeps its device and mode."""
    with torch.device("meta"):
        copy = build_network(describe_architecture(net))
    state = {name: tensor.float().cpu() for name, tensor in net.state_dict().items()}
    copy.load_state_dict(state, assign=True)
    with torch.inference_mode():
        return copy.eval()(x)

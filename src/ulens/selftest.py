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


def _run_on_cpu(net: Network, x: Tensor) -> Tensor:
    """Run a float32 copy of `net` as for prediction; `net` keeps its device and mode."""
    with torch.device("meta"):
        copy = build_network(describe_architecture(net))
    state = {name: tensor.float().cpu() for name, tensor in net.state_dict().items()}
    copy.load_state_dict(state, assign=True)
    with torch.inference_mode():
        return copy.eval()(x)

"""What a training takes of memory, found by running its network on torch's meta device."""

import math

import torch
from torch import Tensor, nn

from ulens.errors import SettingError
from ulens.io.need import check_memory
from ulens.nets.build import build_network
from ulens.nets.properties import count_parameters
from ulens.planning.plan import Plan

_COPIES_OF_WEIGHTS = 5  # with their gradients, the optimizer's two memories, and the average


def check_training_memory(plan: Plan, in_channels: int, device: torch.device) -> None:
    """Raise SettingError where a step of a plan takes more memory than the computer has free.

    Parameters
    ----------
    device : where it is trained; on an accelerator only the tiles are the computer's

    Notes
    -----
    Counted are the outputs of all convolutions, which the gradient needs, and the weights: what a
    step takes at least.
    """
    tiles = plan.tiles
    if device.type == "cpu":
        needed = count_step_bytes(plan, in_channels)
    else:
        needed = 4 * tiles.batch * in_channels * tiles.crop**2
    check_memory(
        f"a step of {tiles.batch} tiles of {tiles.crop}×{tiles.crop} pixels through a network of "
        f"width {plan.network.width}",
        needed,
        "make crop, batch or width smaller",
        error=SettingError,
    )


def count_step_bytes(plan: Plan, in_channels: int) -> int:
    """Return the bytes that a training step takes at least."""
    sizes: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        sizes.append(math.prod(output.shape))

    with torch.device("meta"):
        net = build_network(plan.architecture(in_channels)).eval()
        image = torch.empty(1, in_channels, plan.tiles.crop, plan.tiles.crop)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        net(image)
    number_bytes = 2 if plan.tensors.precision == "bf16" else 4
    return sum(sizes) * plan.tiles.batch * number_bytes + 4 * _COPIES_OF_WEIGHTS * count_parameters(
        net
    )

"""The two optimizers: AdamW, and the paper's stochastic gradient descent with momentum.

`torch.optim` has both, but its first use loads the compiler of PyTorch, which takes seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ulens.training.state import check_tensor

BETA2, EPSILON = 0.999, 1e-8
"""Of AdamW."""

Name = Literal["adamw", "sgd"]


@dataclass(slots=True)
class _Group:
    """Parameters of one weight decay, with what the optimizer remembers of each, by its name."""

    decay: float
    parameters: list[tuple[int, nn.Parameter]]
    memory: dict[int, dict[str, Tensor]] = field(default_factory=dict)


class Optimizer:
    """Takes steps down the gradient; what it remembers can be saved and restored.

    Parameters
    ----------
    name : 'adamw', Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019,
        algorithm 2); or 'sgd', stochastic gradient descent with momentum, as in the paper, with
        weight decay in the gradient
    parameters : of the network
    weight_decay : of weights; biases and scales have none
    momentum : of SGD, and β1 of AdamW
    """

    def __init__(
        self,
        name: Name,
        parameters: Iterable[nn.Parameter],
        *,
        weight_decay: float,
        momentum: float,
    ) -> None:
        every = list(parameters)
        parts = [p for p in every if p.ndim > 1], [p for p in every if p.ndim <= 1]
        numbered = list(enumerate([*parts[0], *parts[1]]))
        self._groups = [
            _Group(weight_decay, numbered[: len(parts[0])]),
            _Group(0.0, numbered[len(parts[0]) :]),
        ]
        self.momentum = momentum
        self._remembered = REMEMBERED[name]
        self._descend = _descend_adamw if name == "adamw" else _descend_sgd

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        for group in self._groups:
            for _, parameter in group.parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change the parameters by their gradients, at a learning rate."""
        for group in self._groups:
            moved = [(n, p.detach(), p.grad) for n, p in group.parameters if p.grad is not None]
            if not moved:
                continue
            for number, value, _ in moved:
                if number not in group.memory:
                    group.memory[number] = self._forget(value)
            remembered = [
                [group.memory[number][name] for number, _, _ in moved] for name in self._remembered
            ]
            self._descend(
                [value for _, value, _ in moved],
                [gradient for _, _, gradient in moved],
                *remembered,
                decay=group.decay,
                momentum=self.momentum,
                rate=rate,
            )

    def memory(self) -> dict[str, Tensor]:
        """Return copies of all that is remembered, by names such as ``3.exp_avg``."""
        return {
            f"{number}.{name}": value.clone()
            for group in self._groups
            for number, each in group.memory.items()
            for name, value in each.items()
        }

    def restore(self, memory: Mapping[str, Tensor]) -> None:
        """Go on from what `memory` returned.

        Raises
        ------
        SettingError : it is of other parameters, or of another optimizer
        """
        for group in self._groups:
            group.memory = {}
            for number, parameter in group.parameters:
                if not any(f"{number}.{name}" in memory for name in self._remembered):
                    continue
                fresh = self._forget(parameter.detach())
                for name, value in fresh.items():
                    key = f"{number}.{name}"
                    # the fused step walks parameter and memory in one order: the layouts must agree
                    value.copy_(check_tensor(f"optimizer.{key}", memory.get(key), value))
                group.memory[number] = fresh

    def _forget(self, value: Tensor) -> dict[str, Tensor]:
        """Return what is remembered of a parameter before its first step."""
        return {
            name: value.new_zeros((), dtype=torch.float32)
            if name == "step"
            else torch.zeros_like(value)
            for name in self._remembered
        }


def _descend_adamw(
    values: list[Tensor],
    gradients: list[Tensor],
    steps: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    *,
    decay: float,
    momentum: float,
    rate: float,
) -> None:
    torch._foreach_add_(steps, 1)
    torch._fused_adamw_(
        values, gradients, means, squares, [], steps,
        lr=rate, beta1=momentum, beta2=BETA2, weight_decay=decay, eps=EPSILON,
        amsgrad=False, maximize=False,
    )  # fmt: skip


def _descend_sgd(
    values: list[Tensor],
    gradients: list[Tensor],
    velocities: list[Tensor],
    *,
    decay: float,
    momentum: float,
    rate: float,
) -> None:
    if decay:
        gradients = list(torch._foreach_add(gradients, values, alpha=decay))
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, gradients)
    torch._foreach_add_(values, velocities, alpha=-rate)


REMEMBERED = {"adamw": ("step", "exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}
"""What is remembered of each parameter, by the names that saved trainings have."""

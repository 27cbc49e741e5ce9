"""The two optimizers: AdamW, and the paper's stochastic gradient descent with momentum.

`torch.optim` has both, but its first use loads the compiler of PyTorch, which takes seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class _Group:
    """Parameters of one weight decay, with what the optimizer remembers of each, by its name."""

    decay: float
    parameters: list[tuple[int, nn.Parameter]]
    memory: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def with_gradients(self) -> list[tuple[int, Tensor, Tensor]]:
        """Return number, value and gradient of each parameter that has a gradient."""
        return [(n, p.detach(), p.grad) for n, p in self.parameters if p.grad is not None]


class Optimizer:
    """Takes steps down the gradient; what it remembers can be saved and restored.

    Parameters
    ----------
    parameters : of the network
    weight_decay : of weights; biases and scales have none
    momentum : of SGD, and β1 of AdamW
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, weight_decay: float, momentum: float
    ) -> None:
        every = list(parameters)
        parts = [p for p in every if p.ndim > 1], [p for p in every if p.ndim <= 1]
        numbered = list(enumerate([*parts[0], *parts[1]]))
        self._groups = [
            _Group(weight_decay, numbered[: len(parts[0])]),
            _Group(0.0, numbered[len(parts[0]) :]),
        ]
        self.momentum = momentum

    def clear_gradients(self) -> None:
        """Forget the gradients."""
        for group in self._groups:
            for _, parameter in group.parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Change the parameters by their gradients, at a learning rate."""
        for group in self._groups:
            moved = group.with_gradients()
            if not moved:
                continue
            for number, value, _ in moved:
                if number not in group.memory:
                    group.memory[number] = self._first_memory(value)
            self._descend(
                [value for _, value, _ in moved],
                [gradient for _, _, gradient in moved],
                [group.memory[number] for number, _, _ in moved],
                group.decay,
                rate,
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
        RuntimeError : it is of other parameters
        """
        for group in self._groups:
            group.memory = {}
            for number, parameter in group.parameters:
                prefix = f"{number}."
                saved = {
                    name.removeprefix(prefix): value
                    for name, value in memory.items()
                    if name.startswith(prefix)
                }
                if saved:
                    # the fused step walks parameter and memory in one order: the layouts must agree
                    group.memory[number] = {
                        name: torch.empty_like(parameter.detach()).copy_(value)
                        if value.ndim
                        else value.detach().clone()
                        for name, value in saved.items()
                    }

    def _first_memory(self, value: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def _descend(
        self,
        values: list[Tensor],
        gradients: list[Tensor],
        memory: list[dict[str, Tensor]],
        decay: float,
        rate: float,
    ) -> None:
        raise NotImplementedError


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient: Loshchilov and Hutter 2019, algorithm 2."""

    BETA2, EPSILON = 0.999, 1e-8

    def _first_memory(self, value: Tensor) -> dict[str, Tensor]:
        return {
            "step": torch.zeros((), dtype=torch.float32, device=value.device),
            "exp_avg": torch.zeros_like(value),
            "exp_avg_sq": torch.zeros_like(value),
        }

    def _descend(
        self,
        values: list[Tensor],
        gradients: list[Tensor],
        memory: list[dict[str, Tensor]],
        decay: float,
        rate: float,
    ) -> None:
        steps = [each["step"] for each in memory]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            values,
            gradients,
            [each["exp_avg"] for each in memory],
            [each["exp_avg_sq"] for each in memory],
            [],
            steps,
            lr=rate,
            beta1=self.momentum,
            beta2=self.BETA2,
            weight_decay=decay,
            eps=self.EPSILON,
            amsgrad=False,
            maximize=False,
        )


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as in the paper; weight decay in the gradient."""

    def _first_memory(self, value: Tensor) -> dict[str, Tensor]:
        return {"momentum_buffer": torch.zeros_like(value)}

    def _descend(
        self,
        values: list[Tensor],
        gradients: list[Tensor],
        memory: list[dict[str, Tensor]],
        decay: float,
        rate: float,
    ) -> None:
        if decay:
            gradients = list(torch._foreach_add(gradients, values, alpha=decay))
        velocities = [each["momentum_buffer"] for each in memory]
        torch._foreach_mul_(velocities, self.momentum)
        torch._foreach_add_(velocities, gradients)
        torch._foreach_add_(values, velocities, alpha=-rate)

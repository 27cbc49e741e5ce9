"""The weights that a training keeps: averaged over its steps, without batch normalisation."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ulens.nets.network import Network
from ulens.nets.normalized import Moments, adopt, fold, freeze, measure_outputs
from ulens.planning.plan import Plan
from ulens.training.tiles import Tiles

DENSE_AVERAGE_STEPS, AVERAGE_EVERY = 100, 4


def autocast(plan: Plan, device: torch.device) -> torch.autocast:
    """Return the context in which the plan's arithmetic is done."""
    is_mixed = plan.tensors.precision == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_mixed)


class KeptWeights:
    """What is kept of a network that is being trained.

    Parameters
    ----------
    net : the network, on its device; where the plan wants it, as `normalize` leaves it
    plan, tiles : of the training
    is_trained : whether the network is that of a model, whose function is kept

    Notes
    -----
    Where the plan wants batch normalisation, a tile is normalised by its own moments until
    `freeze`, and then by moments that stay, as at prediction.
    """

    def __init__(self, net: Network, plan: Plan, tiles: Tiles, *, is_trained: bool) -> None:
        self.moments: dict[str, Moments] = {}
        """Those that stay, by the names of the convolutions; none before `freeze`."""
        self._net, self._plan, self._tiles = net, plan, tiles
        self._measured: dict[tuple[bool, bool, int], dict[str, Moments]] = {}
        """Of the weights as they are: by whether they have learned, and which images there are."""
        if plan.network.batch_norm and is_trained:
            # in the arithmetic of all steps: then scales and moments cancel out
            plain = tiles.plain()
            with autocast(plan, plain.device):
                self._measured[True, tiles.uses_all, len(tiles.images)] = adopt(net, plain)
        self.average = {name: value.detach().clone() for name, value in net.named_parameters()}

    def follow(self, step: int) -> None:
        """Bring the running average up to date after a step."""
        self._measured.clear()
        # it moves slowly: once it is long, it need not be brought up to date at every step
        every = 1 if step < DENSE_AVERAGE_STEPS else AVERAGE_EVERY
        averaging = self._plan.optimizer.averaging
        if averaging > 0 and (step + 1) % every == 0:
            decay = min(averaging, (step + 1) / (step + 10)) ** every
            current = [value.detach() for value in self._net.parameters()]
            torch._foreach_lerp_(list(self.average.values()), current, 1 - decay)

    def plain(self, *, has_learned: bool) -> dict[str, Tensor]:
        """Return the weights of a network without normalisation: the average, or the last ones.

        Parameters
        ----------
        has_learned : False spares the time for good moments
        """
        is_averaged = self._plan.optimizer.averaging > 0
        kept = self.average if is_averaged else dict(self._net.named_parameters())
        if self._plan.network.batch_norm:
            kept = fold(kept, self.moments or self._measure_once(kept, has_learned=has_learned))
        return {name: value.detach().clone() for name, value in kept.items()}

    @torch.no_grad()
    def freeze(self) -> dict[str, Moments]:
        """Go on from the averaged weights; return the moments that they have, for `use`."""
        if self._plan.optimizer.averaging > 0:
            for name, value in self._net.named_parameters():
                value.copy_(self.average[name])
        return self._measure_once(dict(self._net.named_parameters()), has_learned=True)

    def use(self, moments: Mapping[str, Moments]) -> None:
        """Normalise every tile by these moments; without any, by its own."""
        self._measured.clear()
        device = next(self._net.parameters()).device
        self.moments = {
            name: (mean.to(device), variance.to(device))
            for name, (mean, variance) in moments.items()
        }
        freeze(self._net, self.moments)

    def _measure_once(
        self, weights: Mapping[str, Tensor], *, has_learned: bool
    ) -> dict[str, Moments]:
        # a training is saved before its first step, which freezes them, too; at its end it is
        # saved, scored and saved with its score, all after one step
        of = has_learned, self._tiles.uses_all, len(self._tiles.images)
        if of not in self._measured:
            self._measured[of] = self._measure(weights, has_learned=has_learned)
        return self._measured[of]

    def _measure(self, weights: Mapping[str, Tensor], *, has_learned: bool) -> dict[str, Moments]:
        tiles = self._tiles.plain() if has_learned else self._tiles.plain(1)
        with autocast(self._plan, tiles.device):
            return measure_outputs(self._net, weights, tiles)

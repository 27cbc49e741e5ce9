"""Several processes that train one network together, as `torchrun` starts them."""

import os
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process and how many there are.

    Parameters
    ----------
    rank : number of this process; 0 is the one that speaks and writes
    num : of all processes
    """

    rank: int = 0
    num: int = 1

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.num > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def from_first(self, value: Value) -> Value:
        """Return the value of process 0."""
        if self.num == 1:
            return value
        holder = [value]
        distributed.broadcast_object_list(holder)
        return holder[0]

    def share_gradients(self, net: nn.Module) -> nn.Module:
        """Return a module that computes `net`; every gradient is the mean over the processes."""
        return net if self.num == 1 else nn.parallel.DistributedDataParallel(net)


ALONE = Ranks()


def join_ranks(device: torch.device) -> tuple[Ranks, torch.device]:
    """Return this process among those that torchrun started, and its device.

    Parameters
    ----------
    device : that was chosen; of several GPUs each process of a machine takes its own
    """
    num = int(os.environ.get("WORLD_SIZE", "1"))
    if num == 1:
        return ALONE, device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(distributed.get_rank(), num), device

"""Ways to compute a network, all to the same result."""

import copy
import importlib.util
import sys
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ulens.encodings.table import Activation
from ulens.errors import SettingError
from ulens.nets.network import Network
from ulens.nets.quantized import Ranges, quantize
from ulens.nets.unet import UNet

EngineName = Literal["fp32", "bf16", "openvino-fp32", "openvino-bf16", "openvino-int8"]
Engine = Callable[[Tensor], Tensor]
"""Maps (1, C, Y, X) float32 on the CPU to outputs (1, K, y, x) float32 on the engine's device."""

_NUM_COMPILED = 4


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" takes the first there is of cuda, mps, cpu.

    Raises
    ------
    SettingError : this computer has no such device

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    available = [
        device
        for device, is_there in (
            ("cuda", torch.cuda.is_available()),
            ("mps", torch.backends.mps.is_available()),
            ("cpu", True),
        )
        if is_there
    ]
    if name == "auto":
        return torch.device(available[0])
    kind, _, index = name.partition(":")
    num_devices = torch.cuda.device_count() if kind == "cuda" else 1
    if kind in available and (not index or (index.isdecimal() and int(index) < num_devices)):
        return torch.device(name)
    raise SettingError(
        f"device is {name!r}; this computer has {', '.join(available)}; "
        "choose one of these or 'auto'"
    )


def has_fast_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 natively rather than by emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # what the processor has does not count where torch was asked not to use it
    if device.type != "cpu" or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    # private names of recent torch: an older one without them computes in fp32
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def engines_here(device: torch.device) -> tuple[EngineName, ...]:
    """Return what this computer can compute natively, "fp32" first."""
    names: list[EngineName] = ["fp32"]
    openvino = device.type == "cpu" and importlib.util.find_spec("openvino") is not None
    if openvino:
        names.append("openvino-fp32")
    if has_fast_bf16(device):
        names.append("bf16")
        if openvino:
            names.append("openvino-bf16")
    if openvino:
        names.append("openvino-int8")
    return tuple(names)


def torch_engine(device: torch.device) -> Literal["fp32", "bf16"]:
    """Return the engine that needs no preparation: for networks that are used only a few times."""
    return "bf16" if has_fast_bf16(device) else "fp32"


def build_engine(
    name: EngineName, net: Network, device: torch.device, int8: Ranges | None = None
) -> Engine:
    """Return a copy of `net` that computes by the engine `name`.

    Parameters
    ----------
    int8 : the convolutions that "openvino-int8" computes in 8-bit integers, with the ranges of
        their inputs; the others are computed in bfloat16 where the computer has it, else in fp32

    Raises
    ------
    SettingError : there is no such engine on this computer, or for this network
    """
    here = engines_here(device)
    if name not in here and name != "bf16":
        raise SettingError(
            f"engine is {name!r}; this computer has {', '.join(here)}"
            + ("; install openvino, e.g. ulens[fast]" if name.startswith("openvino") else "")
        )
    if name == "openvino-int8":
        if not int8 or not isinstance(net, UNet):
            raise SettingError(
                "engine is 'openvino-int8', but this model has no convolutions that 8-bit integers "
                f"compute well enough; choose of {', '.join(here[:-1])}"
            )
        return _OpenVino(quantize(net, int8), "bf16" if has_fast_bf16(device) else "f32")
    if name.startswith("openvino"):
        return _OpenVino(net, "f32" if name == "openvino-fp32" else "bf16")
    return _Torch(net, device, torch.bfloat16 if name == "bf16" else torch.float32)


def activate(outputs: Tensor, activation: Activation) -> Tensor:
    """Return maps (K, y, x) in [0, 1] of outputs: probabilities, or distances clipped."""
    return torch.softmax(outputs, dim=0) if activation == "softmax" else outputs.clamp(0, 1)


class _Torch:
    """PyTorch, with the channels of a pixel side by side, which its fast convolutions want."""

    def __init__(self, net: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._net = copy.deepcopy(net).eval().requires_grad_(False)
        # mypy lacks this overload of Module.to
        self._net.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    # never around a yield: inference mode must not leak to whoever iterates
    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        return self._net(x).float()


class _OpenVino:
    """OpenVINO on the CPU; the network is compiled again for each size, the last few are kept."""

    def __init__(self, net: Network, precision: Literal["f32", "bf16"]) -> None:
        openvino = import_openvino()
        still = copy.deepcopy(net).float().cpu().eval().requires_grad_(False)
        side = net.geometry.base + net.geometry.alignment  # the base alone may be a special case
        with warnings.catch_warnings():
            # checks of sizes are not traced, as wanted: the predictor plans valid ones
            warnings.simplefilter("ignore")
            self._model = openvino.convert_model(
                still, example_input=torch.zeros(1, net.in_channels, side, side)
            )
        self._core = openvino.Core()
        self._settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, x: Tensor) -> Tensor:
        shape = tuple(x.shape)
        if shape not in self._compiled:
            if len(self._compiled) == _NUM_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            model = self._model.clone()
            model.reshape(list(shape))
            self._compiled[shape] = self._core.compile_model(model, "CPU", self._settings)
        outputs = self._compiled[shape](x.contiguous().numpy())[0]
        return torch.from_numpy(np.array(outputs, np.float32))


def import_openvino() -> Any:
    # OpenVINO tells its makers of every import if this package is there; without it, nothing
    telemetry = "openvino_telemetry"
    is_loaded = telemetry in sys.modules
    sys.modules.setdefault(telemetry, None)  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if not is_loaded:
            del sys.modules[telemetry]
    return openvino

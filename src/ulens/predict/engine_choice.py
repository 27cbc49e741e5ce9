"""Which engine is fastest on this computer, of those that compute the same."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pooch
import torch
from torch import Tensor

from ulens.bundle import ModelBundle
from ulens.errors import OutputError
from ulens.instances.encodings import ENCODINGS, Activation
from ulens.io.atomic import write_file
from ulens.predict.engines import (
    Engine,
    EngineName,
    activate,
    build_engine,
    engines_here,
    torch_engine,
)
from ulens.predict.timing import time_interleaved, time_once

MAX_DIFFERENCE = 2e-3
MIN_AGREEMENT = 0.999
NUM_ROUNDS = 3
WORTH_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """The engine that a model is run by, and why.

    Parameters
    ----------
    engine : the fastest that computes what "fp32" computes
    seconds : of one run on the model's example, by engine; empty if there was nothing to choose
    rejected : what speaks against an engine, by its name
    is_new : measured just now, not at an earlier use
    """

    engine: EngineName
    seconds: Mapping[str, float]
    rejected: Mapping[str, str]
    is_new: bool = True

    def __str__(self) -> str:
        words = f"engine {self.engine}"
        if self.engine != "fp32" and self.seconds:
            speed = self.seconds["fp32"] / self.seconds[self.engine]
            words += f", on this computer {speed:.1f} times as fast as fp32"
        return words + "".join(f"; not {name}: {why}" for name, why in self.rejected.items())


def choose_engine(
    bundle: ModelBundle, device: torch.device, *, cache: Path | None = None
) -> EngineChoice:
    """Measure the engines of this computer on the model's example, once for model and computer.

    Parameters
    ----------
    cache : folder for what was measured; None is the user's cache folder

    Notes
    -----
    An engine is taken if its maps differ from those of fp32 by at most `MAX_DIFFERENCE` on
    average, and at least `MIN_AGREEMENT` of the pixels have the same most likely class. Where
    fp32 takes less than `WORTH_SECONDS`, the others are not tried. A model without an example is
    run by `torch_engine`.
    """
    names = engines_here(device)
    if len(names) == 1 or bundle.example is None:
        return EngineChoice(engine=torch_engine(device), seconds={}, rejected={}, is_new=False)
    path = (cache or Path(pooch.os_cache("ulens")) / "engines") / f"{_key(bundle, device)}.json"
    known = _read(path, names)
    if known is not None:
        return known
    choice = _measure(bundle, device, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(asdict(choice) | {"is_new": False}, indent=2).encode())
    except (OSError, OutputError):
        pass  # it will be measured again
    return choice


def _measure(
    bundle: ModelBundle, device: torch.device, names: tuple[EngineName, ...]
) -> EngineChoice:
    activation = ENCODINGS[bundle.encoding].activation
    assert bundle.example is not None
    example = torch.from_numpy(bundle.example)[None]
    engines: dict[EngineName, Engine] = {}
    rejected: dict[str, str] = {}
    for name in names:
        try:
            engine = build_engine(name, bundle.net, device)
            maps = _maps(engine(example), activation)
        except Exception as error:  # a library of others: whatever fails there, fp32 remains
            if name == "fp32":
                raise
            rejected[name] = f"it failed ({type(error).__name__}: {str(error).splitlines()[0]})"
            continue
        if name == "fp32":
            reference = maps
        why = _compare(reference, maps, activation)
        if why is not None:
            rejected[name] = why
            continue
        engines[name] = engine
        if name == "fp32" and time_once(partial(_run, engine, example)) < WORTH_SECONDS:
            break
    seconds = time_interleaved(
        {name: partial(_run, engine, example) for name, engine in engines.items()},
        num_rounds=NUM_ROUNDS,
    )
    fastest = min(engines, key=lambda name: seconds[name])
    return EngineChoice(engine=fastest, seconds=seconds, rejected=rejected)


def _run(engine: Engine, x: Tensor) -> Tensor:
    return engine(x).cpu()  # waits for a device that works on its own


def _maps(outputs: Tensor, activation: Activation) -> np.ndarray:
    return activate(outputs.cpu()[0], activation).numpy()


def _compare(reference: np.ndarray, maps: np.ndarray, activation: Activation) -> str | None:
    """Return what speaks against maps, or None."""
    difference = float(np.abs(reference - maps).mean())
    if not difference <= MAX_DIFFERENCE:
        return f"its maps differ by {difference:.2g} on average, {MAX_DIFFERENCE:g} is allowed"
    if activation == "softmax":
        agreement = float((reference.argmax(0) == maps.argmax(0)).mean())
        if agreement < MIN_AGREEMENT:
            return f"{agreement:.2%} of its pixels agree, {MIN_AGREEMENT:.1%} are needed"
    return None


def _key(bundle: ModelBundle, device: torch.device) -> str:
    digest = hashlib.sha256()
    for name, tensor in bundle.net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    computer = (
        platform.machine(),
        platform.node(),
        torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        torch.get_num_threads(),
    )
    digest.update(repr((computer, torch.__version__, _openvino_version())).encode())
    return digest.hexdigest()


def _openvino_version() -> str | None:
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def _read(path: Path, names: tuple[EngineName, ...]) -> EngineChoice | None:
    try:
        choice = EngineChoice(**json.loads(path.read_bytes()))
        is_known = choice.engine in names and {"fp32", choice.engine} <= choice.seconds.keys()
        return choice if is_known else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None

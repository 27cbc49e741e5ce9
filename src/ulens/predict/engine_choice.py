"""Which engine is fastest on this computer, of those that compute the same."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulens.bundle import ModelBundle
from ulens.encodings.table import ENCODINGS, Activation, decode_maps
from ulens.errors import OutputError, SettingError
from ulens.io.atomic import write_file
from ulens.labels.meaning import LabelsAre
from ulens.metrics.ctc import seg_scores
from ulens.metrics.semantic import semantic_scores
from ulens.predict.engines import (
    Engine,
    EngineName,
    activate,
    build_engine,
    engines_here,
    torch_engine,
)
from ulens.predict.timing import time_interleaved, time_once
from ulens.record import read_json, read_record
from ulens.resample import inverse, resample

NUM_ROUNDS = 3
WORTH_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """By how much maps may differ from those of fp32.

    Parameters
    ----------
    difference : on average, at most
    agreement : share of the pixels that have the same most likely class, at least
    score_change : of the example (SEG of instances, mean IoU of classes), at most
    """

    difference: float = 2e-3
    agreement: float = 0.999
    score_change: float = 1e-3


ALLOWED = Tolerance()


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
    seconds: dict[str, float]
    rejected: dict[str, str]
    is_new: bool = True

    def __str__(self) -> str:
        words = f"engine {self.engine}"
        if self.engine != "fp32" and self.seconds:
            speed = self.seconds["fp32"] / self.seconds[self.engine]
            words += f", on this computer {speed:.1f} times as fast as fp32"
        return words + "".join(f"; not {name}: {why}" for name, why in self.rejected.items())


def choose_engine(
    bundle: ModelBundle,
    device: torch.device,
    *,
    cache: Path | None = None,
    worth_seconds: float = WORTH_SECONDS,
) -> EngineChoice:
    """Measure the engines of this computer on the model's example, once for model and computer.

    Parameters
    ----------
    cache : folder for what was measured; None is the user's cache folder
    worth_seconds : where one run of fp32 takes less, the others are not tried

    Notes
    -----
    An engine is taken if its maps differ from those of fp32 by no more than is `ALLOWED`. A model
    without an example is run by `torch_engine`.
    """
    names = tuple(n for n in engines_here(device) if n != "openvino-int8" or bundle.int8)
    if len(names) == 1 or bundle.example is None:
        return EngineChoice(engine=torch_engine(device), seconds={}, rejected={}, is_new=False)
    path = (cache or _users_cache()) / f"{_key(bundle, device)}.json"
    known = _read(path, names)
    if known is not None:
        return known
    choice = _measure(bundle, device, names, worth_seconds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(asdict(choice) | {"is_new": False}, indent=2).encode())
    except (OSError, OutputError):
        pass  # it will be measured again
    return choice


def _users_cache() -> Path:
    import pooch  # here, since a training does not need it

    return Path(pooch.os_cache("ulens")) / "engines"


def _measure(
    bundle: ModelBundle,
    device: torch.device,
    names: tuple[EngineName, ...],
    worth_seconds: float,
) -> EngineChoice:
    activation = ENCODINGS[bundle.encoding].activation
    assert bundle.example is not None
    example = torch.from_numpy(bundle.example)[None]
    engines: dict[EngineName, Engine] = {}
    rejected: dict[str, str] = {}
    for name in names:
        try:
            engine = build_engine(name, bundle.net, device, bundle.int8)
            maps = _maps(engine(example), activation)
        except Exception as error:  # a library of others: whatever fails there, fp32 remains
            if name == "fp32":
                raise
            said = (str(error).splitlines() or ["no reason given"])[0]
            rejected[name] = f"it failed ({type(error).__name__}: {said})"
            continue
        if name == "fp32":
            reference = maps
            score = _score(bundle, maps)
        why = _compare(reference, maps, activation) or _compare_scores(score, _score(bundle, maps))
        if why is not None:
            rejected[name] = why
            continue
        engines[name] = engine
        if name == "fp32" and time_once(partial(_run, engine, example)) < worth_seconds:
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
    difference, disagreement = differences(reference, maps, activation)
    if not difference <= ALLOWED.difference:
        return f"its maps differ by {difference:.2g} on average, {ALLOWED.difference:g} is allowed"
    if disagreement > 1 - ALLOWED.agreement:
        return f"{1 - disagreement:.2%} of its pixels agree, {ALLOWED.agreement:.1%} are needed"
    return None


def differences(
    reference: np.ndarray, maps: np.ndarray, activation: Activation
) -> tuple[float, float]:
    """Return how much (…, K, Y, X) maps differ on average, and in what share of the pixels they
    name another class; 0 where they are no probabilities.
    """
    difference = float(np.abs(reference - maps).mean())
    if activation != "softmax":
        return difference, 0.0
    return difference, float((reference.argmax(-3) != maps.argmax(-3)).mean())


def smooth_score(
    truth: Sequence[np.ndarray], found: Sequence[np.ndarray], labels_are: LabelsAre
) -> float | None:
    """Return a score that small changes of the maps move little: SEG, or mean IoU of classes.

    None where the truth holds no foreground.
    """
    if not any((label > 0).any() for label in truth):
        return None
    if labels_are == "classes":
        return semantic_scores(truth, found).mean_iou
    pairs = zip((label.clip(0) for label in truth), found, strict=True)
    return seg_scores(pairs).seg


def _score(bundle: ModelBundle, maps: np.ndarray) -> float | None:
    if bundle.example_label is None:
        return None
    maps = resample(maps, inverse(bundle.zoom), bundle.example_label.shape)
    _, found = decode_maps(bundle.encoding, maps, bundle.decoding)
    return smooth_score([bundle.example_label], [found], bundle.labels_are)


def _compare_scores(score: float | None, other: float | None) -> str | None:
    if score is None or other is None or abs(score - other) <= ALLOWED.score_change:
        return None
    return f"the score of the example moves from {score:.4f} to {other:.4f}"


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
        # one folder of what was measured may serve computers of one name
        _processor(),
        torch.backends.cpu.get_cpu_capability(),
        os.environ.get("ONEDNN_MAX_CPU_ISA"),
    )
    libraries = torch.__version__, _openvino_version()
    digest.update(repr((computer, libraries, sorted(bundle.int8.items()))).encode())
    return digest.hexdigest()


def _processor() -> str | None:
    """Return the name of the processor, as far as this version of torch tells it."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return None
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return capabilities.get("cpu_name")


def _openvino_version() -> str | None:
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def _read(path: Path, names: tuple[EngineName, ...]) -> EngineChoice | None:
    try:
        choice = read_record(EngineChoice, read_json(path.read_bytes(), path.name), "choice")
        is_known = choice.engine in names and {"fp32", choice.engine} <= choice.seconds.keys()
        return choice if is_known else None
    except (OSError, SettingError):
        return None

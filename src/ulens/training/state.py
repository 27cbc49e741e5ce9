"""The state of a training in one file, so that saving it is one atomic replacement."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ulens.errors import OutputError, SettingError, TrainingError
from ulens.io.atomic import replace_files
from ulens.record import read_json, show


def save_state(path: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a JSON record; the old file survives every failure.

    Raises
    ------
    OutputError : the disk is full or not writable
    """
    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"record": json.dumps(record)},
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_files(path.parent, {path.name: data})
    except OSError as error:
        raise OutputError(
            f"the training state could not be written to {path}: {error.strerror or error}; the "
            "state before it is kept; free some space and continue with --resume"
        ) from error


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote; what the record holds is for its reader to check.

    Raises
    ------
    TrainingError : there is no such file, or it is damaged
    """
    with _opened(path) as file:
        record = _read_record(file)
        return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118


def check_tensor(name: str, found: Tensor | None, like: Tensor) -> Tensor:
    """Return a tensor of a file that is to take the place of another.

    Raises
    ------
    SettingError : it is missing, or of another shape or type
    """
    if found is None or found.shape != like.shape or found.dtype != like.dtype:
        is_what = "missing" if found is None else f"{found.dtype} {tuple(found.shape)}"
        raise SettingError(f"{name} is {is_what}; need {like.dtype} {tuple(like.shape)}")
    return found


def load_record(path: Path) -> dict[str, Any]:
    """Read the JSON record alone; raises as `load_state`."""
    with _opened(path) as file:
        return _read_record(file)


def _read_record(file: Any) -> dict[str, Any]:
    record = read_json((file.metadata() or {}).get("record", "").encode(), "its record")
    if not isinstance(record, dict):
        raise SettingError(f"its record is {show(record)}")
    return record


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise TrainingError(
            f"there is no training to resume in {path.parent}; start it without --resume"
        )
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, SettingError) as error:
        raise TrainingError(
            f"{path} is damaged ({error}); the model beside it still works, but training has "
            "to start over, without --resume"
        ) from error

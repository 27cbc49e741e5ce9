"""`--json` of every command: what came out, as one JSON object for other programs."""

import functools
import inspect
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from cyclopts import Parameter

import ulens
from ulens.errors import SettingError, UlensError
from ulens.io.atomic import write_file
from ulens.io.writable import check_parent, check_writable
from ulens.jobs.steps import Message
from ulens.record import read_json

Summary = dict[str, Any]
"""What a command tells; it fills this in as it goes, so that a failure leaves what came before."""

_HELP = """
    Parameters
    ----------
    json
        file for a summary of what came out, as one JSON object; - is standard output, and all
        else is then printed to standard error
"""
_STDOUT = Path("-")
_PATH = Annotated[Path | None, Parameter(allow_leading_hyphen=True)]
Event = TypeVar("Event")


def summarized(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--json`.

    Parameters
    ----------
    command : takes its settings, if any, and fills in `summary`
    """
    signature = inspect.signature(command)
    own = [each for name, each in signature.parameters.items() if name != "summary"]
    option = inspect.Parameter(
        "json", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_PATH
    )

    @functools.wraps(command)
    def run(*settings: Any, json: Path | None = None) -> None:
        if json is None or int(os.environ.get("RANK", "0")):  # of several, the first one tells
            command(*settings, summary=_begin(command))
            return
        overwrite = any(getattr(each, "overwrite", False) for each in settings)
        _check(json, overwrite)
        stdout = sys.stdout
        with redirect_stdout(sys.stderr) if json == _STDOUT else nullcontext():
            summary = _begin(command)
            try:
                with _timed(summary), _warnings_to(summary):
                    command(*settings, summary=summary)
            finally:
                text = to_json(summary)
                if json == _STDOUT:
                    print(text, end="", file=stdout, flush=True)
                else:
                    write_file(json, text.encode())

    run.__signature__ = signature.replace(parameters=[*own, option])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*own, option)}
    run.__doc__ = f"{command.__doc__}\n{_HELP}"
    del run.__wrapped__
    return run


def keep_notes(events: Iterable[Event], summary: Summary) -> Iterator[Event]:
    """Pass events on, and keep what the user should read."""
    for event in events:
        if isinstance(event, Message):
            summary["notes"].append(event.text)
        yield event


def to_json(value: Any) -> str:
    """Return any value as JSON in ASCII: paths are strings, and what is no finite number is null.

    Examples
    --------
    >>> print(to_json({"out": Path("a"), "score": math.nan, "sizes": (1, np.int64(2))}), end="")
    {
      "out": "a",
      "score": null,
      "sizes": [
        1,
        2
      ]
    }
    """
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def _begin(command: Callable[..., None]) -> Summary:
    return {
        "command": command.__name__,
        "ulens": ulens.__version__,
        "done": False,
        "error": None,
        "seconds": 0.0,
        "warnings": [],
        "notes": [],
    }


def _check(path: Path, overwrite: bool) -> None:
    """Raise OutputError where a summary may not be written; that of a failed run may be replaced.

    Parameters
    ----------
    overwrite : of the settings
    """
    if path == _STDOUT or _has_failed(path):
        return
    if str(path).startswith("-"):
        raise SettingError(f"json is {path}; give the name of a file, or - for standard output")
    check_writable(path, "summary", replaces="it" if overwrite else None, overwrite=overwrite)
    check_parent(path, "summary")


def _has_failed(path: Path) -> bool:
    """Return whether a file is the summary of a run that came to no end."""
    try:
        found = read_json(path.read_bytes(), path.name)
    except (OSError, UlensError):
        return False
    return isinstance(found, dict) and "ulens" in found and found.get("done") is False


@contextmanager
def _timed(summary: Summary) -> Iterator[None]:
    """Tell how long it took, and how it ended."""
    start = time.monotonic()
    try:
        yield
        summary["done"] = True
    except KeyboardInterrupt:
        summary["error"] = "interrupted"
        raise
    except BaseException as error:
        summary["error"] = str(error) or type(error).__name__
        raise
    finally:
        summary["seconds"] = round(time.monotonic() - start, 3)


@contextmanager
def _warnings_to(summary: Summary) -> Iterator[None]:
    """Keep the warnings of ulens, too, which are shown as before."""
    shown = warnings.showwarning

    def keep(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if category.__module__.startswith("ulens."):
            summary["warnings"].append(str(message))
        shown(message, category, *rest, **more)

    warnings.showwarning = keep
    try:
        yield
    finally:
        warnings.showwarning = shown


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Iterable):
        return [_plain(each) for each in value]
    return str(value)

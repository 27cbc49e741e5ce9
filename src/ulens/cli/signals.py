"""What ends a process: Ctrl-C, kill, and the terminal's end, all in one way."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENDING = [each for each in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, each)]
"""Ctrl-C; kill, and the end of a cluster job's time; the terminal was closed."""


@contextmanager
def interrupted_by_all() -> Iterator[None]:
    """Have all that ends the process raise KeyboardInterrupt, as Ctrl-C does, so that it tidies up.

    What the user had ignored, as with nohup, stays so.
    """

    def interrupt(*_: object) -> None:
        say_if_heard("stopping")
        raise KeyboardInterrupt

    with listen(interrupt, [each for each in ENDING if each != "SIGINT"]):
        yield


@contextmanager
def listen(handler: Any, names: list[str]) -> Iterator[None]:
    """Call a handler at signals that are not ignored; those of before are put back at the end."""
    numbers = [getattr(signal, name) for name in names]
    numbers = [each for each in numbers if signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, handler) for each in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def say_if_heard(text: str) -> None:
    """Print a line; where the terminal is gone, say nothing from now on, so that work goes on."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (until the end)

"""What the command line changes in its own process, and a library may not: signals, allocator."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ulens.cli.signals import ENDING, listen, say_if_heard

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc


@contextmanager
def training_process() -> Iterator[threading.Event]:
    """Prepare the process for trainings; gives an event that the first signal to end sets.

    A second one interrupts. Where torchrun started several processes, only the first one listens:
    it tells the others when to end.
    """
    keep_freed_memory()
    stop = threading.Event()

    def ask_to_stop(*_: object) -> None:
        stop.set()
        listening.close()
        say_if_heard("stopping as soon as possible; Ctrl-C once more interrupts at once")

    is_first = int(os.environ.get("RANK", "0")) == 0
    with ExitStack() as listening:
        listening.enter_context(listen(ask_to_stop if is_first else signal.SIG_IGN, ENDING))
        yield stop


def keep_freed_memory() -> None:
    """Make the process keep freed memory for its next allocations, where that is possible.

    Notes
    -----
    A training step allocates the same large arrays again and again. glibc returns each to the
    system when it is freed, and the system clears every page again at the next step: a fifth of
    the time of a step on a CPU. Does nothing where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

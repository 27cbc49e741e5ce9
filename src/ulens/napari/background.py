"""What takes long is done beside the window, in a thread of its own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Signal

from ulens.errors import UlensError

Result = TypeVar("Result")


class Background(QObject):
    """Does one thing after the other, and hands each result to the window's thread.

    Parameters
    ----------
    parent : its owner
    """

    failed = Signal(str)
    _ended = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread = ThreadPoolExecutor(1, "ulens-background")
        self._ended.connect(self._hand_over)
        self._is_closed = False

    def do(self, work: Callable[[], Result], then: Callable[[Result], None]) -> None:
        """Do some work; then, in the window's thread, call `then` with its result.

        An error of ulens or of the system in `work` is told by the signal `failed` instead. After
        `close` nothing is done.
        """
        if self._is_closed:
            return
        self._thread.submit(work).add_done_callback(lambda future: self._ended.emit(then, future))

    def close(self) -> None:
        """Wait for what is at work; nothing more is done, nor handed over."""
        self._is_closed = True
        self._thread.shutdown(cancel_futures=True)

    def _hand_over(self, then: Callable[[Any], None], future: "Future[Any]") -> None:
        if self._is_closed or future.cancelled():
            return
        try:
            result = future.result()
        except (UlensError, OSError) as error:
            self.failed.emit(str(error))
        else:
            then(result)

"""What a notebook shows of a job that is called from Python: a line that is written anew."""

import sys
import time
from collections.abc import Callable
from typing import Any

from ulens.jobs.segmenting import SegmentProgress
from ulens.jobs.steps import Message, Trained, step_in_words
from ulens.training.evidence import name_scores
from ulens.training.trainer import StepLog

_SECONDS = 0.5
"""Between two states of the line."""


def notebook_progress() -> Callable[[object], None] | None:
    """Return what shows the events of a job in the notebook that runs this, or None elsewhere."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return NotebookProgress(ipython.display) if hasattr(shell, "kernel") else None


class NotebookProgress:
    """Shows the events of a training or a segmentation.

    Parameters
    ----------
    display : IPython.display, which all kinds of notebooks understand, without widgets
    """

    def __init__(self, display: Any) -> None:
        self._display, self._line, self._last = display, None, 0.0

    def __call__(self, event: object) -> None:
        """Show an event: messages as they are, steps and tiles as one line."""
        match event:
            case Message(text=text):
                print(text)
            case StepLog(skipped=str(name), step=step):
                print(f"training went astray on {name}: back to step {step}, on without that tile")
            case StepLog():
                self._write(f"training: {step_in_words(event)}", is_last=event.progress >= 1)
            case Trained(bundle=bundle, stopped=stopped):
                named = ", ".join(name_scores(bundle)) or "no score yet"
                print(f"{'stopped early' if stopped else 'done'}; on what was held out: {named}")
            case SegmentProgress():
                self._show_image(event)

    def _show_image(self, event: SegmentProgress) -> None:
        if event.note or event.error:
            print(event.note or f"left out: {event.error}")
        done = f"tile {event.tile} of {event.num_tiles}" if not event.written else "done"
        at = f"segmenting {event.number} of {event.num_images}, {event.image.name}: {done}"
        self._write(at, is_last=bool(event.written) and event.number == event.num_images)

    def _write(self, text: str, *, is_last: bool) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS and not is_last:
            return
        self._last = now
        content = {"text/plain": text}
        if self._line is None:
            self._line = self._display.display(content, raw=True, display_id=True)
        else:
            self._line.update(content, raw=True)

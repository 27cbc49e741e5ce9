"""What is painted is on disk soon after the stroke."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from ulens.annotated.project import Annotation, Box, write_boxes, write_labels
from ulens.project.project import Project

WAIT_MS = 500


class Autosave(QObject):
    """Writes labels and boxes of the plane in hand, in a thread of its own.

    Parameters
    ----------
    project : to write to
    wait_ms : from the first change to the writing of it and of those that follow
    """

    saved = Signal(str)
    failed = Signal(str)

    def __init__(self, project: Project, parent: QObject, *, wait_ms: int = WAIT_MS) -> None:
        super().__init__(parent)
        self._project, self._name = project, ""
        self._labels: np.ndarray = np.zeros((0, 0), np.int32)
        self._boxes: tuple[Box, ...] = ()
        self._written = Annotation(labels=self._labels)
        self._writer = ThreadPoolExecutor(1, "ulens-autosave")
        self._last: Future[None] = self._writer.submit(self._take_up, self._written)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(wait_ms)
        self._timer.timeout.connect(self._write)

    def hold(self, name: str, annotation: Annotation, written: Annotation) -> None:
        """Take another plane in hand; what is unwritten of the one before is written first.

        Parameters
        ----------
        name, annotation : of the plane
        written : a copy, as it is on disk
        """
        self.write()
        self._name, self._labels, self._boxes = name, annotation.labels, annotation.boxes
        self._last = self._writer.submit(self._take_up, written)

    def change(self, labels: np.ndarray, boxes: tuple[Box, ...]) -> None:
        """Take note of a change; `labels` may change further until it is written."""
        self._labels, self._boxes = labels, boxes
        if not self._timer.isActive():
            self._timer.start()

    def flush(self) -> None:
        """Write now what is unwritten, and wait for it."""
        self.write().result()

    def write(self) -> Future[None]:
        """Begin to write what is unwritten; return what to wait for."""
        if self._timer.isActive():
            self._timer.stop()
            self._write()
        return self._last

    def _write(self) -> None:
        annotation = Annotation(labels=self._labels.copy(), boxes=self._boxes)
        self._last = self._writer.submit(self._write_files, self._name, annotation)

    def _take_up(self, written: Annotation) -> None:
        self._written = written

    def _write_files(self, name: str, annotation: Annotation) -> None:
        before = self._written
        if before.boxes == annotation.boxes and np.array_equal(before.labels, annotation.labels):
            return
        try:
            write_labels(self._project.folder, name, annotation.labels)
            write_boxes(self._project.folder, name, annotation.boxes)
            self._project.note(name, annotation)
            self._written = annotation
        except OSError as error:
            self.failed.emit(f"the labels of {name} cannot be written: {error}")
        else:
            self.saved.emit(name)

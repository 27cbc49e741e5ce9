"""The worker of a seat, in a process of its own."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from qtpy.QtCore import QObject, QProcess, Signal

WAIT_MS = 30_000


class WorkerProcess(QObject):
    """Starts `ulens.project.worker` for a project, passes orders on, and tells what happens.

    Parameters
    ----------
    project : its folder
    """

    happened = Signal(dict)
    failed = Signal(str)

    def __init__(self, project: Path, parent: QObject) -> None:
        super().__init__(parent)
        self._arrays = TemporaryDirectory(prefix="ulens-")
        self._project, self._rest, self._is_ending = project, b"", False
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.SeparateChannels)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._end)
        self._begin()

    def order(self, do: str, **what: Any) -> None:
        """Give an order; a worker that died is started again."""
        if self._process.state() == QProcess.ProcessState.NotRunning:
            self._begin()
        self._process.write(json.dumps({"do": do, **what}).encode() + b"\n")

    def close(self) -> None:
        """Let the worker keep what there is, and end it."""
        if self._is_ending:
            return
        self._is_ending = True
        self._process.closeWriteChannel()
        if not self._process.waitForFinished(WAIT_MS):
            self._process.kill()
            self._process.waitForFinished(WAIT_MS)
        self._arrays.cleanup()

    def _begin(self) -> None:
        self._rest = b""
        arguments = ["-m", "ulens.project.worker", str(self._project), self._arrays.name]
        self._process.start(sys.executable, arguments)

    def _read(self) -> None:
        *lines, self._rest = (
            self._rest + bytes(self._process.readAllStandardOutput().data())
        ).split(b"\n")
        for line in lines:
            self.happened.emit(json.loads(line))

    def _end(self, code: int) -> None:
        if self._is_ending:
            return
        told = bytes(self._process.readAllStandardError().data()).decode(errors="replace")
        last = told.strip().splitlines()[-1:] or ["it was killed, perhaps for lack of memory"]
        self.failed.emit(f"the worker ended ({code}): {last[0]}; labels and models are kept")

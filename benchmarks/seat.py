"""How long the seat in napari makes one wait: pauses of the window, previews, strokes to disk.

    python benchmarks/seat.py OUT [--size PX] [--minutes M]

Needs the extra `napari` and a display, such as Xvfb's. Simulated cells of that size are opened as a
project; a box is annotated; then the network is trained for M minutes while a stroke is painted
every 10 seconds. Prints the longest pauses of the event loop by what happened in them, and the
times from the button to the first preview and between previews, from a stroke's end to the disk,
and from there into the training. OUT/seat.png is a picture of the window.
"""

import argparse
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from ulens.annotated.project import Box, labels_file, write_boxes, write_labels
from ulens.image import Image
from ulens.io.tiff import write_tiff
from ulens.napari.seat import Seat
from ulens.project.project import Project
from ulens.simulate.challenges import simulate_cells

TICK_MS, STROKE_SECONDS, LARGEST_PART = 5, 10.0, 512


class Pauses:
    """The longest times for which the event loop did nothing else, by what was done in them."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}
        self.what, self._last = "", time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        what, self.what = self.what or "nothing", ""
        self.longest[what] = max(self.longest.get(what, 0.0), now - self._last - TICK_MS / 1000)
        self._last = now

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Say what is done; the tick after it counts as its own."""
        self.what = what
        yield
        self.what = what


def main() -> None:
    options = read_options()
    project, truth = make_project(options.out, options.size)
    app = QApplication.instance() or QApplication([])
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    seat = Seat(viewer)
    viewer.window.add_dock_widget(seat, name="ulens", area="right")
    seat.open_project(project.images)
    while seat.hand is None:
        spin(app, 0.02)
    pauses = Pauses()
    seen = listen(seat, pauses)
    spin(app, 5)
    pauses.longest.clear()
    for shift in range(20):
        with pauses.during("drawing the window anew, without training"):
            viewer.camera.zoom *= 1.01 if shift % 2 else 1 / 1.01
        spin(app, 0.2)
    with pauses.during("the button"):
        seat._training.minutes.setValue(options.minutes)
        seat.train_or_stop()
    begun, painted, written = time.perf_counter(), [], []
    next_stroke = begun + STROKE_SECONDS
    path = labels_file(project.folder, "c0")
    ids = list(np.unique(truth[truth > 0]))
    while not any(kind == "trained" for kind, _ in seen):
        spin(app, 0.02)
        if time.perf_counter() > next_stroke and ids:
            before = path.stat().st_mtime_ns
            with pauses.during("a stroke"):
                paint(seat, truth, ids.pop())
            painted.append(time.perf_counter())
            while path.stat().st_mtime_ns == before:
                spin(app, 0.02)
            written.append(time.perf_counter())
            next_stroke = time.perf_counter() + STROKE_SECONDS
    viewer.window.screenshot(str(options.out / "seat.png"))
    report(pauses, seen, begun, painted, written)
    seat.close_project()
    viewer.close()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--minutes", type=float, default=1.0)
    return parser.parse_args()


def make_project(out: Path, size: int) -> tuple[Project, np.ndarray]:
    """Write an image, annotate a box of it; return the project and the truth."""
    for name in ("cells", "cells-ulens"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "cells").mkdir(parents=True)
    image, truth = simulate(size)
    write_tiff(out / "cells" / "c0.tif", Image(data=image, axes="YX"))
    project = Project.open(out / "cells")
    box = Box(0, 0, min(size, 256), min(size, 256))
    labels = np.zeros_like(truth)
    labels[box.window] = truth[box.window]
    write_labels(project.folder, "c0", labels)
    write_boxes(project.folder, "c0", [box])
    return project, truth


def simulate(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate an image of cells; larger ones repeat a part, with numbers of their own."""
    (image,), (truth,) = simulate_cells(1, min(size, LARGEST_PART))
    times = -(-size // len(image))
    tiles = np.arange(times * times).reshape(times, times)
    numbers = np.kron(tiles, np.ones(truth.shape, int)) * int(truth.max())
    repeated = np.tile(truth.astype(np.int32), (times, times))
    truth = np.where(repeated > 0, repeated + numbers, 0)
    return np.tile(image, (times, times))[:size, :size], truth[:size, :size]


def listen(seat: Seat, pauses: Pauses) -> list[tuple[str, float]]:
    """Return a list to which what the worker tells is added, with its time, once it is shown."""
    seen: list[tuple[str, float]] = []

    def note(event: dict[str, Any]) -> None:
        seen.append((event["event"], time.perf_counter()))
        if event["event"] in ("preview", "guess"):
            pauses.what = "showing a prediction"

    assert seat._worker is not None
    seat._worker.happened.connect(note)
    return seen


def paint(seat: Seat, truth: np.ndarray, number: int) -> None:
    """Paint an object as a stroke of many points does, without the mouse."""
    assert seat.hand is not None
    labels = seat.hand.labels
    labels.selected_label = int(number)
    where = np.nonzero(truth == number)
    labels.data_setitem(where, int(number))


def spin(app: QApplication, seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        app.processEvents()
        time.sleep(0.001)


def report(
    pauses: Pauses,
    seen: list[tuple[str, float]],
    begun: float,
    painted: list[float],
    written: list[float],
) -> None:
    for what, seconds in sorted(pauses.longest.items(), key=lambda each: -each[1]):
        print(f"longest pause, {what}: {1000 * seconds:.0f} ms")
    shown = [at for kind, at in seen if kind == "preview"]
    print(f"first preview after {shown[0] - begun:.1f} s, {len(shown)} in all")
    if len(shown) > 1:
        gaps = np.diff(shown)
        print(f"between previews: median {np.median(gaps):.1f} s, longest {gaps.max():.1f} s")
    if painted:
        on_disk = [b - a for a, b in zip(painted, written, strict=True)]
        print(f"from stroke to disk: median {statistics.median(on_disk):.2f}, {max(on_disk):.2f} s")
    taken = [at for kind, at in seen if kind == "labels"]
    waits = [min((t - w for t in taken if t > w), default=np.nan) for w in painted]
    if waits:
        print(f"from stroke into the training: {np.nanmedian(waits):.1f}, {np.nanmax(waits):.1f} s")


if __name__ == "__main__":
    main()

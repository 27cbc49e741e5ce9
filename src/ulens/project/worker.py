"""A process of its own that guesses and trains for a seat, so that its window never waits.

It takes orders, and tells what happens, a line of JSON each. Orders are {"do": "guess", "name":
…}, "train" with seconds and go_on, "segment" with names, "segment_folder" with images and results,
"suggest" with a number, "use" with a round, "show" with a name, and "stop". What happens is
{"event": "guess", "labels": FILE, …}, "preview", "step", "score", "labels", "message", "trained",
"added", "progress", "segmented", "error" and "idle". At the end of its input it stops what it
does, keeps what there is, and ends.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ulens.annotated.project import Box, read_boxes
from ulens.bundle import START, load_bundle
from ulens.channels import is_grey
from ulens.errors import SettingError, Stopped, UlensError
from ulens.io.atomic import write_array
from ulens.jobs.segment import run_segmentation
from ulens.jobs.segmenting import SegmentProgress, SegmentSettings
from ulens.jobs.steps import Message, TrainEvent
from ulens.jobs.suggest import Suggested, SuggestSettings, run_suggestions
from ulens.planning.recipes import OBJECT_PX, ZOOMS
from ulens.predict.engines import choose_device, torch_engine
from ulens.predict.segmenter import Found, Segmenter
from ulens.project.project import Project, Round
from ulens.project.rounds import train_round
from ulens.training.session import Session, Validation
from ulens.training.trainer import StepLog

SHOW_SECONDS, TELL_SECONDS, GENTLE = 8.0, 0.25, 10
TRAINING_SHARE = 2.0
"""From one look at the image on screen to the next passes at least so many times what it takes."""

Order = dict[str, Any]


class Worker:
    """Does what a seat asks for, one thing after the other.

    Parameters
    ----------
    project : to work for
    folder : for the arrays that events name
    tell : called with each event
    """

    def __init__(self, project: Project, folder: Path, tell: Callable[[Order], None]) -> None:
        self._project, self._folder, self._tell = project, folder, tell
        self._orders: queue.Queue[Order | None] = queue.Queue()
        self._waiting: list[Order | None] = []
        self._stop = threading.Event()
        self._shown: str | None = None
        self._view: Box | None = None
        self._read: tuple[str, np.ndarray] | None = None
        self._round: int | None = None
        self._model: tuple[Path, Segmenter] | None = None
        self._show_next = self._told = 0.0
        self._do: dict[str, Callable[..., None]] = {
            "guess": self._guess, "train": self._train, "segment": self._segment,
            "segment_folder": self._segment_folder, "suggest": self._suggest,
            "use": self._use, "show": self._show, "stop": lambda: None,
        }  # fmt: skip

    def order(self, order: Order | None) -> None:
        """Take an order, from any thread; None is the last."""
        self._orders.put(order)
        if order is None or order["do"] == "stop":
            self._stop.set()

    def run(self) -> None:
        """Do what is ordered until the last order."""
        while (order := self._next()) is not None:
            self._stop.clear()
            try:
                self._do[order["do"]](**{k: v for k, v in order.items() if k != "do"})
            except Stopped as stopped:
                self._tell({"event": "message", "text": str(stopped)})
            except (UlensError, OSError) as error:
                self._tell({"event": "error", "text": str(error)})
            self._tell({"event": "idle", "done": order["do"]})

    def _next(self) -> Order | None:
        return self._waiting.pop(0) if self._waiting else self._orders.get()

    def _show(self, name: str | None, view: list[int] | None = None) -> None:
        self._shown, self._view = name, None if view is None else Box(*view)

    def _pixels(self, name: str) -> np.ndarray:
        """Return the pixels of a plane; those of the last one are at hand."""
        if self._read is None or self._read[0] != name:
            self._read = name, self._project.read(name)[1]
        return self._read[1]

    def _use(self, round: int | None) -> None:
        self._round = round

    def _guess(self, name: str) -> None:
        self._shown = name
        self._give("guess", name, self._find(name))

    def _find(self, name: str) -> Found:
        """Segment a plane by the model in use."""
        image, pixels = self._project.read(name)
        segmenter = self._segmenter()
        if segmenter.bundle.net.in_channels == 1 and not (len(pixels) == 1 or is_grey(pixels)):
            raise SettingError(
                f"{name} has {len(pixels)} channels, the model learned from images of one; "
                "annotate some objects and train a model of this project first"
            )
        return segmenter.segment(pixels, segmenter.find_factor(image))

    def _segmenter(self) -> Segmenter:
        path = self._project.best_model(self._round)
        zoom = self._zoom(path)
        if self._model is None or (self._model[0], self._model[1].zoom) != (path, zoom):
            device = choose_device("auto")
            segmenter = Segmenter(
                load_bundle(path), device=str(device), engine=torch_engine(device), zoom=zoom
            )
            self._model = path, segmenter
        return self._model[1]

    def _zoom(self, model: Path) -> float:
        """Return how much a model is to enlarge images.

        The one that comes with ulens knows objects of one size, so that is by what was painted.
        """
        painted_px = self._project.object_px() if model == START else 0.0
        if not painted_px or self._project.labels_are == "classes":
            return 1.0
        return float(np.clip(OBJECT_PX / painted_px, ZOOMS[0], ZOOMS[-1]))

    def _segment(self, names: list[str]) -> None:
        """Segment the files of planes of the project's own folder; older guesses are replaced."""
        files = dict.fromkeys(self._project.plane(name).path for name in names)
        model = self._project.best_model(self._round)
        if files:
            self._follow(
                SegmentSettings(
                    model,
                    self._project.images,
                    out=self._project.guesses,
                    only=tuple(files),
                    zoom=self._zoom(model),
                    overwrite=True,
                )
            )

    def _segment_folder(self, images: str, results: str) -> None:
        """Segment another folder, and make it a part of the project."""
        model = self._project.best_model(self._round)
        settings = SegmentSettings(
            model, Path(images).resolve(), out=Path(results), zoom=self._zoom(model)
        )
        self._follow(settings, becomes_part=True)

    def _follow(self, settings: SegmentSettings, *, becomes_part: bool = False) -> None:
        """Segment as `ulens segment` does, and tell of each file."""
        events = run_segmentation(settings)  # refuses what cannot be, and writes nothing yet
        if becomes_part:
            self._project.add_folder(settings.images, settings.out)
            self._tell({"event": "added", "images": str(settings.images)})
        names: dict[Path, list[str]] = {}
        for plane in self._project.planes:
            names.setdefault(plane.path, []).append(plane.name)
        self._told = 0.0
        for event in events:
            self._take_orders(at_once=("show",))
            if self._stop.is_set():
                self._tell({"event": "message", "text": "stopped; what is segmented is kept"})
                return
            assert isinstance(event, SegmentProgress)
            text = event.error or (str(event.found) if event.found else None)
            if text is not None:
                is_done = event.error is None
                what = {"names": names.get(event.image, []), "text": text, "is_done": is_done}
                self._tell({"event": "segmented", **what})
            elif event.note:
                self._tell({"event": "message", "text": event.note})
            if self._is_time():
                self._tell({"event": "progress", "progress": event.share_done, "at": event.at})

        self._tell({"event": "message", "text": f"done; the label images are in {settings.out}"})

    def _is_time(self) -> bool:
        """Whether to tell again how far it is: not more often than anyone sees."""
        if time.monotonic() - self._told < TELL_SECONDS:
            return False
        self._told = time.monotonic()
        return True

    def _suggest(self, number: int) -> None:
        """Tell the boxes where the model is least certain, among what is not annotated."""
        own = [plane for plane in self._project.planes if plane.results == self._project.guesses]
        planes = {
            (path, plane.part): plane.name for plane in own for path in (plane.path, *plane.beside)
        }
        boxes = {
            key: [box.window for box in read_boxes(self._project.folder, name)]
            for key, name in planes.items()
        }
        settings = SuggestSettings(
            self._project.best_model(self._round),
            tuple(dict.fromkeys(path for path, _ in planes)),
            number=number,
            taken=boxes,
        )
        for event in run_suggestions(settings):
            if self._stop.is_set():
                return
            if isinstance(event, Suggested):
                self._tell({"event": "suggestions", "boxes": [
                    {"name": planes[each.image, each.plane], "uncertainty": each.uncertainty,
                     "box": [each.box[0].start, each.box[1].start, each.box[0].stop,
                             each.box[1].stop]}
                    for each in event.suggestions
                ]})  # fmt: skip

    def _train(self, seconds: float, go_on: bool = False) -> None:
        self._show_next, self._told = 0.0, 0.0
        events = train_round(
            self._project, seconds=seconds, go_on=go_on, stop=self._stop, between=self._between
        )
        for event in events:
            self._tell_of(event)
        self._round = None

    def _between(self, session: Session, new: list[str]) -> None:
        """Between two steps: what was painted is told, what is on screen is segmented anew."""
        if new:
            self._tell({"event": "labels", "names": new, "step": session.trainer.clock.step})
        self._take_orders()
        if self._shown is None or time.monotonic() < self._show_next or self._stop.is_set():
            return
        started = time.monotonic()
        try:
            pixels = self._pixels(self._shown)
            part = (self._view or Box(0, 0, *pixels.shape[1:])).within(pixels.shape[1:])
            found = session.show(pixels, part.window)
            self._give("preview", self._shown, found, within=(pixels.shape[1:], part))
        except UlensError as error:
            self._tell({"event": "error", "text": str(error)})
        took = time.monotonic() - started
        self._show_next = started + max(SHOW_SECONDS, (1 + TRAINING_SHARE) * took)

    def _take_orders(self, at_once: tuple[str, ...] = ("show", "guess")) -> None:
        """Do at once what can be done while training or segmenting; the rest waits."""
        while not self._orders.empty():
            order = self._orders.get()
            if order is not None and order["do"] in at_once:
                is_new = order["name"] != self._shown
                self._show(order["name"], order.get("view"))
                self._show_next = 0.0 if is_new or order["do"] == "guess" else self._show_next
            elif order is not None and order["do"] == "stop":
                self._stop.set()
            else:
                self._waiting.append(order)

    def _tell_of(self, event: TrainEvent | Round) -> None:
        if isinstance(event, StepLog):
            if not self._is_time() and event.progress < 1:
                return
            self._tell({
                "event": "step", "step": event.step, "seconds": event.seconds, "loss": event.loss,
                "progress": event.progress,
            })  # fmt: skip
        elif isinstance(event, Validation):
            self._tell({"event": "score", "step": event.step, "scores": event.scores})
        elif isinstance(event, Message):
            self._tell({"event": "message", "text": event.text})
        elif isinstance(event, Round):
            self._tell({"event": "trained", "round": event.number, "text": event.in_words()})

    def _give(
        self,
        event: str,
        name: str,
        found: Found,
        within: tuple[tuple[int, ...], Box] | None = None,
    ) -> None:
        """Write what was found in a plane, or in a part of one, and tell where."""
        found_labels = found.labels.astype(np.int32)
        found_sure = how_sure(found.maps, self._project.labels_are)
        if within is not None:
            shape, part = within
            whole_labels, whole_sure = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
            whole_labels[part.window], whole_sure[part.window] = found_labels, found_sure
            found_labels, found_sure = whole_labels, whole_sure
        labels, sure = self._folder / f"{event}.labels.npy", self._folder / f"{event}.sure.npy"
        write_array(labels, found_labels)
        write_array(sure, found_sure)
        self._tell({
            "event": event, "name": name, "labels": str(labels), "sure": str(sure),
            "num_objects": int(found.labels.max(initial=0)),
        })  # fmt: skip


def how_sure(maps: np.ndarray, labels_are: str) -> np.ndarray:
    """Return how sure a network is of an object, or of any class but the first.

    Parameters
    ----------
    maps : (K, Y, X) in [0, 1], as in `Found`

    Returns
    -------
    (Y, X) uint8, from 0 to 255
    """
    object_map = 0 if len(maps) == 1 else 1
    sure = maps[object_map] if labels_are == "instances" else 1 - maps[0]
    return np.round(255 * sure.clip(0, 1)).astype(np.uint8)


def main(project: str, folder: str) -> None:
    """Work for the seat that started this process, by its standard streams."""
    if hasattr(os, "nice"):
        os.nice(GENTLE)  # the window, and whatever else its user does, go first
    # what libraries print is no event
    output, sys.stdout = sys.stdout, sys.stderr
    lock = threading.Lock()

    def tell(event: Order) -> None:
        with lock:
            print(json.dumps(event), file=output, flush=True)

    worker = Worker(Project(Path(project)), Path(folder), tell)
    threading.Thread(target=_read_orders, args=(sys.stdin, worker), daemon=True).start()
    tell({"event": "ready"})
    worker.run()


def _read_orders(lines: TextIO, worker: Worker) -> None:
    for line in lines:
        worker.order(json.loads(line))
    worker.order(None)


if __name__ == "__main__":
    main(*sys.argv[1:])

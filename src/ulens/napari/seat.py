"""The seat: a list of images, a guess, tools, training while painting."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.viewer import Viewer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ulens.annotated.project import Box
from ulens.errors import UlensError
from ulens.io.lock import hold
from ulens.labels.corrections import take_over
from ulens.napari.autosave import Autosave
from ulens.napari.background import Background
from ulens.napari.image_list import ImageList
from ulens.napari.layers import ImageInHand
from ulens.napari.opening import Opened, read, read_guess
from ulens.napari.process import WorkerProcess
from ulens.napari.tools import Tools
from ulens.napari.training import TrainingPanel, button
from ulens.project.project import Project

NUM_SUGGESTED, VIEW_MS, PRESSED_MS = 10, 1000, 50
WORK = ("train", "segment", "segment_folder")


class Seat(QWidget):
    """Annotate images, train a model on them, correct what it finds.

    Parameters
    ----------
    napari_viewer : to work in

    Notes
    -----
    Labels are written to the project's folder beside the images as they are painted; no other seat
    can open it meanwhile. A worker of its own process guesses and trains, so that the window never
    waits for it.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.project: Project | None = None
        self.hand: ImageInHand | None = None
        self._name = ""
        self._autosave: Autosave | None = None
        self._worker: WorkerProcess | None = None
        self._background: Background | None = None
        self._wanted = ""
        self._is_busy = False
        self._suggestions: list[dict[str, Any]] = []
        self._box: tuple[str, Box] | None = None
        self._view: Box | None = None
        self._lock = ExitStack()
        self._build()
        self._view_timer = QTimer(self)
        self._view_timer.setInterval(VIEW_MS)
        self._view_timer.timeout.connect(self._follow_view)
        for key, do in (
            ("G", self.guess), ("Shift-A", self.accept_all), ("W", self.mark_whole),
            ("N", self.go_to_next), ("R", self.draw_box), ("Shift-R", self.take_box),
            ("T", self.train_or_stop),
        ):  # fmt: skip
            napari_viewer.bind_key(key, lambda viewer, do=do: do(), overwrite=True)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        self._tools = Tools(lambda: self.hand, self.tell)
        self._list, self._training = ImageList(), TrainingPanel()
        self._list.chosen.connect(self._open)
        self._training.train_or_stop.connect(self.train_or_stop)
        self._training.go_on.connect(self.go_on)
        self._training.used.connect(self._use_round)
        self._told = QLabel("Open a folder of images to begin.")
        self._told.setWordWrap(True)
        self._told.setTextFormat(Qt.TextFormat.PlainText)
        rows: list[list[QWidget]] = [
            [button("Open folder of images…", self._ask_for_folder, "It is never written to.")],
            [self._list],
            [
                button("Box (R)", self.draw_box, "Draw a box in which every object is annotated."),
                button("Whole image (W)", self.mark_whole, "Every object of it is annotated."),
            ],
            [
                button("First guess (G)", self.guess, "Segment this image by the model."),
                button("Accept all (Shift-A)", self.accept_all, "Make the guess labels."),
                button("Next (N)", self.go_to_next, "Where to draw next."),
            ],
            [self._tools],
            [self._training],
            [
                button("Segment all", self.segment_all, "Guess every image without labels."),
                button(
                    "Segment folder…", self._ask_for_folders,
                    "Segment other images; correct them, and train on them, too.",
                ),
            ],
            [self._told],
        ]  # fmt: skip
        for row in rows:
            line = QHBoxLayout()
            for widget in row:
                line.addWidget(widget)
            layout.addLayout(line)

    def tell(self, text: str) -> None:
        """Show a sentence."""
        self._told.setText(text)

    def open_project(self, images: Path) -> None:
        """Open a folder of images, or that of a project, and show its first image."""
        lock = ExitStack()
        try:
            project = Project.open(images)
            if self.project is not None and project.folder == self.project.folder:
                self.close_project()
            lock.enter_context(hold(project.folder))
        except UlensError as error:
            self.tell(str(error))
            return
        self.close_project()
        self.project, self._lock = project, lock
        self._autosave = Autosave(project, self)
        self._autosave.saved.connect(self._list.show_state)
        self._autosave.failed.connect(self.tell)
        self._background = Background(self)
        self._background.failed.connect(self.tell)
        self._worker = WorkerProcess(project.folder, self)
        self._worker.happened.connect(self._take)
        self._worker.failed.connect(self._lose_worker)
        self._list.show_project(project)
        self._training.show_rounds(project.rounds())
        self.tell(f"labels are kept in {project.folder}")
        self._list.setCurrentRow(0)

    def close_project(self) -> None:
        """Write what is unwritten, let the worker keep what there is, and take all away."""
        if self._autosave is not None:
            self._autosave.flush()
        if self._background is not None:
            self._background.close()
        if self._worker is not None:
            self._worker.close()
        if self.hand is not None:
            self.hand.remove()
        self._list.take_away()
        self.project = self.hand = self._autosave = self._worker = self._background = None
        self._name = self._wanted = ""
        self._lock.close()
        self._set_busy(False)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Keep everything."""
        self.close_project()
        super().closeEvent(event)

    def _follow_view(self) -> None:
        """Tell the worker where its user looks now, if that has changed."""
        if self.hand is not None and self.hand.view() != self._view:
            self._view = self.hand.view()
            self._show_view()

    def _ask_for_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of images")
        if folder:
            self.open_project(Path(folder))

    def _ask_for_folders(self) -> None:
        images = QFileDialog.getExistingDirectory(self, "Folder of images to segment")
        if images:
            beside = str(Path(images).parent)
            results = QFileDialog.getExistingDirectory(self, "Folder for the label images", beside)
            if results:
                self.segment_folder(Path(images), Path(results))

    def _open(self, name: str) -> None:
        """Read an image beside the window, and show it then."""
        self._wanted = name
        if self.project is None or self._autosave is None or self._background is None:
            return
        if name != self._name:
            written = self._autosave.write()
            self._background.do(partial(read, self.project, name, written), self._show)

    def _show(self, opened: Opened) -> None:
        """Show an image, unless its user has gone on to another one meanwhile."""
        if opened.name != self._wanted or self._autosave is None:
            return
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:  # a stroke ends where it began
            QTimer.singleShot(PRESSED_MS, partial(self._show, opened))
            return
        self._name = opened.name
        self._autosave.hold(opened.name, opened.annotation, opened.written)
        if self.hand is None:
            self.hand = ImageInHand(self.viewer, self._note_change, self._tools.serve)
        self.hand.show(opened.pixels, opened.annotation)
        self._show_found(opened.name, opened.guess)
        self._show_view()
        self._show_box()

    def _show_found(self, name: str, guess: tuple[np.ndarray, np.ndarray] | None) -> None:
        if self.hand is not None and name == self._name and guess is not None:
            self.hand.show_guess(*guess)

    def _show_view(self) -> None:
        """Let the worker know what is on screen."""
        if self.hand is not None and self._worker is not None:
            self._order("show", name=self._name, view=list(self.hand.view()))

    def _note_change(self) -> None:
        if self.hand is not None and self._autosave is not None:
            annotation = self.hand.annotation
            self._autosave.change(annotation.labels, annotation.boxes)

    def draw_box(self) -> None:
        """Let the user draw a box in which everything is annotated."""
        if self.hand is not None:
            self.viewer.layers.selection.active = self.hand.boxes
            self.hand.boxes.mode = "add_rectangle"
            self.tell("draw a box; in it, everything that is not painted is background")

    def mark_whole(self) -> None:
        """Mark the whole image as annotated."""
        if self.hand is not None:
            self.hand.add_box(Box(0, 0, *self.hand.shape))
            self.viewer.layers.selection.active = self.hand.labels

    def guess(self) -> None:
        """Have the image segmented by the model in use."""
        self._order("guess", name=self._name)
        self.tell("guessing …")

    def accept_all(self) -> None:
        """Make labels of all objects of the guess where nothing is annotated."""
        if self.hand is None or self.hand.sure is None:
            self.tell("there is no guess yet; press G")
            return
        labels = take_over(np.asarray(self.hand.labels.data), np.asarray(self.hand.guess.data))
        num_changed = self.hand.change_labels(labels)
        self.tell(f"accepted the guess: {num_changed} pixels; correct it, Ctrl-Z takes it back")

    def go_to_next(self) -> None:
        """Go to the box where the model is least certain; while training, to the next image."""
        if self.project is None:
            return
        if self._suggestions:
            self._go_to_box(self._suggestions.pop(0))
        elif self._is_busy:
            self._go_to_unlabelled()
        else:
            self._order("suggest", number=NUM_SUGGESTED)
            self.tell("looking for where the model is least certain …")

    def _go_to_box(self, suggestion: dict[str, Any]) -> None:
        self._box = suggestion["name"], Box(*suggestion["box"])
        self._list.go_to(suggestion["name"])
        self._show_box()

    def _show_box(self) -> None:
        """Show the box to go to, once its image is there."""
        if self.hand is not None and self._box is not None and self._box[0] == self._name:
            self.hand.show_suggestion(self._box[1])
            self._box = None
            self.tell(
                "the model is least certain here: annotate all of this box, then take it with "
                "Shift-R; N for the next"
            )

    def take_box(self) -> None:
        """Mark the suggested box as annotated."""
        if self.hand is not None and not self.hand.take_suggestion():
            self.tell("no box is suggested here; N goes to one, R draws one")

    def _go_to_unlabelled(self) -> None:
        assert self.project is not None
        for name in self._list.names_from_here():
            if self.project.state(name) == "unlabelled":
                self._list.go_to(name)
                return
        self.tell("something is annotated of every image")

    def train_or_stop(self) -> None:
        """Train on all that is annotated; while at work, stop and keep what there is."""
        if self._is_busy:
            self._order("stop")
            self.tell("stopping; what there is is kept …")
            return
        self._begin_training(go_on=False)

    def go_on(self) -> None:
        """Train the last round for longer."""
        if not self._is_busy:
            self._begin_training(go_on=True)

    def _begin_training(self, *, go_on: bool) -> None:
        if self._autosave is not None:
            self._autosave.flush()
            self._training.begin()
            self._order("train", seconds=60 * self._training.minutes.value(), go_on=go_on)
            self._set_busy(True)
            self.tell("the training begins; go on painting, new strokes join it")

    def segment_all(self) -> None:
        """Guess every image of which nothing is annotated; the guesses are kept until accepted."""
        if self.project is not None and not self._is_busy:
            own = [each for each in self.project.planes if each.results == self.project.guesses]
            names = [each.name for each in own if self.project.state(each.name) == "unlabelled"]
            self._order("segment", names=names)
            self._set_busy(True)
            self.tell(f"segmenting {len(names)} images …")

    def segment_folder(self, images: Path, results: Path) -> None:
        """Segment another folder of images; they are listed, to be corrected and trained on.

        Parameters
        ----------
        images : their folder, which is never written to
        results : folder for the label images
        """
        if self.project is None or self._is_busy:
            self.tell("open a project first" if self.project is None else "stop (T) what runs")
            return
        self._order("segment_folder", images=str(images), results=str(results))
        self._set_busy(True)
        self.tell(f"segmenting {images} …")

    def _order(self, do: str, **what: Any) -> None:
        if self._worker is not None:
            self._worker.order(do, **what)

    def _take(self, event: dict[str, Any]) -> None:
        """Show what the worker tells."""
        kind, text = event["event"], event.get("text", "")
        self._training.take(event)
        if kind in ("guess", "preview"):
            self._take_guess(event)
        elif kind == "labels":
            self.tell(f"{', '.join(event['names'])}: the new strokes are trained on")
        elif kind == "added" and self.project is not None:
            self.project.look_again()
            self._list.show_project(self.project)
        elif kind == "segmented":
            self._take_segmented(event["names"], text if event["is_done"] else f"failed: {text}")
        elif kind == "progress":
            self.tell(f"segmenting {event['at']} …")
        elif kind == "idle":
            self._set_busy(self._is_busy and event["done"] not in WORK)
        elif kind == "suggestions":
            self._suggestions = event["boxes"]
            if self._suggestions:
                self.go_to_next()
            else:
                self.tell("everything is annotated")
        elif kind == "trained":
            self._suggestions.clear()
            self._training.show_rounds([] if self.project is None else self.project.rounds())
            self._training.score.setText(text)
            self._list.show_all_states()
            self.guess()
        elif text:
            self.tell(text)

    def _take_guess(self, event: dict[str, Any]) -> None:
        if self._background is None or event["name"] != self._name:
            return
        files = event["labels"], event["sure"]
        self._background.do(
            lambda: (np.load(files[0]), np.load(files[1])), partial(self._show_found, event["name"])
        )
        if event["event"] == "guess":
            is_empty = not event["num_objects"]
            self.tell(
                "nothing found; paint one object, so that its size is known, and guess again"
                if is_empty
                else f"{event['num_objects']} objects; accept those that are right, or all"
            )

    def _take_segmented(self, names: list[str], text: str) -> None:
        for name in names:
            self._list.show_state(name, text)
        if self._name in names and self.project and self.hand and self._background:
            look = partial(read_guess, self.project, self._name, self.hand.shape)
            self._background.do(look, partial(self._show_found, self._name))

    def _lose_worker(self, text: str) -> None:
        self._set_busy(False)
        self.tell(text)

    def _set_busy(self, is_busy: bool) -> None:
        self._is_busy = is_busy
        (self._view_timer.start if is_busy else self._view_timer.stop)()
        self._training.set_busy(is_busy)

    def _use_round(self, number: int) -> None:
        self._order("use", round=number)
        self.guess()

"""The seat: a list of images, a guess, tools, training while painting."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from napari.viewer import Viewer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ulens.annotated.project import Box
from ulens.errors import UlensError
from ulens.io.lock import hold
from ulens.labels.corrections import take_over
from ulens.napari.autosave import Autosave
from ulens.napari.curve import Curve
from ulens.napari.layers import ImageInHand
from ulens.napari.process import WorkerProcess
from ulens.napari.tools import Tools
from ulens.project.project import Project

NAME, NUM_SUGGESTED, VIEW_MS = Qt.ItemDataRole.UserRole, 10, 1000


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
        self._is_training = False
        self._suggestions: list[dict[str, Any]] = []
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
        self._list, self._curve, self._progress = QListWidget(), Curve(), QProgressBar()
        self._list.currentItemChanged.connect(self._open_item)
        self._minutes, self._rounds = QDoubleSpinBox(), QComboBox()
        self._minutes.setRange(0.1, 24 * 60)
        self._minutes.setValue(5)
        self._minutes.setSuffix(" min")
        self._rounds.activated.connect(self._use_round)
        self._train_button = _button("Train (T)", self.train_or_stop, "On all that is annotated.")
        self._go_on_button = _button("Go on", self.go_on, "Train the last round for longer.")
        self._score, self._told = QLabel(), QLabel("Open a folder of images to begin.")
        for label in (self._score, self._told):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        rows: list[list[QWidget]] = [
            [_button("Open folder of images…", self._ask_for_folder, "It is never written to.")],
            [self._list],
            [
                _button("Box (R)", self.draw_box, "Draw a box in which every object is annotated."),
                _button("Whole image (W)", self.mark_whole, "Every object of it is annotated."),
            ],
            [
                _button("First guess (G)", self.guess, "Segment this image by the model."),
                _button("Accept all (Shift-A)", self.accept_all, "Make the guess labels."),
                _button("Next (N)", self.go_to_next, "Where to draw next."),
            ],
            [self._tools],
            [self._minutes, self._train_button, self._go_on_button],
            [self._progress],
            [self._curve],
            [self._score],
            [
                self._rounds,
                _button("Segment all", self.segment_all, "Guess every image without labels."),
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
        self._autosave.saved.connect(self._show_state)
        self._autosave.failed.connect(self.tell)
        self._worker = WorkerProcess(project.folder, self)
        self._worker.happened.connect(self._take)
        self._worker.failed.connect(self._lose_worker)
        for plane in project.planes:
            item = QListWidgetItem(plane.name)
            item.setData(NAME, plane.name)
            self._list.addItem(item)
        self._show_rounds()
        self.tell(f"labels are kept in {project.folder}")
        self._list.setCurrentRow(0)
        self._states_due = [plane.name for plane in project.planes]
        QTimer.singleShot(0, self._show_next_state)

    def close_project(self) -> None:
        """Write what is unwritten, let the worker keep what there is, and take all away."""
        if self._autosave is not None:
            self._autosave.flush()
        if self._worker is not None:
            self._worker.close()
        if self.hand is not None:
            self.hand.remove()
        self.project = self.hand = self._autosave = self._worker = None
        self._lock.close()
        self._set_training(False)
        self._list.clear()

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

    def _open_item(self, item: QListWidgetItem | None) -> None:
        if item is None or self.project is None or self._autosave is None:
            return
        name = item.data(NAME)
        try:
            self._autosave.flush()
            _, pixels = self.project.read(name)
            annotation = self.project.annotation(name, pixels.shape[1:])
            draft = self.project.read_draft(name, pixels.shape[1:])
        except (UlensError, OSError) as error:
            self.tell(str(error))
            return
        self._name = name
        self._autosave.hold(name, annotation)
        if self.hand is None:
            self.hand = ImageInHand(self.viewer, self._note_change, self._tools.serve)
        self.hand.show(pixels, annotation)
        if draft is not None:
            self.hand.show_guess(draft, np.where(draft > 0, 255, 0).astype(np.uint8))
        self._show_view()

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
        elif self._is_training:
            self._go_to_unlabelled()
        else:
            self._order("suggest", number=NUM_SUGGESTED)
            self.tell("looking for where the model is least certain …")

    def _go_to_box(self, suggestion: dict[str, Any]) -> None:
        box = Box(*suggestion["box"])
        self._go_to_image(suggestion["name"])
        if self.hand is not None and self._name == suggestion["name"]:
            self.hand.show_suggestion(box)
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
        names = [plane.name for plane in self.project.planes]
        start = self._list.currentRow() + 1
        for name in names[start:] + names[:start]:
            if self.project.state(name) == "unlabelled":
                self._go_to_image(name)
                return
        self.tell("something is annotated of every image")

    def _go_to_image(self, name: str) -> None:
        assert self.project is not None
        names = [plane.name for plane in self.project.planes]
        self._list.setCurrentRow(names.index(name))

    def train_or_stop(self) -> None:
        """Train on all that is annotated; while training, stop and keep what there is."""
        if self._is_training:
            self._order("stop")
            self.tell("stopping; what there is is scored and kept …")
            return
        self._begin_training(go_on=False)

    def go_on(self) -> None:
        """Train the last round for longer."""
        if not self._is_training:
            self._begin_training(go_on=True)

    def _begin_training(self, *, go_on: bool) -> None:
        if self._autosave is not None:
            self._autosave.flush()
            self._curve.clear()
            self._score.clear()
            self._order("train", seconds=60 * self._minutes.value(), go_on=go_on)
            self._set_training(True)
            self.tell("the training begins; go on painting, new strokes join it")

    def segment_all(self) -> None:
        """Guess every image of which nothing is annotated; the guesses are kept until accepted."""
        if self.project is not None:
            names = [plane.name for plane in self.project.planes]
            names = [name for name in names if self.project.state(name) == "unlabelled"]
            self._order("segment", names=names)
            self.tell(f"segmenting {len(names)} images …")

    def _order(self, do: str, **what: Any) -> None:
        if self._worker is not None:
            self._worker.order(do, **what)

    def _take(self, event: dict[str, Any]) -> None:
        """Show what the worker tells."""
        kind, text = event["event"], event.get("text", "")
        if kind in ("guess", "preview"):
            self._show_guess(event)
        elif kind == "step":
            self._progress.setValue(round(100 * event["progress"]))
            self._curve.add(event["progress"], event["loss"])
        elif kind == "score":
            scores = ", ".join(f"{name} {value:.2f}" for name, value in event["scores"].items())
            self._score.setText(f"on what is held out, after {event['step']} steps: {scores}")
        elif kind == "labels":
            self.tell(f"{', '.join(event['names'])}: the new strokes are trained on")
        elif kind in ("drafted", "not drafted"):
            self._show_state(event["name"], text or f"guessed: {event['num_objects']} objects")
        elif kind == "idle":
            self._set_training(self._is_training and event["done"] != "train")
        elif kind == "suggestions":
            self._suggestions = event["boxes"]
            if self._suggestions:
                self.go_to_next()
            else:
                self.tell("everything is annotated")
        elif kind == "trained":
            self._suggestions.clear()
            self._show_rounds()
            self._score.setText(text)
            self._show_all_states()
            self.guess()
        elif text:
            self.tell(text)

    def _show_guess(self, event: dict[str, Any]) -> None:
        if self.hand is None or event["name"] != self._name:
            return
        self.hand.show_guess(np.load(event["labels"]), np.load(event["sure"]))
        if event["event"] == "guess":
            self.tell(f"{event['num_objects']} objects; accept those that are right, or all")

    def _lose_worker(self, text: str) -> None:
        self._set_training(False)
        self.tell(text)

    def _set_training(self, is_training: bool) -> None:
        self._is_training = is_training
        (self._view_timer.start if is_training else self._view_timer.stop)()
        self._train_button.setText("Stop (T)" if is_training else "Train (T)")
        self._go_on_button.setEnabled(not is_training)
        if not is_training:
            self._progress.reset()

    def _show_rounds(self) -> None:
        rounds = [] if self.project is None else self.project.rounds()
        self._rounds.clear()
        for each in reversed(rounds):
            self._rounds.addItem(each.in_words(), each.number)
        self._rounds.addItem("the model that comes with ulens", 0)

    def _use_round(self, index: int) -> None:
        self._order("use", round=self._rounds.itemData(index))
        self.guess()

    def _show_all_states(self) -> None:
        self._states_due = [] if self.project is None else [p.name for p in self.project.planes]
        QTimer.singleShot(0, self._show_next_state)

    def _show_next_state(self) -> None:
        """Show the state of one image, and come back for the next: no one waits for all."""
        if self.project is not None and self._states_due:
            self._show_state(self._states_due.pop(0))
            QTimer.singleShot(0, self._show_next_state)

    def _show_state(self, name: str, text: str = "") -> None:
        if self.project is None:
            return
        for row in range(self._list.count()):
            if self._list.item(row).data(NAME) == name:
                self._list.item(row).setText(f"{name}: {text or self.project.describe(name)}")


def _button(text: str, do: Any, help: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(help)
    button.clicked.connect(lambda: do())
    return button

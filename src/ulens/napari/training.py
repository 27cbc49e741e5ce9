"""The part of the seat that trains: minutes, curve, score, rounds."""

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ulens.napari.curve import Curve
from ulens.project.project import Round


class TrainingPanel(QWidget):
    """Buttons to train, and what comes of it.

    Signals
    -------
    train_or_stop, go_on : the button was pressed
    used : the number of the round that its user chose; 0 is the model that comes with ulens
    """

    train_or_stop, go_on, used = Signal(), Signal(), Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.minutes, self.rounds, self.score = QDoubleSpinBox(), QComboBox(), QLabel()
        self.minutes.setRange(0.1, 24 * 60)
        self.minutes.setValue(5)
        self.minutes.setSuffix(" min")
        self.score.setWordWrap(True)
        self.score.setTextFormat(Qt.TextFormat.PlainText)
        self.rounds.activated.connect(lambda index: self.used.emit(self.rounds.itemData(index)))
        self.train_button = button(
            "Train (T)", self.train_or_stop.emit, "On all that is annotated."
        )
        self._go_on_button = button("Go on", self.go_on.emit, "Train the last round for longer.")
        self._progress, self._curve = QProgressBar(), Curve()
        layout, line = QVBoxLayout(self), QHBoxLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.minutes, self.train_button, self._go_on_button):
            line.addWidget(widget)
        layout.addLayout(line)
        for widget in (self._progress, self._curve, self.score, self.rounds):
            layout.addWidget(widget)

    def begin(self) -> None:
        """Begin anew with curve and score."""
        self._curve.clear()
        self.score.clear()

    def set_busy(self, is_busy: bool) -> None:
        """Show whether there is something to stop."""
        self.train_button.setText("Stop (T)" if is_busy else "Train (T)")
        self._go_on_button.setEnabled(not is_busy)
        if not is_busy:
            self._progress.reset()

    def take(self, event: dict[str, Any]) -> None:
        """Show how far it is, the loss, and scores."""
        if "progress" in event:
            self._progress.setValue(round(100 * event["progress"]))
        if "loss" in event:
            self._curve.add(event["progress"], event["loss"])
        if "scores" in event:
            scores = ", ".join(f"{name} {value:.2f}" for name, value in event["scores"].items())
            self.score.setText(f"on what is held out, after {event['step']} steps: {scores}")

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """List rounds to choose from, the last one first."""
        self.rounds.clear()
        for each in reversed(rounds):
            self.rounds.addItem(each.in_words(), each.number)
        self.rounds.addItem("the model that comes with ulens", 0)


def button(text: str, do: Callable[[], object], help: str) -> QPushButton:
    """Return a button that does something."""
    made = QPushButton(text)
    made.setToolTip(help)
    made.clicked.connect(lambda: do())
    return made

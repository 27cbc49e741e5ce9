"""Tools to correct objects, which napari's own label tools lack: buttons, keys and clicks."""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from ulens.errors import LabelError
from ulens.labels.corrections import Point, fill, merge, remove, split, take_over
from ulens.napari.layers import ImageInHand


class Tool(NamedTuple):
    """A tool of the seat.

    Parameters
    ----------
    name : on its button
    key : does the same at the cursor
    help : what it does
    num_points : that it needs
    """

    name: str
    key: str
    help: str
    num_points: int = 1


TOOLS = (
    Tool("Merge", "J", "Click on two objects: they become one.", 2),
    Tool("Split", "K", "Draw a line across an object, or click on its two ends.", 2),
    Tool("Delete", "D", "Click on an object: it is removed."),
    Tool("Fill", "O", "Click where the model should see an object: it is added."),
    Tool("Accept", "A", "Click on an object of the guess: it becomes a label."),
)

SHORTEST_LINE = 2


class Tools(QWidget):
    """Buttons for the tools; with one of them pressed, clicks on the image use it.

    Parameters
    ----------
    in_hand : returns the image in hand, or None
    tell : shows a sentence
    """

    def __init__(
        self, in_hand: Callable[[], ImageInHand | None], tell: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._in_hand, self._tell = in_hand, tell
        self._first: tuple[Tool, Point] | None = None
        self._buttons: dict[Tool, QPushButton] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for place, tool in enumerate(TOOLS):
            button = QPushButton(f"{tool.name} ({tool.key})")
            button.setToolTip(f"{tool.help} Key {tool.key} does it at the cursor.")
            button.setCheckable(True)
            button.toggled.connect(partial(self._choose, tool))
            layout.addWidget(button, place // 3, place % 3)
            self._buttons[tool] = button

    @property
    def chosen(self) -> Tool | None:
        """The tool whose button is pressed."""
        return next((tool for tool, each in self._buttons.items() if each.isChecked()), None)

    def serve(self, labels: Labels) -> None:
        """Let clicks on a layer of labels, and keys, use the tools."""
        labels.mouse_drag_callbacks.append(self._drag)
        for tool in TOOLS:
            labels.bind_key(tool.key, partial(self._press, tool), overwrite=True)

    def use(self, tool: Tool, *points: Point | None) -> None:
        """Use a tool at points of the image; a tool that needs two keeps the first in mind."""
        hand = self._in_hand()
        if hand is None or None in points:
            return
        at: list[Point] = [point for point in points if point is not None]
        if self._first is not None and self._first[0] == tool and len(at) < tool.num_points:
            at.insert(0, self._first[1])
        self._first = None
        if len(at) < tool.num_points:
            self._first = tool, at[0]
            self._tell(f"{tool.name}: now the other {'object' if tool.name == 'Merge' else 'end'}")
            return
        try:
            num_changed = hand.change_labels(_correct(tool.name, hand, at))
        except LabelError as error:
            self._tell(str(error))
            return
        self._tell(f"{tool.name}: {num_changed} pixels changed; Ctrl-Z takes it back")

    def _choose(self, tool: Tool, is_pressed: bool) -> None:
        self._first = None
        if is_pressed:
            for other, button in self._buttons.items():
                if other != tool:
                    button.setChecked(False)
            self._tell(tool.help)
        self._let_paint()

    def _let_paint(self) -> None:
        """Leave the mouse to napari unless a tool is chosen."""
        hand, is_chosen = self._in_hand(), self.chosen is not None
        if hand is not None:
            if is_chosen:
                hand.labels.mode = "pan_zoom"
            hand.labels.mouse_pan = not is_chosen and hand.labels.mode == "pan_zoom"

    def _drag(self, layer: Any, event: Any) -> Generator[None, None, None]:
        tool, hand = self.chosen, self._in_hand()
        if tool is None or hand is None:
            return
        start, pixel = hand.place_at(event.position), hand.pixel_at(event.position)
        yield
        while event.type == "mouse_move":
            yield
        end = hand.place_at(event.position)
        is_line = max(np.abs(np.subtract(start, end))) >= SHORTEST_LINE
        # a line may begin and end beside the image
        self.use(tool, *((start, end) if tool.name == "Split" and is_line else (pixel,)))

    def _press(self, tool: Tool, layer: Any) -> None:
        hand = self._in_hand()
        if hand is not None:
            self.use(tool, hand.at_cursor())


def _correct(name: str, hand: ImageInHand, at: list[Point]) -> np.ndarray:
    """Return the labels as a tool changes them."""
    labels = np.asarray(hand.labels.data)
    if name == "Merge":
        return merge(labels, int(labels[at[0]]), int(labels[at[1]]))
    if name == "Split":
        return split(labels, at[0], at[1])
    if name == "Delete":
        return remove(labels, int(labels[at[0]]))
    if hand.sure is None:
        raise LabelError("there is no guess yet; press G")
    if name == "Fill":
        return fill(labels, hand.sure / np.float32(255), at[0])
    number = int(hand.guess.data[at[0]])
    if number == 0:
        raise LabelError("the guess has no object here; click on one of its objects")
    return take_over(labels, np.asarray(hand.guess.data), np.array([number]))

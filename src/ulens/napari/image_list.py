"""The list of a project's images, each with its state."""

from functools import partial

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from ulens.napari.background import Background
from ulens.project.project import Project

NAME = Qt.ItemDataRole.UserRole


class ImageList(QListWidget):
    """Shows what each image is; states are looked up beside the window.

    Signals
    -------
    chosen : the name of the image that its user goes to
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._project: Project | None = None
        self._background: Background | None = None
        self._rows: dict[str, QListWidgetItem] = {}
        self._notes: dict[str, str] = {}
        self.currentItemChanged.connect(self._choose)

    def show_project(self, project: Project) -> None:
        """List the images of a project; images already listed stay as they are."""
        if self._background is None:
            self._background = Background(self)
        self._project = project
        for plane in project.planes:
            if plane.name not in self._rows:
                item = self._rows[plane.name] = QListWidgetItem(plane.name)
                item.setData(NAME, plane.name)
                self.addItem(item)
                self.show_state(plane.name)

    def take_away(self) -> None:
        """Empty the list."""
        if self._background is not None:
            self._background.close()
        self._background = self._project = None
        self._rows.clear()
        self._notes.clear()
        self.clear()

    def show_state(self, name: str, note: str | None = None) -> None:
        """Show the state of an image anew.

        Parameters
        ----------
        note : what else there is to tell of it; without it, what was told last
        """
        if note is not None:
            self._notes[name] = note
        if self._project is not None and self._background is not None and name in self._rows:
            self._background.do(partial(self._project.describe, name), partial(self._write, name))

    def show_all_states(self) -> None:
        """Show the states of all images anew."""
        for name in self._rows:
            self.show_state(name)

    def go_to(self, name: str) -> None:
        """Go to an image."""
        self.setCurrentItem(self._rows[name])

    def names_from_here(self) -> list[str]:
        """Return the names of all images, those after the present one first."""
        names, start = list(self._rows), self.currentRow() + 1
        return names[start:] + names[:start]

    def _write(self, name: str, state: str) -> None:
        text = "; ".join(filter(None, (f"{name}: {state}", self._notes.get(name))))
        self._rows[name].setText(text)
        self._rows[name].setToolTip(text)

    def _choose(self, item: QListWidgetItem | None, before: QObject | None = None) -> None:
        if item is not None:
            self.chosen.emit(item.data(NAME))

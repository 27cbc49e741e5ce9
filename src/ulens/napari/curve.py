"""The loss of a running training, drawn small."""

import math

from qtpy.QtCore import QPointF
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget


class Curve(QWidget):
    """Draws the smoothed loss, and a mark for each score."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(60)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._points: list[tuple[float, float]] = []
        self._smooth = math.nan
        self.update()

    def add(self, progress: float, loss: float) -> None:
        """Add a step.

        Parameters
        ----------
        progress : done part of the training, 0 to 1
        loss : of the step
        """
        known = math.isfinite(self._smooth)
        self._smooth = 0.8 * self._smooth + 0.2 * loss if known else loss
        self._points.append((progress, self._smooth))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curve."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(128, 128, 128)))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        if len(self._points) < 2:
            return
        lowest = min(loss for _, loss in self._points)
        span = max(loss for _, loss in self._points) - lowest or 1.0
        width, height = self.width() - 8, self.height() - 8
        corners = [
            QPointF(4 + x * width, 4 + (1 - (loss - lowest) / span) * height)
            for x, loss in self._points
        ]
        painter.setPen(QPen(QColor(90, 170, 255), 2))
        painter.drawPolyline(corners)
        painter.setPen(QPen(QColor(160, 160, 160)))
        painter.drawText(8, 16, f"loss {self._points[-1][1]:.3f}")

"""The layers of the image in hand: its pixels, labels, the boxes around what is done, a guess."""

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Labels, Shapes
from napari.viewer import Viewer

from ulens.annotated.project import Annotation, Box

IMAGE, LABELS, BOXES, GUESS = "image", "labels", "annotated boxes", "guess"


class ImageInHand:
    """The layers of one plane.

    Parameters
    ----------
    viewer : to show it in
    pixels : (C, Y, X)
    annotation : of the plane
    changed : called after each change of labels or boxes
    """

    def __init__(
        self,
        viewer: Viewer,
        pixels: np.ndarray,
        annotation: Annotation,
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._changed, self.shape = viewer, changed, pixels.shape[1:]
        self.guess: Labels | None = None
        self.sure: np.ndarray | None = None
        self.image = _show_pixels(viewer, pixels)
        self.boxes = Shapes(
            [_corners(box) for box in annotation.boxes],
            shape_type="rectangle",
            name=BOXES,
            ndim=2,
            face_color="transparent",
            edge_color="yellow",
            edge_width=max(1, max(self.shape) // 256),
        )
        self.labels = Labels(annotation.labels.copy(), name=LABELS)
        self.labels.brush_size = max(3, max(self.shape) // 64)
        self.labels.selected_label = int(annotation.labels.max(initial=0)) + 1
        viewer.add_layer(self.boxes)
        viewer.add_layer(self.labels)
        viewer.layers.selection.active = self.labels
        viewer.reset_view()
        for event in (
            self.labels.events.paint,
            self.labels.events.set_data,
            self.boxes.events.data,
        ):
            event.connect(self._tell)

    def _tell(self, event: object) -> None:
        self._changed()

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        mine = [*self.image, self.boxes, self.labels, *([self.guess] if self.guess else [])]
        for layer in mine:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    @property
    def annotation(self) -> Annotation:
        """What is annotated now; the labels are those of the layer, not a copy."""
        return Annotation(labels=self.labels.data, boxes=self._read_boxes())

    def _read_boxes(self) -> tuple[Box, ...]:
        boxes = []
        for corners in self.boxes.data:
            top, left = np.round(corners[:, -2:].min(axis=0) + 0.5).astype(int).tolist()
            bottom, right = np.round(corners[:, -2:].max(axis=0) + 0.5).astype(int).tolist()
            box = Box(top, left, bottom, right).within(self.shape)
            if box.top < box.bottom and box.left < box.right:
                boxes.append(box)
        return tuple(boxes)

    def add_box(self, box: Box) -> None:
        """Mark a box as fully annotated."""
        self.boxes.add_rectangles(_corners(box))

    def change_labels(self, labels: np.ndarray) -> int:
        """Put labels in place of those that are there, as one step to undo.

        Returns
        -------
        how many pixels changed
        """
        where = np.nonzero(labels != self.labels.data)
        if where[0].size:
            self.labels.data_setitem(where, labels[where])
            self.labels.selected_label = int(labels.max(initial=0)) + 1
        return int(where[0].size)

    def show_guess(self, labels: np.ndarray, sure: np.ndarray) -> None:
        """Show what a model finds, below the labels; nothing is accepted by that.

        Parameters
        ----------
        labels : (Y, X) integers
        sure : (Y, X) uint8, how sure the model is of an object
        """
        self.sure = sure
        if self.guess is None or self.guess not in self._viewer.layers:
            self.guess = Labels(labels, name=GUESS, opacity=0.4)
            self.guess.editable = False
            self._viewer.layers.insert(self._viewer.layers.index(self.boxes), self.guess)
            self._viewer.layers.selection.active = self.labels
        else:
            self.guess.data = labels

    def at_cursor(self) -> tuple[int, int] | None:
        """Return the pixel (y, x) under the cursor, or None beside the image."""
        return self.pixel_at(self._viewer.cursor.position)

    def pixel_at(self, position: tuple[float, ...]) -> tuple[int, int] | None:
        """Return the pixel (y, x) at a position in the viewer, or None beside the image."""
        y, x = (round(each) for each in self.labels.world_to_data(position)[-2:])
        return (y, x) if 0 <= y < self.shape[0] and 0 <= x < self.shape[1] else None


def _show_pixels(viewer: Viewer, pixels: np.ndarray) -> list[Image]:
    if len(pixels) == 3 and pixels.dtype == np.uint8:
        return [viewer.add_image(np.moveaxis(pixels, 0, -1), rgb=True, name=IMAGE)]
    if len(pixels) == 1:
        return [viewer.add_image(pixels[0], name=IMAGE)]
    return list(viewer.add_image(pixels, channel_axis=0, name=IMAGE))


def _corners(box: Box) -> np.ndarray:
    """Return the corners of a box as napari draws them: pixels are around their coordinates."""
    top, left, bottom, right = (each - 0.5 for each in box)
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])

"""The layers of the image in hand: its pixels, labels, the boxes around what is done, a guess."""

from collections.abc import Callable, Sequence

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.viewer import Viewer

from ulens.annotated.project import Annotation, Box

IMAGE, LABELS, BOXES, GUESS = "image", "labels", "annotated boxes", "guess"
SUGGESTED, LARGEST_VIEW = "least certain", 1024


class ImageInHand:
    """The layers of the plane that is worked on; another one comes into the same layers.

    Parameters
    ----------
    viewer : to show it in
    changed : called after each change of labels or boxes
    served : called with the layer of labels when it is made

    Attributes
    ----------
    shape : (Y, X) of the plane
    labels, guess : layers
    sure : (Y, X) uint8, how sure the model is of an object; None where there is no guess
    """

    def __init__(
        self, viewer: Viewer, changed: Callable[[], None], served: Callable[[Labels], None]
    ) -> None:
        self._viewer, self._changed, self._served = viewer, changed, served
        self._image: list[Image] = []
        self._suggestion: Box | None = None
        self.shape: tuple[int, ...] = (1, 1)
        self.sure: np.ndarray | None = None
        self._make(np.zeros(self.shape, np.int32))

    def _make(self, labels: np.ndarray) -> None:
        """Make the layers that are not there, or that the user removed."""
        width = max(1, max(labels.shape) // 256)
        box = {
            "shape_type": "rectangle", "ndim": 2, "face_color": "transparent", "edge_width": width,
        }  # fmt: skip
        make: dict[str, Callable[[], Layer]] = {
            GUESS: lambda: Labels(np.zeros_like(labels), name=GUESS, opacity=0.4, visible=False),
            BOXES: lambda: Shapes(name=BOXES, edge_color="yellow", **box),
            SUGGESTED: lambda: Shapes(name=SUGGESTED, edge_color="cyan", **box),
            LABELS: lambda: Labels(labels, name=LABELS),
        }  # fmt: skip
        layers = getattr(self, "_layers", {})
        self._layers = {
            name: layers[name] if layers.get(name) in self._viewer.layers else self._add(build())
            for name, build in make.items()
        }

    def _add(self, layer: Layer) -> Layer:
        self._viewer.add_layer(layer)
        if layer.name == LABELS:
            for event in (layer.events.paint, layer.events.set_data):
                event.connect(self._tell)
            self._served(layer)
        if layer.name == BOXES:
            layer.events.data.connect(self._tell)
        if layer.name == GUESS:
            layer.editable = False
        return layer

    def _tell(self, event: object) -> None:
        self._changed()

    @property
    def labels(self) -> Labels:
        """The layer to paint on."""
        return self._layers[LABELS]

    @property
    def guess(self) -> Labels:
        """The layer of what a model finds."""
        return self._layers[GUESS]

    @property
    def boxes(self) -> Shapes:
        """The layer of the boxes in which everything is annotated."""
        return self._layers[BOXES]

    def show(self, pixels: np.ndarray, annotation: Annotation) -> None:
        """Take a plane in hand.

        Parameters
        ----------
        pixels : (C, Y, X)
        annotation : of the plane; its labels are painted on
        """
        labels = annotation.labels
        is_new_size, self.shape = pixels.shape[1:] != self.shape, pixels.shape[1:]
        self._show_pixels(pixels)
        self._make(labels)
        self.labels.data = labels
        self.labels._reset_history()
        self.labels.selected_label = int(labels.max(initial=0)) + 1
        self.boxes.data = []
        if annotation.boxes:
            self.boxes.add_rectangles([_corners(box) for box in annotation.boxes])
        self._drop_suggestion()
        self.sure, self.guess.visible = None, False
        self.guess.data = np.zeros_like(labels)
        self._viewer.layers.selection.active = self.labels
        if is_new_size:
            self.labels.brush_size = max(3, max(self.shape) // 64)
            self._viewer.reset_view()

    def _show_pixels(self, pixels: np.ndarray) -> None:
        is_color = len(pixels) == 3 and pixels.dtype == np.uint8
        shown = [np.moveaxis(pixels, 0, -1)] if is_color else list(pixels)
        are_there = all(layer in self._viewer.layers for layer in self._image)
        if are_there and [layer.rgb for layer in self._image] == [is_color] * len(shown):
            for layer, channel in zip(self._image, shown, strict=True):
                layer.data = channel
                layer.reset_contrast_limits()
            return
        self.remove(self._image)
        channels = self._viewer.add_image(
            pixels if not is_color else shown[0],
            name=IMAGE, rgb=is_color, **({} if is_color else {"channel_axis": 0}),
        )  # fmt: skip
        self._image = channels if isinstance(channels, list) else [channels]
        for place, layer in enumerate(self._image):
            self._viewer.layers.move(self._viewer.layers.index(layer), place)
        if len(self._image) == 1 and not is_color:
            self._image[0].colormap = "gray"

    def view(self) -> Box:
        """Return the part of the image on screen, or the middle of it where that is large."""
        y, x = self._viewer.camera.center[-2:]
        height, width = self._viewer.window._qt_viewer.canvas.size
        zoom = max(self._viewer.camera.zoom, 1e-6)
        half_y, half_x = (min(side / zoom, LARGEST_VIEW) / 2 for side in (height, width))
        return Box(
            round(y - half_y), round(x - half_x), round(y + half_y), round(x + half_x)
        ).within(self.shape)

    def remove(self, layers: Sequence[Layer] | None = None) -> None:
        """Take layers out of the viewer; without any named, all of them."""
        self._viewer.layers.selection.clear()
        for layer in [*self._image, *self._layers.values()] if layers is None else layers:
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
        self.boxes.add_rectangles([_corners(box)])

    def show_suggestion(self, box: Box) -> None:
        """Show a box that is worth annotating, and go there."""
        self._drop_suggestion()
        self._suggestion = box
        self._layers[SUGGESTED].add_rectangles([_corners(box)])
        self._viewer.layers.selection.active = self.labels
        self._viewer.reset_view()
        side = max(box.bottom - box.top, box.right - box.left)
        self._viewer.camera.zoom *= max(1, max(self.shape) / (2 * side))
        self._viewer.camera.center = (box.top + box.bottom) / 2, (box.left + box.right) / 2

    def take_suggestion(self) -> bool:
        """Mark the suggested box as annotated; returns whether there was one."""
        if self._suggestion is None:
            return False
        self.add_box(self._suggestion)
        self._drop_suggestion()
        return True

    def _drop_suggestion(self) -> None:
        self._suggestion, self._layers[SUGGESTED].data = None, []

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
        labels : (Y, X) int32
        sure : (Y, X) uint8, how sure the model is of an object
        """
        is_first, self.sure = self.sure is None, sure
        self.guess.data = labels
        if is_first:
            self.guess.visible = True

    def at_cursor(self) -> tuple[int, int] | None:
        """Return the pixel (y, x) under the cursor, or None beside the image."""
        return self.pixel_at(self._viewer.cursor.position)

    def pixel_at(self, position: tuple[float, ...]) -> tuple[int, int] | None:
        """Return the pixel (y, x) at a position in the viewer, or None beside the image."""
        y, x = self.place_at(position)
        return (y, x) if 0 <= y < self.shape[0] and 0 <= x < self.shape[1] else None

    def place_at(self, position: tuple[float, ...]) -> tuple[int, int]:
        """Return (y, x) at a position in the viewer, also beside the image."""
        y, x = (round(each) for each in self.labels.world_to_data(position)[-2:])
        return y, x


def _corners(box: Box) -> np.ndarray:
    """Return the corners of a box as napari draws them: pixels are around their coordinates."""
    top, left, bottom, right = (each - 0.5 for each in box)
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])

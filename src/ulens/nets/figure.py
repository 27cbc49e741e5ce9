"""Draws a U-Net as figure 1 of the paper, from what a live network does to a tile."""

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrow, Rectangle
from torch import Tensor, nn
from torch.func import functional_call

from ulens.errors import OutputError, SettingError
from ulens.nets.unet import UNet

Operation = Literal["conv", "copy", "pool", "up", "head"]
Point = tuple[float, float]

ARROWS: dict[Operation, tuple[str, str]] = {
    "conv": ("#1f3f8f", "conv 3×3, {}"),
    "copy": ("#9b9b9b", "copy and crop"),
    "pool": ("#c0282d", "max pool 2×2"),
    "up": ("#55a038", "up-conv 2×2"),
    "head": ("#1d9a98", "conv 1×1"),
}
SUFFIXES = (".svg", ".png", ".pdf")

# Lengths in points, which are also the units of the axes.
GAP = 29.0
ROW_GAP = 44.0
WIDEST, THINNEST, TALLEST, SHORTEST = 46.0, 3.0, 150.0, 50.0
FONT_SIZE = 11.0
SHAFT: Any = {"width": 3.5, "head_width": 10, "head_length": 8, "length_includes_head": True}
EDGE_COLOUR, FILL_COLOUR = "#3f6fb5", "#d6e4f5"


class Step(NamedTuple):
    """One operation as it ran: its channels in and out, and the size in pixels it left."""

    operation: Operation
    in_channels: int
    out_channels: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Turns channels and sizes into points; `channels` and `size` are the largest drawn."""

    channels: int
    size: int

    def width(self, channels: int) -> float:
        return THINNEST + (WIDEST - THINNEST) * (channels / self.channels) ** 0.5

    def height(self, size: int) -> float:
        return SHORTEST + (TALLEST - SHORTEST) * (size / self.size) ** 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A feature map in the figure; `left`, `width`, `height` and the centre's `y` in points.

    `made_by` is the operation that gave it, None for the input. `copied` counts the channels
    from the skip connection: a white box of width `copied_width` left of the blue one.
    """

    channels: int
    size: int
    left: float
    y: float
    width: float
    height: float
    made_by: Operation | None = None
    copied: int = 0
    copied_width: float = 0.0

    @property
    def x(self) -> float:
        return self.left + self.width / 2

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def outer_left(self) -> float:
        return self.left - self.copied_width

    @property
    def top(self) -> float:
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        return self.y - self.height / 2


def draw(net: UNet, path: str | Path) -> None:
    """Draw `net` as figure 1 of the paper into an SVG, PNG or PDF file.

    Parameters
    ----------
    net : any depth, width and number of channels; it is traced without computing
    path : where to write; the suffix chooses the format

    Raises
    ------
    SettingError : the suffix is none of the three
    OutputError : the file cannot be written

    Notes
    -----
    A blue box is a feature map, its channels above, its size at the lower left; white is what
    came over the skip connection, dashed where it was cropped. Source: paper, figure 1.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"figure name is {path.name!r}; draw() writes .svg, .png and .pdf; "
            "end the name in one of these"
        )
    size = paper_tile(net.depth)
    figure = _paint(lay_out(trace(net, size), size), net)
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    # text stays text, and the same network gives the same file
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ulens"}):
        try:
            figure.savefig(path, dpi=150, metadata=metadata)
        except OSError as error:
            raise OutputError(
                f"figure {path} cannot be written ({error.strerror or error}); "
                "choose another folder"
            ) from error


def paper_tile(depth: int) -> int:
    """Return the tile size in pixels that `depth` poolings bring to the paper's bottom.

    Examples
    --------
    >>> paper_tile(4)
    572
    """
    size = 32
    for _ in range(depth):
        size = 2 * size + 4
    return size


def trace(net: UNet, tile: int) -> list[Step]:
    """Return what `net` does to a tile of `tile` × `tile` pixels, in order.

    Runs on torch's meta device: shapes are the live network's own, nothing is computed.

    Examples
    --------
    >>> trace(UNet(width=4, depth=1), 68)[0]
    Step(operation='conv', in_channels=1, out_channels=4, size=66)
    """
    steps: list[Step] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        in_channels, (_, out_channels, _, size) = inputs[0].shape[1], output.shape
        steps.append(Step(_operation(module), in_channels, out_channels, size))

    image = torch.empty(1, net.in_channels, tile, tile, device="meta")
    weights = {name: weight.to("meta") for name, weight in net.state_dict().items()}
    with ExitStack() as hooks, torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d)):
                hooks.callback(module.register_forward_hook(record).remove)
        functional_call(net, weights, image)
    return steps


def _operation(module: nn.Module) -> Operation:
    if isinstance(module, nn.MaxPool2d):
        return "pool"
    if isinstance(module, nn.ConvTranspose2d):
        return "up"
    return "head" if getattr(module, "kernel_size", None) == (1, 1) else "conv"


def lay_out(steps: list[Step], tile: int) -> list[Box]:
    """Place the input tile and the result of every step: levels downward, time to the right."""
    channels = steps[0].in_channels
    scale = Scale(channels=max(channels, *(step.out_channels for step in steps)), size=tile)
    width, height = scale.width(channels), scale.height(tile)
    boxes = [Box(channels=channels, size=tile, left=0, y=0, width=width, height=height)]
    level, row_starts = 0, boxes[:]  # the first map of a level is its tallest
    for step, following in pairwise([*steps, steps[-1]]):
        level += {"pool": 1, "up": -1}.get(step.operation, 0)
        is_new_row = level == len(row_starts)
        new_row = row_starts[-1].bottom - ROW_GAP - scale.height(step.size) / 2
        y = new_row if is_new_row else row_starts[level].y
        copied = following.in_channels - step.out_channels if step.operation == "up" else 0
        boxes.append(_place(step, boxes[-1], y, copied, scale))
        if is_new_row:
            row_starts.append(boxes[-1])
    return boxes


def _place(step: Step, before: Box, y: float, copied: int, scale: Scale) -> Box:
    width = scale.width(step.out_channels)
    is_vertical = step.operation in ("pool", "up")
    return Box(
        made_by=step.operation,
        channels=step.out_channels,
        size=step.size,
        left=before.x - width / 2 if is_vertical else before.right + GAP,
        y=y,
        width=width,
        height=scale.height(step.size),
        copied=copied,
        copied_width=scale.width(copied) if copied else 0,
    )


def _paint(boxes: list[Box], net: UNet) -> Figure:
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    made_next = [*(box.made_by for box in boxes[1:]), None]
    for box, next_operation in zip(boxes, made_next, strict=True):
        _paint_box(axes, box)
        _paint_numbers(axes, box, is_crowded=box.made_by == "pool" or next_operation == "up")
    _paint_arrows(axes, boxes)
    first, last = boxes[0], boxes[-1]
    _write(axes, first.left - 22, first.y, "input\nimage\ntile", ha="right", va="center")
    _write(axes, last.right + 8, last.y, "output\nsegmentation\nmap", ha="left", va="center")
    left, right, top = first.left - 64, last.right + 92, first.top + 24
    bottom = _paint_legend(axes, boxes, right, "leaky ReLU" if net.negative_slope else "ReLU") - 12
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.axis("off")
    figure.set_size_inches((right - left) / 72, (top - bottom) / 72)
    return figure


def _paint_box(axes: Axes, box: Box) -> None:
    white = (box.outer_left, box.copied_width, "white")
    for left, width, colour in ((box.left, box.width, FILL_COLOUR), white):
        if width:
            place = (left, box.bottom)
            axes.add_patch(Rectangle(place, width, box.height, fc=colour, ec=EDGE_COLOUR))


def _paint_numbers(axes: Axes, box: Box, *, is_crowded: bool) -> None:
    """Write the channels above and the size at the lower left; only the top row has room for ×.

    Where `is_crowded`, a vertical arrow stands above the box and the channels to its left.
    """
    middle = (box.outer_left + box.right) / 2
    x, side = (box.x - 8, "right") if is_crowded else (middle, "center")
    _write(axes, x, box.top + 3, str(box.copied + box.channels), ha=side, va="bottom")
    size = f"{box.size}×{box.size}" if box.y == 0 else f"{box.size}²"
    _write(axes, box.outer_left - 2, box.bottom, size, ha="right", va="bottom", rotation=90)


def _paint_arrows(axes: Axes, boxes: list[Box]) -> None:
    skips: list[Box] = []
    for before, box in pairwise(boxes):
        assert box.made_by is not None
        if box.made_by == "pool":
            skips.append(before)
            _arrow(axes, "pool", (box.x, before.bottom - 3), (box.x, box.top + 3))
        elif box.made_by == "up":
            _arrow(axes, "up", (box.x, before.top + 3), (box.x, box.bottom - 3))
            _paint_skip(axes, skips.pop(), box)
        else:
            start, end = before.right + 3, box.outer_left - 3
            _arrow(axes, box.made_by, (start, box.y), (end, box.y))


def _paint_skip(axes: Axes, skip: Box, box: Box) -> None:
    """Draw the arrow from `skip` to `box`, and dashed lines where `skip` is cropped."""
    _arrow(axes, "copy", (skip.right + 3, box.y), (box.outer_left - 3, box.y))
    for y in (box.bottom, box.top):
        axes.plot([skip.left, skip.right], [y, y], color=EDGE_COLOUR, lw=0.8, ls=(0, (3, 2)))


def _paint_legend(axes: Axes, boxes: list[Box], right: float, activation: str) -> float:
    """Put the legend at the lower right, below what stands there; return the lowest y."""
    left, line = right - 138, 18.0
    lowest = min(box.bottom for box in boxes)
    obstacles = [box.bottom for box in boxes if box.right > left - GAP]
    top = min(lowest + line * len(ARROWS), min(obstacles) - 30)
    for row, (operation, (_, text)) in enumerate(ARROWS.items()):
        y = top - line * (row + 0.5)
        _arrow(axes, operation, (left, y), (left + 24, y))
        _write(axes, left + 32, y, text.format(activation), ha="left", va="center")
    return min(lowest, top - line * len(ARROWS))


def _arrow(axes: Axes, operation: Operation, start: Point, end: Point) -> None:
    (x, y), (end_x, end_y) = start, end
    colour, _ = ARROWS[operation]
    axes.add_patch(FancyArrow(x, y, end_x - x, end_y - y, color=colour, lw=0, **SHAFT))


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, fontsize=FONT_SIZE, linespacing=1.1, **style)

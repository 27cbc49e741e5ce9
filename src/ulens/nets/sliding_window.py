"""The sliding-window network of Ciresan et al. (2012), evaluated patch by patch or densely."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ulens.errors import SettingError
from ulens.nets.layers import check_counts, he_initialise
from ulens.nets.network import Network
from ulens.nets.shapes import Geometry


class Layout(NamedTuple):
    """Convolution kernels, each followed by a 2×2 max-pooling, and the windows that they fit.

    The windows are ``step * s + offset`` pixels, where s = 1, 2, 3, … is the side of the map
    that the last pooling leaves.
    """

    kernels: tuple[int, ...]
    step: int
    offset: int


LAYOUTS = (
    Layout(kernels=(4, 4, 5), step=8, offset=25),
    Layout(kernels=(4, 5, 4, 4), step=16, offset=47),
)


class SlidingWindow(Network):
    """Network that decides a pixel from the square window around it.

    Parameters
    ----------
    in_channels : channels of the image
    num_classes : channels of the output
    window : side of the window in pixels; with the defaults the network is the published N4.
        Windows of 8s+25 pixels have three convolutional stages, those of 16s+47 four
    width : maps of each convolution
    hidden : units of the fully connected layer

    Notes
    -----
    ``forward`` maps (B, C, Y, X) float to logits (B, K, Y − 2·margin, X − 2·margin) for every
    size from `window` up. A window has an odd side and its pixel in the centre, so `margin`
    is ``(window - 1) / 2``: output pixel i decides input pixel i + margin, from input
    pixels i … i + window − 1 alone. Even kernels change nothing in this: a layer's output
    carries the index of the first pixel that it sees.

    An input of one window runs through the layers as published. A larger one is scanned
    densely: a pooling moves on by one pixel instead of two, and all later layers are
    dilated by two, so what was computed for one window serves its neighbours too; the
    values are the same. Training on sampled pixels is ``forward`` of a batch of windows.

    Chosen by us: ReLU after each convolution and after the fully connected layer; weights
    from N(0, √(2/N)), N = incoming nodes of a unit, biases 0.

    Source: Ciresan, Giusti, Gambardella and Schmidhuber, "Deep Neural Networks Segment
    Neuronal Membranes in Electron Microscopy Images", NIPS 2012; dense evaluation: Giusti
    et al., "Fast Image Scanning with Deep Max-Pooling Convolutional Neural Networks",
    arXiv 1302.1700.

    Examples
    --------
    >>> net = SlidingWindow(window=33, width=4, hidden=8)
    >>> net(torch.zeros(1, 1, 40, 50)).shape
    torch.Size([1, 2, 8, 18])
    """

    settings = "width", "window"
    has_dropout = False
    words = "sliding window of {window} px"

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        *,
        window: int = 95,
        width: int = 48,
        hidden: int = 200,
    ) -> None:
        super().__init__(in_channels, num_classes, width)
        check_counts("SlidingWindow", hidden=hidden)
        self.window = window
        layout = _find_layout(window)
        self.stages = nn.ModuleList(
            nn.Conv2d(width if index else in_channels, width, kernel)
            for index, kernel in enumerate(layout.kernels)
        )
        # fully connected over the last map: a convolution as large as the map
        self.hidden = nn.Conv2d(width, hidden, (window - layout.offset) // layout.step)
        self.head = nn.Conv2d(hidden, num_classes, 1)
        he_initialise(self)

    @staticmethod
    def geometry_of(architecture: Mapping[str, Any]) -> Geometry:
        """Return valid sizes, alignment and margin for a window."""
        return window_geometry(architecture["window"])

    @property
    def last(self) -> nn.Conv2d:
        """The 1×1 convolution."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        self._check_size(x)
        is_one_window = x.shape[-2:] == (self.window, self.window)
        return self._evaluate(x, is_dense=not is_one_window)

    @torch.no_grad()
    def predict_patchwise(self, x: Tensor, *, batch_size: int) -> Tensor:
        """Return what ``forward`` returns, computed as published: one window per output pixel.

        Parameters
        ----------
        x : (B, C, Y, X) float
        batch_size : windows that run through the network together; bounds the memory

        Returns
        -------
        (B, K, Y − 2·margin, X − 2·margin) logits of the type of `x`, without gradient
        """
        self._check_size(x)
        if batch_size < 1:
            raise SettingError(
                f"batch_size is {batch_size}; predict_patchwise needs at least 1 window"
            )
        # a view, (B, Y, X, C, window, window): only the windows of a batch are copied
        windows = x.unfold(2, self.window, 1).unfold(3, self.window, 1).permute(0, 2, 3, 1, 4, 5)
        pixels = windows.shape[:3]
        batches = torch.arange(pixels.numel(), device=x.device).split(batch_size)
        logits = torch.cat(
            [
                self._evaluate(windows[torch.unravel_index(batch, pixels)], is_dense=False)
                for batch in batches
            ]
        )
        return logits.reshape(*pixels, self.num_classes).permute(0, 3, 1, 2)

    def _check_size(self, x: Tensor) -> None:
        self.geometry.check(x.shape[-2], x.shape[-1], f"SlidingWindow(window={self.window})")

    def _evaluate(self, x: Tensor, *, is_dense: bool) -> Tensor:
        step = 1  # distance in pixels of x between neighbours on the published network's map
        for convolution in self.stages:
            x = _convolve(convolution, x, step)
            if is_dense:
                x = functional.max_pool2d(x, 2, stride=1, dilation=step)
                step *= 2
            else:
                x = functional.max_pool2d(x, 2)
            x = functional.relu(x)
        return self.head(functional.relu(_convolve(self.hidden, x, step)))


def window_geometry(window: int) -> Geometry:
    """Return the geometry of a network with a window of so many pixels."""
    return Geometry(base=window, alignment=1, margin=(window - 1) // 2)


def _find_layout(window: int) -> Layout:
    for layout in LAYOUTS:
        if window > layout.offset and (window - layout.offset) % layout.step == 0:
            return layout
    three, four = LAYOUTS
    raise SettingError(
        f"window is {window}; SlidingWindow takes {three.step}s+{three.offset} (three stages) "
        f"and {four.step}s+{four.offset} (four stages), s = 1, 2, 3, …; "
        "choose for instance 33, 65 or 95"
    )


def _convolve(layer: nn.Module, x: Tensor, dilation: int) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return functional.conv2d(x, layer.weight, layer.bias, dilation=dilation)

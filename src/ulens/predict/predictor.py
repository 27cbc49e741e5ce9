"""Runs a network over an image of any size, tile by tile."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from ulens.channels import check_channels
from ulens.encodings.table import Activation
from ulens.errors import SettingError
from ulens.nets.network import Network
from ulens.nets.quantized import Ranges
from ulens.predict.engines import EngineName, activate, build_engine, choose_device, torch_engine
from ulens.predict.rotations import Rotation
from ulens.predict.tiles import Slices, Tile, plan_tiles, read_mirrored
from ulens.resample import AS_IT_IS, Zoom, inverse, resample

Average = Literal[1, 8, "rotations7"]
NUM_ROTATIONS = 7


class Predictor:
    """Maps of an image, such as class probabilities, by the overlap-tile strategy.

    Parameters
    ----------
    net : a network with `geometry` and `in_channels` that maps (B, C, Y, X) float to
        outputs (B, K, Y − 2·margin, X − 2·margin). It is copied and never changed, so
        training may go on; later changes of its weights need a new predictor.
    activation : makes the maps of the outputs: "softmax" probabilities of logits, "clip" limits
        distances to [0, 1]
    device : as `choose_device`
    average : 1 for the image as it is; 8 for the mean over its flips and transposes;
        "rotations7" for the paper's mean over 7 rotated versions
    engine : how the network is computed; None is `torch_engine`, which needs no preparation
    int8 : as in `build_engine`
    max_input : largest tile along an axis, in input pixels; bounds the memory

    Notes
    -----
    The output does not depend on the tiles (in fp32 to rounding error). This holds for
    the 8 views too: all valid sizes are equal modulo the alignment, so a flipped
    tile sits on the same pooling grid as the flipped image.

    Source: paper, figure 2 (overlap-tile) and section 3 (mirroring); section 4 (rotations).
    """

    def __init__(
        self,
        net: Network,
        *,
        activation: Activation = "softmax",
        device: str = "auto",
        average: Average = 1,
        engine: EngineName | None = None,
        int8: Ranges | None = None,
        max_input: int = 828,
    ) -> None:
        if activation not in ("softmax", "clip"):
            raise SettingError(f"activation is {activation!r}; choose 'softmax' or 'clip'")
        if average not in (1, 8, "rotations7"):
            raise SettingError(f"average is {average!r}; choose 1, 8 or 'rotations7'")
        self.device = choose_device(device)
        self.activation, self.average, self.max_input = activation, average, max_input
        self.engine = engine or torch_engine(self.device)
        self.geometry, self.in_channels = net.geometry, net.in_channels
        self._run_network = build_engine(self.engine, net, self.device, int8)

    def num_tiles(self, shape: tuple[int, int]) -> int:
        """Return how many items `stream` yields for an image of `shape` (Y, X)."""
        return len(self._plan(shape))

    def predict(self, image: np.ndarray, zoom: Zoom = AS_IT_IS) -> np.ndarray:
        """Return the maps of a whole image.

        Parameters
        ----------
        image : (C, Y, X) float32, normalised
        zoom : (y, x) pixels that the network sees for each pixel of the image

        Returns
        -------
        (K, Y, X) float32 in [0, 1]; probabilities sum to 1 over K

        Raises
        ------
        ShapeError : `image` is empty or has not the channels the network was trained on
        """
        shown = resample(image, zoom)
        maps = _assemble(self.stream(shown), shown.shape[1:])
        return resample(maps, inverse(zoom), image.shape[1:])

    def stream(self, image: np.ndarray) -> Iterator[tuple[Slices, np.ndarray]]:
        """Yield ``(write, maps)`` per tile; stop iterating to cancel.

        Parameters
        ----------
        image : (C, Y, X) float32, normalised

        Yields
        ------
        write : (y, x) slices of the image; together they cover each pixel once
        maps : (K, y, x) float32 in [0, 1]

        Notes
        -----
        Needs the memory of one tile, except for "rotations7": a rotated tile covers
        no tile of the image, so all seven predictions of the whole image are made before
        the first item is yielded.
        """
        check_channels(image.shape, self.in_channels)
        if self.average == "rotations7":
            return self._stream_rotations(image)
        return self._stream_views(image)

    def stream_block(
        self, read: Callable[[Slices], np.ndarray], shape: tuple[int, int]
    ) -> Iterator[tuple[Slices, np.ndarray]]:
        """Yield as `stream` does, for a block of an image that need not be in memory.

        Parameters
        ----------
        read : returns the (C, y, x) float32 pixels, normalised and mirrored, of a window, whose
            (y, x) slices count from the block's corner
        shape : (Y, X) of the block, whose corner is a multiple of the alignment from the image's

        Raises
        ------
        SettingError : `average` is "rotations7", which needs the whole image
        """
        if self.average == "rotations7":
            raise SettingError(
                "average is 'rotations7', which needs the whole image in memory; choose 1 or 8"
            )
        return self._stream_windows(read, shape)

    def stream_each_view(self, image: np.ndarray) -> Iterator[tuple[Slices, np.ndarray]]:
        """Yield as `stream` does, but the maps of the 8 views one by one, (8, K, y, x)."""
        check_channels(image.shape, self.in_channels)
        for tile in self._plan(image.shape[1:]):
            views = torch.stack(list(self._each_view(read_mirrored(image, tile.read))))
            yield tile.write, views[..., *tile.inner].cpu().numpy()

    def _stream_views(self, image: np.ndarray) -> Iterator[tuple[Slices, np.ndarray]]:
        return self._stream_windows(lambda window: read_mirrored(image, window), image.shape[1:])

    def _stream_windows(
        self, read: Callable[[Slices], np.ndarray], shape: tuple[int, int]
    ) -> Iterator[tuple[Slices, np.ndarray]]:
        run = self._run if self.average == 1 else self._run_dihedral
        for tile in self._plan(shape):
            yield tile.write, run(read(tile.read))[:, *tile.inner]

    def _stream_rotations(self, image: np.ndarray) -> Iterator[tuple[Slices, np.ndarray]]:
        shape = image.shape[1:]
        mean = self._predict_rotated(image, Rotation(shape, 0.0))
        for index in range(1, NUM_ROTATIONS):
            angle = 2 * math.pi * index / NUM_ROTATIONS
            mean += self._predict_rotated(image, Rotation(shape, angle))
        mean /= NUM_ROTATIONS
        for tile in self._plan(shape):
            yield tile.write, mean[:, *tile.write]

    def _predict_rotated(self, image: np.ndarray, rotation: Rotation) -> np.ndarray:
        parts = (
            (tile.write, self._run(rotation.read(image, tile.read))[:, *tile.inner])
            for tile in self._plan(rotation.canvas)
        )
        return rotation.undo(_assemble(parts, rotation.canvas))

    def _plan(self, shape: tuple[int, int]) -> list[Tile]:
        return plan_tiles(shape, self.geometry, self.max_input)

    def _run(self, window: np.ndarray) -> np.ndarray:
        return self._maps(torch.from_numpy(window)[None]).cpu().numpy()

    def _run_dihedral(self, window: np.ndarray) -> np.ndarray:
        return (cast(Tensor, sum(self._each_view(window))) / 8).cpu().numpy()

    def _each_view(self, window: np.ndarray) -> Iterator[Tensor]:
        """Yield the maps of a window's flips and transposes, turned back."""
        x = torch.from_numpy(window)[None]
        for transpose in (False, True):
            for axes in ((), (-2,), (-1,), (-2, -1)):
                yield _undo_view(self._maps(_view(x, transpose, axes)), transpose, axes)

    def _maps(self, x: Tensor) -> Tensor:
        return activate(self._run_network(x)[0], self.activation)


def _assemble(parts: Iterable[tuple[Slices, np.ndarray]], shape: tuple[int, int]) -> np.ndarray:
    whole = np.empty((0, *shape), np.float32)
    for write, maps in parts:
        if not len(whole):
            whole = np.empty((len(maps), *shape), np.float32)
        whole[:, *write] = maps
    return whole


def _view(x: Tensor, transpose: bool, axes: tuple[int, ...]) -> Tensor:
    flipped = x.flip(axes)
    return flipped.transpose(-2, -1) if transpose else flipped


def _undo_view(x: Tensor, transpose: bool, axes: tuple[int, ...]) -> Tensor:
    return (x.transpose(-2, -1) if transpose else x).flip(axes)

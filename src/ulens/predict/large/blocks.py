"""A plane in blocks: where they lie, and the files that hold an array for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from uuid import uuid4

import numpy as np

from ulens.io.atomic import write_array

Window = tuple[slice, slice]
Block = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A plane cut into squares; a block is known by its (row, column) among them.

    Parameters
    ----------
    size : (Y, X) of the plane in pixels
    block_px : side of a block; those at the lower and right edge may be smaller
    """

    size: tuple[int, int]
    block_px: int

    def __iter__(self) -> Iterator[Block]:
        return cut(self.size, (self.block_px, self.block_px))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def window(self, block: Block) -> Window:
        """Return the (y, x) slices of a block."""
        return window_of(block, self.size, (self.block_px, self.block_px))

    def touching(self, window: Window) -> Iterator[Block]:
        """Yield the blocks that have a part in a window, in reading order."""
        rows, columns = (
            range(side.start // self.block_px, -(-side.stop // self.block_px)) for side in window
        )
        return product(rows, columns)

    def grown(self, window: Window, margin: int) -> Window:
        """Return a window with a margin around it, as far as the plane goes.

        Examples
        --------
        >>> Blocks((100, 100), 10).grown((slice(0, 10), slice(50, 60)), 3)
        (slice(0, 13, None), slice(47, 63, None))
        """
        rows, columns = (
            slice(max(0, side.start - margin), min(side.stop + margin, length))
            for side, length in zip(window, self.size, strict=True)
        )
        return rows, columns

    def neighbours(self, block: Block) -> Iterator[tuple[Block, int]]:
        """Yield the blocks below and to the right, and the axis along which they lie."""
        for axis in (0, 1):
            after = (block[0] + (axis == 0), block[1] + (axis == 1))
            if after[axis] * self.block_px < self.size[axis]:
                yield after, axis


def cut(size: tuple[int, int], sides: tuple[int, int]) -> Iterator[Block]:
    """Cut a plane of `size` into windows with these sides; yield them in reading order."""
    rows, columns = (range(-(-length // side)) for length, side in zip(size, sides, strict=True))
    return product(rows, columns)


def window_of(block: Block, size: tuple[int, int], sides: tuple[int, int]) -> Window:
    """Return the (y, x) slices of a block of `cut`."""
    rows, columns = (
        slice(index * side, min((index + 1) * side, length))
        for index, length, side in zip(block, size, sides, strict=True)
    )
    return rows, columns


def within(window: Window, outer: Window) -> Window:
    """Return a window as counted from the corner of one that holds it."""
    rows, columns = (
        slice(side.start - base.start, side.stop - base.start)
        for side, base in zip(window, outer, strict=True)
    )
    return rows, columns


@dataclass(frozen=True, slots=True)
class BlockFiles:
    """An array for each block, as a .npy file that is wholly there or not at all.

    Parameters
    ----------
    folder : made when the first is written
    blocks : of the plane
    """

    folder: Path
    blocks: Blocks

    def has(self, block: Block) -> bool:
        """Whether the array of a block is there."""
        return self._path(block).is_file()

    def write(self, block: Block, array: np.ndarray) -> None:
        """Write the array of a block; one that is there is replaced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(block)
        # under a name of its own, since another process may be writing the same
        write_array(path, array, new=path.with_suffix(f".{uuid4().hex}"))

    def read(self, block: Block) -> np.ndarray:
        """Return the array of a block, mapped: only what is looked at is read."""
        return np.load(self._path(block), mmap_mode="r", allow_pickle=False)

    def read_window(
        self,
        window: Window,
        change: Callable[[Block, np.ndarray], np.ndarray] = lambda block, part: part,
    ) -> np.ndarray:
        """Return the pixels of a window of the plane, put together from its blocks.

        Parameters
        ----------
        change : is made to the part of each block
        """
        whole: np.ndarray | None = None
        for block in self.blocks.touching(window):
            own = self.blocks.window(block)
            common: Window = tuple(  # type: ignore[assignment]
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(own, window, strict=True)
            )
            part = change(block, self.read(block)[..., *within(common, own)])
            if whole is None:
                sides = (side.stop - side.start for side in window)
                whole = np.empty((*part.shape[:-2], *sides), part.dtype)
            whole[..., *within(common, window)] = part
        assert whole is not None, f"window {window} is empty"
        return whole

    def _path(self, block: Block) -> Path:
        return self.folder / f"{block[0]}_{block[1]}.npy"


class PlaneFiles:
    """The files of a plane at work.

    Parameters
    ----------
    folder : what it holds already is taken as done
    blocks : of the plane

    Attributes
    ----------
    strips, statistics : of the strips that are measured, and the statistics made of them
    maps, seeds, labels : what the network, the search for seeds and the decoding give
    numbers : of each block's seeds in the whole plane
    unsure : instances that may differ from those of the whole plane
    table, areas : the final number of each instance, by that of its seed, and its pixels
    written : empty, for blocks that the output has
    """

    def __init__(self, folder: Path, blocks: Blocks) -> None:
        self.blocks = blocks
        self.statistics = folder / "statistics.json"
        self.table, self.areas = folder / "table.npy", folder / "areas.npy"
        names = ("strips", "maps", "seeds", "numbers", "labels", "unsure", "written")
        self.strips, self.maps, self.seeds, self.numbers, *rest = (
            BlockFiles(folder / name, blocks) for name in names
        )
        self.labels, self.unsure, self.written = rest

    def has(self, files: BlockFiles, block: Block) -> bool:
        """Whether the array of a block is there, or was and its labels have been made since."""
        return any(each.has(block) for each in (files, self.labels, self.written))

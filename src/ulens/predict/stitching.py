"""Components that reach over several blocks: one number each, in raster order."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ulens.predict.blocks import Block, BlockFiles


@dataclass(frozen=True, slots=True)
class Numbering:
    """The numbers that components have in the whole plane.

    Parameters
    ----------
    tables : per block (n + 1,) int32, the number of each of its own labels; 0 for components that
        were left out
    num_components : numbers are 1 … so many, in raster order of the components' first pixels
    """

    tables: dict[Block, np.ndarray]
    num_components: int

    def apply(self, block: Block, labels: np.ndarray) -> np.ndarray:
        """Return a block's own labels, numbered as in the whole plane."""
        return self.tables[block][labels]


def number_components(labels: BlockFiles, min_area_px: int) -> Numbering:
    """Find the components that are one across the borders of blocks.

    Parameters
    ----------
    labels : 4-connected components of each block by itself, 1…n; 0 = background
    min_area_px : components with fewer pixels in all blocks together are left out

    Notes
    -----
    Takes memory for every component, some 100 bytes, but no more than one block's pixels.
    """
    offsets: dict[Block, int] = {}
    areas, firsts = [], []
    num_nodes = 0
    for block in labels.blocks:
        area, first = _measure(labels, block)
        offsets[block] = num_nodes
        areas.append(area)
        firsts.append(first)
        num_nodes += len(area)
    if num_nodes == 0:
        return Numbering({block: np.zeros(1, np.int32) for block in offsets}, 0)
    pairs = _contacts(labels, offsets)
    graph = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(num_nodes, num_nodes))
    num_groups, group = connected_components(graph, directed=False)
    area = np.bincount(group, np.concatenate(areas), minlength=num_groups)
    first = np.full(num_groups, np.iinfo(np.int64).max)
    np.minimum.at(first, group, np.concatenate(firsts))
    kept = np.flatnonzero(area >= max(1, min_area_px))
    numbers = np.zeros(num_groups, np.int32)
    numbers[kept[np.argsort(first[kept])]] = np.arange(1, len(kept) + 1)
    ends = [*list(offsets.values())[1:], num_nodes]
    tables = {
        block: np.concatenate([[np.int32(0)], numbers[group[start:end]]])
        for (block, start), end in zip(offsets.items(), ends, strict=True)
    }
    return Numbering(tables, len(kept))


def _measure(labels: BlockFiles, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Return the area of each component of a block, and its first pixel in the whole plane."""
    own = np.asarray(labels.read(block))
    rows, columns = labels.blocks.window(block)
    inside = np.flatnonzero(own)
    numbers = own.ravel()[inside] - 1
    y, x = np.divmod(inside, own.shape[1])
    places = (y + rows.start) * np.int64(labels.blocks.size[1]) + x + columns.start
    first = np.full(numbers.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, numbers, places)
    return np.bincount(numbers, minlength=len(first)), first


def _contacts(labels: BlockFiles, offsets: dict[Block, int]) -> np.ndarray:
    """Return (N, 2) components, counted over all blocks from 0, that touch across a border."""
    pairs = [np.empty((0, 2), np.int64)]
    for block in labels.blocks:
        for after, axis in labels.blocks.neighbours(block):
            here = labels.read(block).take(-1, axis).astype(np.int64)
            there = labels.read(after).take(0, axis).astype(np.int64)
            touch = (here > 0) & (there > 0)
            numbers = here[touch] - 1 + offsets[block], there[touch] - 1 + offsets[after]
            pairs.append(np.stack(numbers, axis=1))
    return np.concatenate(pairs)

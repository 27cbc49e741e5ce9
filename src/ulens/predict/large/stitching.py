"""Components that reach over several blocks: one number each, in raster order."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ulens.predict.large.blocks import Block, BlockFiles


def number_components(labels: BlockFiles, min_area_px: int) -> dict[Block, np.ndarray]:
    """Find the components that are one across the borders of blocks.

    Parameters
    ----------
    labels : 4-connected components of each block by itself, 1…n; 0 = background
    min_area_px : components with fewer pixels in all blocks together are left out

    Returns
    -------
    per block (n + 1,) int32, the number in the whole plane of each of its own labels: 1 … N in
    raster order of the components' first pixels, 0 for those that were left out

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
        return {block: np.zeros(1, np.int32) for block in offsets}
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
    return {
        block: np.concatenate([[np.int32(0)], numbers[group[start:end]]])
        for (block, start), end in zip(offsets.items(), ends, strict=True)
    }


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

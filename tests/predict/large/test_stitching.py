import numpy as np
import pytest
from scipy import ndimage

from ulens.labels.regions import without_small
from ulens.predict.large.blocks import BlockFiles, Blocks
from ulens.predict.large.stitching import number_components


def in_blocks(folder, mask, block_px):
    """Label each block of a mask by itself."""
    files = BlockFiles(folder, Blocks(mask.shape, block_px))
    for block in files.blocks:
        labels, _ = ndimage.label(mask[files.blocks.window(block)])
        files.write(block, labels.astype(np.int32))
    return files


def numbered(files, numbers):
    """Return the whole plane with its final numbers."""
    height, width = files.blocks.size
    return files.read_window(
        (slice(0, height), slice(0, width)), lambda block, labels: numbers[block][labels]
    )


def spiral():
    """One line, a pixel wide, that passes through every block many times."""
    mask = np.zeros((41, 41), bool)
    low, high = 0, 40
    while low < high:
        mask[low, low : high + 1] = mask[low : high + 1, high] = True
        mask[high, low : high + 1] = mask[low + 2 : high + 1, low] = True
        mask[low + 2, low : low + 2] = True
        low, high = low + 2, high - 2
        mask[low, low - 1] = True
    return mask


@pytest.mark.parametrize("density", [0.3, 0.55, 0.7])
@pytest.mark.parametrize("min_area_px", [0, 6])
def test_numbers_are_those_of_the_whole(tmp_path, density, min_area_px):
    mask = np.random.default_rng(1).random((37, 50)) < density
    files = in_blocks(tmp_path, mask, 8)
    numbers = number_components(files, min_area_px)
    whole = without_small(ndimage.label(mask)[0], min_area_px)
    np.testing.assert_array_equal(numbered(files, numbers), whole)
    assert max(table.max() for table in numbers.values()) == whole.max()


def test_a_spiral_is_one_component(tmp_path):
    mask = spiral()
    assert ndimage.label(mask)[1] == 1
    files = in_blocks(tmp_path, mask, 8)
    np.testing.assert_array_equal(numbered(files, number_components(files, 1)), mask)
    assert not numbered(files, number_components(files, mask.sum() + 1)).any()


def test_nothing_has_no_components(tmp_path):
    files = in_blocks(tmp_path, np.zeros((20, 20), bool), 8)
    assert not numbered(files, number_components(files, 1)).any()

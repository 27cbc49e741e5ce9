import numpy as np
import pytest

from ulens.errors import OutputError
from ulens.predict.large.blocks import BlockFiles, Blocks, within


def test_blocks_cover_each_pixel_once():
    blocks = Blocks((50, 33), 16)
    covered = np.zeros((50, 33), int)
    for block in blocks:
        covered[blocks.window(block)] += 1
    assert (covered == 1).all()
    assert len(blocks) == len(list(blocks)) == 12


def test_a_window_touches_the_blocks_it_has_pixels_of():
    blocks = Blocks((50, 33), 16)
    assert list(blocks.touching((slice(15, 16), slice(16, 33)))) == [(0, 1), (0, 2)]
    assert list(blocks.touching((slice(15, 17), slice(0, 1)))) == [(0, 0), (1, 0)]


def test_neighbours_lie_below_and_to_the_right():
    blocks = Blocks((32, 33), 16)
    assert list(blocks.neighbours((0, 0))) == [((1, 0), 0), ((0, 1), 1)]
    assert list(blocks.neighbours((1, 2))) == []


def test_files_give_back_any_window(tmp_path):
    whole = np.arange(2 * 50 * 33).reshape(2, 50, 33)
    files = BlockFiles(tmp_path / "maps", Blocks((50, 33), 16))
    for block in files.blocks:
        assert not files.has(block)
        files.write(block, whole[:, *files.blocks.window(block)])
        assert files.has(block)
    window = (slice(3, 40), slice(15, 33))
    np.testing.assert_array_equal(files.read_window(window), whole[:, *window])
    changed = files.read_window(window, lambda block, part: part[0] + 0 * block[0])
    np.testing.assert_array_equal(changed, whole[0][window])
    assert within((slice(5, 9), slice(16, 20)), window) == (slice(2, 6), slice(1, 5))


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    files = BlockFiles(tmp_path, Blocks((4, 4), 16))
    (tmp_path / "0_0.npy").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        files.write((0, 0), np.zeros((4, 4)))

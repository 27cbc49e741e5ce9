import mmap
import tempfile

import numpy as np
import pytest

from ulens.errors import OutputError
from ulens.io import store
from ulens.io.store import ArrayStore


def is_mapped(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return (isinstance(array, memoryview) and isinstance(array.obj, mmap.mmap)) or isinstance(
        array, mmap.mmap
    )


def test_arrays_share_files_and_keep_apart(monkeypatch):
    opened = []
    temporary = tempfile.TemporaryFile

    def count():
        opened.append(temporary())
        return opened[-1]

    monkeypatch.setattr(store.tempfile, "TemporaryFile", count)
    kept = ArrayStore(in_memory_bytes=0, block_bytes=1000)
    arrays = [np.full(50, number, np.int16) for number in range(20)]
    arrays.insert(7, np.arange(5000, dtype=np.int16))  # larger than a block
    mapped = [kept.keep(each) for each in arrays]
    for array, copy in zip(arrays, mapped, strict=True):
        np.testing.assert_array_equal(copy, array)
    assert len(opened) == 4


def test_what_has_room_stays_and_the_rest_is_mapped():
    kept = ArrayStore(in_memory_bytes=100)
    first, second = np.arange(60, dtype=np.uint8), np.arange(60, dtype=np.uint8).reshape(5, 12)
    assert kept.keep(first) is first
    mapped = kept.keep(second)
    assert is_mapped(mapped)
    assert not is_mapped(first)
    np.testing.assert_array_equal(mapped, second)


@pytest.mark.parametrize("dtype", [bool, np.int16, np.float32, np.int64])
def test_a_mapped_array_is_like_any_other(dtype):
    array = np.arange(24).reshape(2, 3, 4)[:, ::-1].astype(dtype)
    mapped = ArrayStore(in_memory_bytes=0).keep(array)
    assert (mapped.dtype, mapped.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(mapped, array)
    mapped[0, 0, 0] = 0
    assert not mapped[0, 0, 0]


def test_nothing_is_left_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store.tempfile, "tempdir", str(tmp_path))
    mapped = ArrayStore(in_memory_bytes=0).keep(np.ones(1000))
    assert mapped.sum() == 1000
    assert not list(tmp_path.iterdir())


def test_an_empty_array_needs_no_file():
    assert ArrayStore(in_memory_bytes=0).keep(np.zeros((0, 3))).shape == (0, 3)


def test_a_full_disk_is_told(monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.tempfile, "TemporaryFile", fail)
    with pytest.raises(OutputError, match=r"No space left on device; free some .* TMPDIR"):
        ArrayStore(in_memory_bytes=0).keep(np.ones(10))

import ctypes
import sys

import pytest
import torch

from ulens.cli.process import keep_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="settings of glibc")
def test_large_arrays_come_from_the_kept_heap():
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("the C library has no mallinfo2 (glibc >= 2.33 has)")

    class Mallinfo2(ctypes.Structure):
        # malloc.h: arena, ordblks, smblks, hblks (mappings), then six more
        _fields_ = [(f"field_{number}", ctypes.c_size_t) for number in range(10)]

    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo2
    keep_freed_memory()
    before = mallinfo2().field_3
    arrays = [torch.empty(64 << 20, dtype=torch.uint8) for _ in range(3)]
    assert len(arrays) == 3
    assert mallinfo2().field_3 == before

"""Arrays that together may be larger than memory."""

import mmap
import tempfile

import numpy as np

from ulens.errors import OutputError

IN_MEMORY_BYTES = BLOCK_BYTES = 2**30
_ALIGNMENT = 64


class ArrayStore:
    """Keeps arrays in memory as long as they are few, and the others in mapped files.

    Parameters
    ----------
    in_memory_bytes : how much is kept in memory
    block_bytes : size of a file; an array that is larger has one of its own

    Notes
    -----
    A mapped array is an array like any other; the operating system reads the parts that are used,
    and forgets them where memory is short. Many arrays share a file, since a process may open few.
    The files lie in the system's folder for temporary files (TMPDIR) without
    a name, so they vanish with their arrays, or with the process however it ends.
    """

    def __init__(
        self, in_memory_bytes: int | None = None, *, block_bytes: int = BLOCK_BYTES
    ) -> None:
        self._room = IN_MEMORY_BYTES if in_memory_bytes is None else in_memory_bytes
        self._block_bytes = block_bytes
        self._block: mmap.mmap | None = None
        self._end = 0

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Return `array`, or one of the same values that lies in a file.

        Raises
        ------
        OutputError : there is no room for that file
        """
        if array.nbytes <= max(self._room, 0):
            self._room -= array.nbytes
            return array
        try:
            return self._map(np.ascontiguousarray(array))
        except OSError as error:
            raise OutputError(
                f"cannot keep {array.nbytes / 1e9:.1f} GB of images in {tempfile.gettempdir()}: "
                f"{error.strerror or error}; free some space, or set TMPDIR to a folder with more"
            ) from error

    def _map(self, array: np.ndarray) -> np.ndarray:
        start = -(-self._end // _ALIGNMENT) * _ALIGNMENT
        if self._block is None or start + array.nbytes > len(self._block):
            size, start = max(self._block_bytes, array.nbytes), 0
            self._file = tempfile.TemporaryFile()  # noqa: SIM115, it is open while it is filled
            self._file.truncate(size)
            self._block = mmap.mmap(self._file.fileno(), size)
        # written, not copied into the mapping: of a full disk only this tells
        self._file.seek(start)
        self._file.write(array.reshape(-1).view(np.uint8).data)
        self._file.flush()
        self._end = start + array.nbytes
        mapped = np.frombuffer(self._block, array.dtype, array.size, start)
        return mapped.reshape(array.shape)

"""Arrays that together may be larger than memory."""

import tempfile

import numpy as np

from ulens.errors import OutputError

IN_MEMORY_BYTES = 2**30


class ArrayStore:
    """Keeps arrays in memory as long as they are few, and the others in mapped files.

    Parameters
    ----------
    in_memory_bytes : how much is kept in memory

    Notes
    -----
    A mapped array is an array like any other; the operating system reads the parts that are used,
    and forgets them where memory is short. The files lie in the system's folder for temporary files
    (TMPDIR) without a name, so they vanish with the array, or with the process however it ends.
    """

    def __init__(self, in_memory_bytes: int | None = None) -> None:
        self._room = IN_MEMORY_BYTES if in_memory_bytes is None else in_memory_bytes

    def keep(self, array: np.ndarray) -> np.ndarray:
        """Return `array`, or one of the same values that lies in a file.

        Raises
        ------
        OutputError : there is no room for that file
        """
        self._room -= array.nbytes
        if self._room >= 0 or not array.nbytes:
            return array
        try:
            with tempfile.TemporaryFile() as file:
                np.ascontiguousarray(array).tofile(file)
                file.flush()
                return np.memmap(file, array.dtype, "r+", shape=array.shape)
        except OSError as error:
            raise OutputError(
                f"cannot keep {array.nbytes / 1e9:.1f} GB of images in {tempfile.gettempdir()}: "
                f"{error.strerror or error}; free some space, or set TMPDIR to a folder with more"
            ) from error

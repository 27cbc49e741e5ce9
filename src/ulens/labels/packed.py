"""Label images, compressed: sequences of thousands of frames must fit into memory."""

import zlib

import numpy as np


class PackedLabels:
    """A label image, compressed.

    Parameters
    ----------
    labels : integers of any shape

    Examples
    --------
    >>> PackedLabels(np.array([[0, 7]])).unpack()
    array([[0, 7]])
    """

    def __init__(self, labels: np.ndarray) -> None:
        self._shape, self._dtype = labels.shape, labels.dtype
        self._bytes = zlib.compress(labels.tobytes(), level=1)

    def unpack(self) -> np.ndarray:
        """Return the label image, which cannot be written to."""
        return np.frombuffer(zlib.decompress(self._bytes), self._dtype).reshape(self._shape)

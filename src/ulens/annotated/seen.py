"""Which images a model has seen: a short hash of the pixels of each."""

import hashlib

import numpy as np

from ulens.channels import is_grey

HASH_BYTES = 8


def hash_image(image: np.ndarray) -> str:
    """Return what tells an image from all others, whatever file it lies in.

    Parameters
    ----------
    image : (C, Y, X) of any numeric dtype

    Returns
    -------
    16 hexadecimal digits; the same for equal grey values in another dtype, and for a grey image
    that was saved as a colour one

    Examples
    --------
    >>> hash_image(np.zeros((1, 2, 2), np.uint8)) == hash_image(np.zeros((3, 2, 2), np.float32))
    True
    """
    channels = image[:1] if is_grey(image) else image
    digest = hashlib.blake2b(str(channels.shape).encode(), digest_size=HASH_BYTES)
    for channel in channels:
        # line by line: the image may lie in a file that is larger than memory
        for line in channel:
            digest.update(np.ascontiguousarray(line, "<f4").data)
    return digest.hexdigest()

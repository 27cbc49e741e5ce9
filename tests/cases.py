"""A gallery of small label images with known properties.

Each function returns a new (Y, X) int32 array; 0 = background, instances are 1…N.
"""

import numpy as np


def two_touching_discs() -> np.ndarray:
    """(24, 40): two discs of radius 9 px that share a straight border, no background between."""
    y, x = np.mgrid[:24, :40]
    labels = np.zeros((24, 40), np.int32)
    for label, centre_x in ((1, 12), (2, 27)):
        own_side = x < 20 if label == 1 else x >= 20
        labels[own_side & ((y - 12) ** 2 + (x - centre_x) ** 2 <= 9**2)] = label
    return labels


def empty() -> np.ndarray:
    """(16, 20): background alone."""
    return np.zeros((16, 20), np.int32)


def one_pixel() -> np.ndarray:
    """(9, 11): a single instance of a single pixel, at (4, 5)."""
    labels = np.zeros((9, 11), np.int32)
    labels[4, 5] = 1
    return labels


def cell_with_hole() -> np.ndarray:
    """(20, 20): a ring of 12×12 px around a hole of 4×4 px of background."""
    labels = np.zeros((20, 20), np.int32)
    labels[4:16, 4:16] = 1
    labels[8:12, 8:12] = 0
    return labels


def three_in_a_row() -> np.ndarray:
    """(14, 32): three 10×8 px rectangles side by side, each touching the next."""
    labels = np.zeros((14, 32), np.int32)
    for index in range(3):
        labels[2:12, 4 + 8 * index : 12 + 8 * index] = index + 1
    return labels

"""A gallery of small label images with known properties.

Each function returns a new (Y, X) int32 array; 0 = background, instances are 1…N.
"""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import PIL.Image
from scipy import ndimage


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


def cells(seed: int, *, number: int = 12, size: int = 96, radius: int = 8) -> np.ndarray:
    """(size, size): round cells 1…N of about `radius` px at random places; some touch."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    distances = []
    for _ in range(number):
        centre_y, centre_x = generator.uniform(radius, size - radius, 2)
        own_radius = radius * generator.uniform(0.7, 1.2)
        distances.append(np.hypot(y - centre_y, x - centre_x) / own_radius)
    nearest = np.argmin(distances, axis=0)
    labels = np.where(np.min(distances, axis=0) < 1, nearest + 1, 0)
    _, numbered = np.unique(labels, return_inverse=True)
    return numbered.reshape(labels.shape).astype(np.int32)


def renumbered(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """The same objects with other ids, int64."""
    return np.array([0, *ids], np.int64)[labels]


def nuclei_in_cells(seed: int) -> np.ndarray:
    """(96, 96): classes 1 = cytoplasm and 2 = nucleus."""
    labels = cells(seed, number=5, radius=14)
    nuclei = np.zeros_like(labels)
    for number in range(1, labels.max() + 1):
        y, x = np.nonzero(labels == number)
        grid_y, grid_x = np.mgrid[: len(labels), : len(labels)]
        near = np.hypot(grid_y - y.mean(), grid_x - x.mean()) < 4
        nuclei[near & (labels == number)] = 1
    return np.sign(labels) + nuclei


def drawn_with_soft_edges(seed: int, factor: int, size: int = 96) -> np.ndarray:
    """A mask of `cells` as a drawing program makes it: uint8, edges averaged over finer pixels."""
    fine = cells(seed, size=size * factor, radius=8 * factor) > 0
    parts = fine.reshape(size, factor, size, factor)
    return np.round(parts.mean(axis=(1, 3)) * 255).astype(np.uint8)


def resized(labels: np.ndarray, factor: float, order: int) -> np.ndarray:
    """Values resized with interpolation, as whole numbers: what must not be done to labels."""
    zoomed = ndimage.zoom(labels.astype(float), factor, order=order)
    return np.round(zoomed).clip(0, labels.max()).astype(labels.dtype)


def through_jpeg(values: np.ndarray, quality: int) -> np.ndarray:
    """uint8 values saved as JPEG and read again."""
    file = BytesIO()
    PIL.Image.fromarray(values.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(PIL.Image.open(file))


def picture(labels: np.ndarray, seed: int, *, ground: int = 40, noise: float = 6) -> np.ndarray:
    """uint8 microscope image of labelled objects: blurred, bright, noisy."""
    generator = np.random.default_rng(seed)
    blurred = ndimage.gaussian_filter(np.sign(labels).astype(float), 1.5)
    return (
        (ground + 120 * blurred + generator.normal(0, noise, labels.shape))
        .clip(0, 255)
        .astype(np.uint8)
    )


def probabilities(labels: np.ndarray) -> np.ndarray:
    """uint8 map of probabilities, 0…255, that gives the mask back at half."""
    inside = ndimage.distance_transform_edt(labels > 0)
    outside = ndimage.distance_transform_edt(labels == 0)
    signed = np.where(labels > 0, inside - 0.5, 0.5 - outside)
    return np.round(255 / (1 + np.exp(-0.4 * signed))).astype(np.uint8)

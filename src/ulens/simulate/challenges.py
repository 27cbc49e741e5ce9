"""Simulated microscope images with exact truth.

Two sets that look like the ones the U-Net was made for: electron micrographs of neuropil
(ISBI 2012) and touching cells in differential interference contrast (DIC). Image k of a seed is
the same whatever the number of images asked for.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage as ndi

from ulens.errors import SettingError
from ulens.simulate.fields import (
    anisotropy,
    border_distance,
    lengths,
    nearest,
    packed_discs,
    random_anisotropy,
    rotation,
    slope_and_line,
    smooth_noise,
    streaks,
    to_uint8,
    warped_grid,
)
from ulens.simulate.shapes import largest_regions

MIN_SIZE = 64
MEMBRANE, INTERIOR = 0, 255


def simulate_membranes(
    num_images: int, size: int = 256, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate electron micrographs of neuropil, cut like the ISBI 2012 challenge's.

    Mitochondria, vesicles, microtubules and synaptic densities are dark too, but no membrane:
    they are what a threshold falls for.

    Parameters
    ----------
    num_images : how many images
    size : rows and columns of each image, in pixels (of about 4 nm)
    seed : same seed, same images

    Returns
    -------
    images : (N, Y, X) uint8
    labels : (N, Y, X) uint8; 0 = membrane, 255 = interior of a cell

    Raises
    ------
    SettingError : no image is asked for, images are too small for a few cells, or seed < 0

    Examples
    --------
    >>> images, labels = simulate_membranes(2, size=64)
    >>> images.shape, labels.dtype
    ((2, 64, 64), dtype('uint8'))
    """
    return _simulate(_membrane_image, num_images, size, seed)


def simulate_cells(
    num_images: int, size: int = 256, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate densely growing cells in DIC, which shows slopes of thickness, not brightness.

    Parameters
    ----------
    num_images : how many images
    size : rows and columns of each image, in pixels; cells are 25 to 60 pixels wide
    seed : same seed, same images

    Returns
    -------
    images : (N, Y, X) uint8
    labels : (N, Y, X) uint16; 0 = background, then 1…n without gaps, each cell connected,
        touching cells without a gap between them

    Raises
    ------
    SettingError : no image is asked for, images are too small for a few cells, or seed < 0

    Examples
    --------
    >>> images, labels = simulate_cells(1, size=64)
    >>> images.dtype, labels.dtype
    (dtype('uint8'), dtype('uint16'))
    """
    return _simulate(_cell_image, num_images, size, seed)


def _simulate(
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]],
    num_images: int,
    size: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    if num_images < 1:
        raise SettingError(f"num_images is {num_images}; ask for 1 or more")
    if size < MIN_SIZE:
        raise SettingError(f"size is {size}; give {MIN_SIZE} pixels or more")
    if seed < 0:
        raise SettingError(f"seed is {seed}; give 0 or more")
    pairs = [draw(np.random.default_rng([seed, index]), size) for index in range(num_images)]
    return np.stack([image for image, _ in pairs]), np.stack([label for _, label in pairs])


# ---- electron micrographs -----------------------------------------------------------------------


def _membrane_image(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    neurites = _neurites(rng, size)
    distance = border_distance(neurites)
    # Membranes cut obliquely are wider and paler.
    obliqueness = np.clip(1.2 * smooth_noise(rng, size, 14), -1, 2.5)
    half_width = 1.5 + 0.4 * obliqueness + 0.6 * np.clip(obliqueness - 1, 0, None) ** 2
    labels = np.where(distance <= half_width, MEMBRANE, INTERIOR).astype(np.uint8)

    grey = _cytoplasm(rng, neurites)
    _add_mitochondria(rng, grey, neurites, distance)
    depth = np.clip(88 - 14 * obliqueness + 12 * smooth_noise(rng, size, 20), 35, 120)
    profile = np.exp(-((distance / (half_width + 0.3)) ** 2))
    grey -= (grey - (158 - depth)) * profile
    grey -= _synaptic_densities(rng, distance)

    grey = ndi.gaussian_filter(grey, 0.8)
    grey *= 1 + 0.05 * smooth_noise(rng, size, size / 2)
    grain = ndi.gaussian_filter(rng.standard_normal((size, size)), 0.65)
    grey += grain / grain.std() * np.sqrt(np.clip(grey, 1, None)) * 1.15
    return to_uint8(grey), labels


def _neurites(rng: np.random.Generator, size: int) -> np.ndarray:
    """(Y, X) int: which neurite each pixel belongs to, sizes from a few to some 100 pixels."""
    area = (size / 256) ** 2
    radii = [
        rng.uniform(low, high, int(np.ceil(num * area)))
        for low, high, num in ((34, 60, 3), (14, 28, 9), (6, 12, 70))
    ]
    centres, reaches = packed_discs(rng, size, np.concatenate(radii), closeness=0.95)
    points = warped_grid(rng, size, strength=1.0)
    # The whole piece is stretched along the direction in which its neurites run.
    stretch = anisotropy(rng.uniform(0, np.pi), rng.uniform(1.0, 1.5))
    neurites, _ = nearest(
        lengths(points - centre[:, None, None], stretch @ random_anisotropy(rng, 1.5)) - radius
        for centre, radius in zip(centres, reaches, strict=True)
    )
    # Joined neighbours make the branched, non-convex profiles of real neurites.
    gaps = np.linalg.norm(centres[:, None] - centres, axis=-1) - reaches[:, None] - reaches
    np.fill_diagonal(gaps, np.inf)
    own = np.arange(len(reaches))
    joined = np.where(rng.random(len(own)) < 0.3, np.minimum(own, gaps.argmin(axis=1)), own)
    return joined[neurites]


def _cytoplasm(rng: np.random.Generator, neurites: np.ndarray) -> np.ndarray:
    """(Y, X) float grey levels of what fills the neurites: plasma, vesicles, microtubules."""
    size, num = len(neurites), neurites.max() + 1
    grey = (168 + 13 * rng.standard_normal(num))[neurites]
    coarseness = rng.uniform(0.4, 1.4, num)[neurites]
    grey += coarseness * (12 * smooth_noise(rng, size, 2.4) + 7 * smooth_noise(rng, size, 5))
    fibrous = (rng.random(num) < 0.3)[neurites]
    grey += np.where(fibrous, 9 * streaks(rng, size), 0)
    # Vesicles crowd in some terminals and are nearly absent elsewhere.
    crowd = np.clip(0.6 * smooth_noise(rng, size, 25) + rng.normal(0.2, 0.8, num)[neurites], 0, 2)
    for radius in (2.0, 2.6, 3.4):
        spots = rng.random((size, size)) < 0.005 * crowd
        strength = spots * rng.uniform(24, 58, (size, size))
        grey -= ndi.convolve(strength, _ring(radius), mode="constant")
    microtubules = (rng.random((size, size)) < 0.006) * rng.uniform(80, 260, (size, size))
    return grey - ndi.gaussian_filter(microtubules, 0.8)


def _add_mitochondria(
    rng: np.random.Generator, grey: np.ndarray, neurites: np.ndarray, distance: np.ndarray
) -> None:
    """Draw mitochondria into `grey`: dark body, striped by cristae, with a border of its own."""
    for _ in range(int(np.ceil(rng.integers(2, 5) * (len(grey) / 256) ** 2))):
        roomy = np.argwhere(distance > 11)
        if len(roomy) == 0:
            return
        centre = roomy[rng.integers(len(roomy))]
        width = min(distance[tuple(centre)] - 2, rng.uniform(9, 17))
        grid = np.indices(grey.shape) - centre[:, None, None]
        angle = rng.uniform(0, np.pi)
        turned = rotation(angle) @ grid.reshape(2, -1) / width
        across, along = turned.reshape(2, *grey.shape)
        along = along / rng.uniform(1.0, 1.9)
        rim = 1 - np.hypot(across, along) + 0.05 * smooth_noise(rng, len(grey), 10)
        edge = np.clip(rim * width / 1.2, 0, 1)
        inside = edge * (neurites == neurites[tuple(centre)]) * (distance > 3)
        stripes = np.sin(
            along * width * rng.uniform(0.9, 1.3) + 1.2 * smooth_noise(rng, len(grey), 8)
        )
        body = rng.uniform(95, 120) + 13 * stripes + 6 * smooth_noise(rng, len(grey), 2)
        border = 38 * np.exp(-(((rim * width - 1.2) / 1.2) ** 2))
        grey += inside * (body - border - grey)


def _synaptic_densities(rng: np.random.Generator, distance: np.ndarray) -> np.ndarray:
    """(Y, X) float: dark fuzz along short pieces of membrane, to be subtracted."""
    size = len(distance)
    patch = np.clip(smooth_noise(rng, size, 12) - 1.4, 0, 1)
    return 75 * patch * np.exp(-((distance / 7) ** 2)) * (1 + 0.3 * smooth_noise(rng, size, 2))


def _ring(radius: float) -> np.ndarray:
    """Dark rim, pale centre: a vesicle of that radius in pixels."""
    across = np.hypot(*np.mgrid[-6:7, -6:7])
    return np.exp(-(((across - radius) / 0.8) ** 2)) - 0.35 * np.exp(-((across / 1.2) ** 2))


# ---- cells in transmitted light -----------------------------------------------------------------


def _cell_image(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    labels = _cells(rng, size)
    thickness = _thickness(rng, labels)
    shear, line = slope_and_line(thickness, np.array([-0.7, -0.7]))
    image = 120 + 62 * shear + 38 * line
    image += 6 * smooth_noise(rng, size, size / 2) + 2.0 * smooth_noise(rng, size, 18)
    image = ndi.gaussian_filter(image, 0.6)
    image += 0.55 * np.sqrt(np.clip(image, 1, None)) * rng.standard_normal(image.shape)
    return to_uint8(image), labels


def _cells(rng: np.random.Generator, size: int) -> np.ndarray:
    """(Y, X) uint16: deformed cells, crowded in colonies; every id is one connected region."""
    radii = rng.uniform(15, 30, int(np.ceil(60 * (size / 256) ** 2)))
    density = smooth_noise(rng, size, 60)
    colony = density >= np.quantile(density, rng.uniform(0.1, 0.3))
    centres, radii = packed_discs(rng, size, radii, closeness=0.78, allowed=colony)
    points = warped_grid(rng, size, strength=0.75)
    owner, reach = nearest(
        lengths(points - centre[:, None, None], random_anisotropy(rng, 1.5)) / radius
        for centre, radius in zip(centres, radii, strict=True)
    )
    return largest_regions(np.where(reach < 1.05, owner + 1, 0), min_area=150)


def _thickness(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """(Y, X) float, in µm or so: how much cell the light passes through."""
    size, num = len(labels), int(labels.max()) + 1
    depth = border_distance(labels) * (labels > 0)
    widest = np.maximum(ndi.maximum(depth, labels, np.arange(num)), 1)[labels]
    height = rng.uniform(0.8, 1.5, num)[labels]
    steepness = rng.uniform(1.5, 3.5, num)[labels]
    # A steep edge, a gentle dome and a ruffled surface.
    cell = height * (0.6 * (1 - np.exp(-depth / steepness)) + 0.8 * np.sqrt(depth / widest))
    cell += 0.08 * smooth_noise(rng, size, 2.2) * np.clip(depth / 3, 0, 1)
    cell += 0.12 * smooth_noise(rng, size, 6) * np.clip(depth / 6, 0, 1)
    nuclei = _nuclei(rng, labels, depth)
    cell += 0.35 * nuclei
    cell += _bumps(rng, (labels > 0) * np.clip(depth / 5, 0, 1) * (1 - nuclei), 0.03, 0.9, 4.5)
    cell += _bumps(rng, nuclei, 0.004, 1.9, 14.0)
    cell += _bumps(rng, labels == 0, 0.0004, 1.2, 4.0)  # debris
    return ndi.gaussian_filter(cell, 0.8)


def _nuclei(rng: np.random.Generator, labels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(Y, X) float in [0, 1]: one smooth nucleus in the deep part of every cell."""
    nuclei = np.zeros(labels.shape)
    for value, box in enumerate(ndi.find_objects(labels), start=1):
        inside = np.where(labels[box] == value, depth[box], 0)
        centre = np.unravel_index(inside.argmax(), inside.shape)
        offsets = np.indices(inside.shape) - np.array(centre)[:, None, None]
        away = lengths(offsets, random_anisotropy(rng, 1.3))
        nuclei[box] = np.maximum(nuclei[box], np.clip((0.62 * inside.max() - away) / 2 + 0.5, 0, 1))
    return nuclei * (labels > 0)


def _bumps(
    rng: np.random.Generator, where: np.ndarray, density: float, radius: float, height: float
) -> np.ndarray:
    """(Y, X) float: grains and vacuoles, mostly raised, some sunken."""
    hits = rng.random(where.shape) < density * where
    amounts = rng.gamma(2.0, 0.5, where.shape) * rng.choice([1, 1, 1, -0.7], where.shape)
    return ndi.gaussian_filter(hits * amounts * height, radius)

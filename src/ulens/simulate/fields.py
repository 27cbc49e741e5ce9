"""Random smooth fields, bent grids and packed discs: what simulated images are drawn from."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage as ndi
from skimage.segmentation import find_boundaries


def smooth_noise(rng: np.random.Generator, size: int, scale: float) -> np.ndarray:
    """Noise of mean about 0 and deviation about 1 that varies over `scale` pixels.

    Returns
    -------
    (size, size) float64
    """
    if scale < 4:
        field = ndi.gaussian_filter(rng.standard_normal((size, size)), scale / 2)
        return field / field.std()
    num_knots = int(np.ceil(size / scale)) + 4
    knots = rng.standard_normal((num_knots, num_knots))
    rows, columns = (start + np.arange(size) / scale for start in 1 + rng.random(2))
    field = ndi.map_coordinates(knots, np.meshgrid(rows, columns, indexing="ij"), order=3)
    return field / 0.88  # interpolation between white knots leaves this deviation


def streaks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise drawn out in one direction, as lengthwise cut microtubules look.

    Returns
    -------
    (size, size) float64 of deviation below 1
    """
    turned = rotation(rng.uniform(0, np.pi)) @ np.indices((size, size)).reshape(2, -1)
    noise = rng.standard_normal((size, size))
    stretched = turned / np.array([[1.6], [14.0]])
    return ndi.map_coordinates(noise, stretched, order=1, mode="grid-wrap").reshape(size, size)


def warped_grid(rng: np.random.Generator, size: int, strength: float) -> np.ndarray:
    """Pixel coordinates bent elastically, coarse and fine.

    Returns
    -------
    (2, size, size) float64, (y, x) in pixels
    """
    bends = [
        strength * (7 * smooth_noise(rng, size, 40) + 2.2 * smooth_noise(rng, size, 12))
        for _ in range(2)
    ]
    return np.indices((size, size)) + np.stack(bends)


def packed_discs(
    rng: np.random.Generator,
    size: int,
    radii: np.ndarray,
    *,
    closeness: float,
    allowed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Drop discs at random, the largest first, where there is room.

    Parameters
    ----------
    radii : (n,) in pixels
    closeness : least distance of two centres, as a fraction of the sum of their radii
    allowed : (size, size) bool, where centres may lie; None allows all

    Returns
    -------
    centres : (m, 2) float64, (y, x); some lie a little outside the image
    radii : (m,) of those that found room, descending
    """
    placed = np.empty((0, 3))
    for radius in np.sort(radii)[::-1]:
        candidates = rng.uniform(-0.06 * size, 1.06 * size, (120, 2))
        if allowed is not None:
            pixels = np.clip(candidates, 0, size - 1).astype(int)
            candidates = candidates[allowed[tuple(pixels.T)]]
        gaps = np.linalg.norm(candidates[:, None] - placed[:, :2], axis=-1)
        free = candidates[(gaps > closeness * (placed[:, 2] + radius)).all(axis=1)]
        if len(free):
            placed = np.vstack([placed, [*free[0], radius]])
    return placed[:, :2], placed[:, 2]


def nearest(reaches: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Give each pixel to the one of several maps that is lowest there.

    Returns
    -------
    owner : (Y, X) int64, index of the lowest map; ties go to the earlier one
    reach : (Y, X) float64, its value

    Examples
    --------
    >>> owner, reach = nearest([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])])
    >>> owner.tolist(), reach.tolist()
    ([[0, 1]], [[1.0, 3.0]])
    """
    maps = iter(reaches)
    reach = next(maps)
    owner = np.zeros(reach.shape, int)
    for index, candidate in enumerate(maps, start=1):
        owner[candidate < reach] = index
        reach = np.minimum(reach, candidate)
    return owner, reach


def border_distance(regions: np.ndarray) -> np.ndarray:
    """Distance in pixels to the nearest border between regions, 0 on either side of it.

    Parameters
    ----------
    regions : (Y, X) of any integer dtype

    Returns
    -------
    (Y, X) float64

    Examples
    --------
    >>> border_distance(np.array([[1, 1, 1, 2, 2]])).tolist()
    [[2.0, 1.0, 0.0, 0.0, 1.0]]
    """
    return ndi.distance_transform_edt(~find_boundaries(regions, mode="thick"))


def rotation(angle: float) -> np.ndarray:
    """2×2 matrix that turns (y, x) vectors by `angle` radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def anisotropy(angle: float, ratio: float) -> np.ndarray:
    """2×2 matrix that stretches along `angle` (radians) and squeezes across, keeping areas."""
    turn = rotation(angle)
    return turn @ np.diag([ratio**0.5, ratio**-0.5]) @ turn.T


def random_anisotropy(rng: np.random.Generator, max_ratio: float) -> np.ndarray:
    """2×2 matrix as of `anisotropy`, in any direction."""
    return anisotropy(rng.uniform(0, np.pi), rng.uniform(1, max_ratio))


def lengths(vectors: np.ndarray, metric: np.ndarray) -> np.ndarray:
    """Lengths of (2, Y, X) vectors after the 2×2 matrix `metric`, as (Y, X) float64."""
    return np.hypot(*np.einsum("ij,jyx->iyx", metric, vectors))


def to_uint8(grey: np.ndarray) -> np.ndarray:
    """Round grey levels and clip them to [0, 255]."""
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def slope_and_line(surface: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what DIC shows of a (Y, X) surface: its slope along `shift` (y, x), and its edges.

    Slightly out of focus, edges also show as a dark line with a bright halo.
    """
    ahead, behind = (ndi.shift(surface, each, order=1, mode="nearest") for each in (shift, -shift))
    line = ndi.gaussian_filter(surface, 1.2) - ndi.gaussian_filter(surface, 3.5)
    return ahead - behind, line

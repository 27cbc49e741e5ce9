"""Ways in which a microscope shows objects, from their label map to an image."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage as ndi

from ulens.simulate.fields import border_distance, slope_and_line, smooth_noise, to_uint8

Look = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
"""Maps a generator, (Y, X) labels and their thickness to an image around 0 of deviation about 1."""

INVERTED_SHARE = 0.15


def render(rng: np.random.Generator, labels: np.ndarray, look: str) -> np.ndarray:
    """Return the image that a microscope makes of labelled objects.

    Parameters
    ----------
    rng : decides everything
    labels : (Y, X) integer, 0 = background
    look : a key of `LOOKS`

    Returns
    -------
    (Y, X) uint8
    """
    size = len(labels)
    image = LOOKS[look](rng, labels, _thickness(rng, labels))
    if rng.random() < INVERTED_SHARE:
        image = -image
    image = image / max(float(image.std()), 1e-6)
    image += rng.uniform(0, 0.8) * smooth_noise(rng, size, size / 2)
    image += rng.uniform(0, 0.3) * smooth_noise(rng, size, size / 10)
    grain = ndi.gaussian_filter(rng.standard_normal(labels.shape), rng.uniform(0.3, 1.0))
    image += rng.uniform(0.05, 0.5) * grain / grain.std()
    low, high = np.percentile(image, [0.5, 99.5])
    floor, ceiling = rng.uniform(0, 60), rng.uniform(150, 255)
    return to_uint8(floor + (ceiling - floor) * (image - low) / max(high - low, 1e-6))


def _thickness(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """(Y, X) float: a dome on each object, 0 in the background, about 1 in the middle."""
    num = int(labels.max()) + 1
    depth = border_distance(labels) * (labels > 0)
    widest = np.maximum(ndi.maximum(depth, labels, np.arange(num)), 1)[labels]
    steep = rng.uniform(0.5, 1.0)
    height = rng.uniform(0.6, 1.4, num)[labels]
    return np.where(labels > 0, height * (depth / widest) ** steep, 0.0)


def _texture(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """(Y, X) float: what is inside of objects, coarse and fine, more or less of it in each."""
    size, num = len(labels), int(labels.max()) + 1
    amount = rng.uniform(0.2, 1.0, num)[labels] * (labels > 0)
    return amount * (0.6 * smooth_noise(rng, size, 2.2) + 0.5 * smooth_noise(rng, size, 6))


def _nuclei(rng: np.random.Generator, thickness: np.ndarray) -> np.ndarray:
    return np.clip((thickness - rng.uniform(0.6, 0.8)) * 8, 0, 1)


def _dic(rng: np.random.Generator, labels: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    surface = 2 * thickness + 0.25 * _texture(rng, labels) + 0.3 * _nuclei(rng, thickness)
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.5)
    shift = reach * np.array([np.sin(angle), np.cos(angle)])
    surface = ndi.gaussian_filter(surface, rng.uniform(0.5, 1.2))
    shear, line = slope_and_line(surface, shift)
    return shear + rng.uniform(0.2, 0.8) * line


def _phase_contrast(
    rng: np.random.Generator, labels: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    num = int(labels.max()) + 1
    # some cells round up and shine; flat ones are dark, more or less
    is_round = rng.random(num) < rng.uniform(0, 0.3)
    tone = np.where(is_round, rng.uniform(1.0, 2.5, num), rng.uniform(-1.2, -0.1, num))
    tone[0] = 0
    path = tone[labels] * (0.4 + thickness) * (labels > 0) + 0.5 * _texture(rng, labels)
    path -= rng.uniform(0, 0.8) * _nuclei(rng, thickness)
    halo_px = rng.uniform(3, 8)
    mass = ndi.gaussian_filter(np.abs(tone)[labels] * (labels > 0), halo_px)
    rim = np.exp(-((border_distance(labels) / rng.uniform(0.8, 2.0)) ** 2))
    image = path + rng.uniform(0.5, 2.0) * mass * (labels == 0) + rng.uniform(0, 0.8) * rim
    return ndi.gaussian_filter(image, rng.uniform(0.5, 1.3))


def _bright_field(
    rng: np.random.Generator, labels: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    surface = thickness + 0.2 * _texture(rng, labels)
    focus = rng.choice([-1, 1]) * rng.uniform(0.5, 1.5)
    near, far = rng.uniform(0.8, 1.5), rng.uniform(2.5, 5)
    line = ndi.gaussian_filter(surface, near) - ndi.gaussian_filter(surface, far)
    rim = np.exp(-((border_distance(labels) / rng.uniform(0.8, 1.6)) ** 2))
    image = focus * line - rng.uniform(0.2, 0.8) * rim - rng.uniform(0, 0.5) * thickness
    return ndi.gaussian_filter(image, 0.6)


def _fluorescence(
    rng: np.random.Generator, labels: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    num = int(labels.max()) + 1
    brightness = rng.lognormal(0, rng.uniform(0.1, 0.6), num)
    brightness[0] = 0
    flat = rng.uniform(0.3, 1.0)
    light = brightness[labels] * (flat * (labels > 0) + (1 - flat) * thickness)
    light *= 1 + rng.uniform(0, 0.5) * _texture(rng, labels)
    haze = ndi.gaussian_filter(light, rng.uniform(6, 15))
    return ndi.gaussian_filter(light, rng.uniform(0.6, 1.8)) + rng.uniform(0, 0.5) * haze


def _membrane_stain(
    rng: np.random.Generator, labels: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    width = rng.uniform(0.8, 2.0)
    rim = np.exp(-((border_distance(labels) / width) ** 2))
    faint = np.clip(1 + 0.5 * smooth_noise(rng, len(labels), 12), 0.15, 2)
    return ndi.gaussian_filter(rim * faint, 0.6) + 0.1 * _texture(rng, labels)


def _electron_micrograph(
    rng: np.random.Generator, labels: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    num = int(labels.max()) + 1
    width = rng.uniform(0.8, 1.8)
    rim = np.exp(-((border_distance(labels) / width) ** 2))
    inside = rng.normal(0, 0.25, num)[labels] + 0.4 * _texture(rng, labels)
    organelles = np.clip(smooth_noise(rng, len(labels), 7) - 1.6, 0, 0.8) * (labels > 0)
    return inside - 1.5 * rim - organelles


LOOKS: Mapping[str, Look] = {
    "DIC": _dic,
    "phase contrast": _phase_contrast,
    "bright field": _bright_field,
    "fluorescence": _fluorescence,
    "membrane stain": _membrane_stain,
    "electron micrograph": _electron_micrograph,
}

"""Images of many kinds of objects under many kinds of microscopes, with exact truth."""

from typing import NamedTuple

import numpy as np

from ulens.errors import SettingError
from ulens.simulate.looks import LOOKS, render
from ulens.simulate.shapes import KINDS, draw_labels

MIN_SIZE = 64
SPREAD = 1.25


class Scene(NamedTuple):
    """A simulated image.

    Parameters
    ----------
    image : (Y, X) uint8
    labels : (Y, X) uint16; 0 = background, 1…N = objects
    kind, look : keys of `KINDS` and `LOOKS`
    """

    image: np.ndarray
    labels: np.ndarray
    kind: str
    look: str


def simulate_scene(
    number: int,
    size: int = 256,
    seed: int = 0,
    *,
    kind: str | None = None,
    look: str | None = None,
    diameter_px: float = 28.0,
) -> Scene:
    """Simulate image `number` of a seed; it is the same whatever else is asked for.

    Parameters
    ----------
    number : 0 or more
    size : rows and columns, pixels
    kind, look : keys of `KINDS` and `LOOKS`; None draws one
    diameter_px : of a typical object; images differ from it by up to a quarter

    Raises
    ------
    SettingError : a number is out of range, or a kind or a look is unknown

    Examples
    --------
    >>> scene = simulate_scene(0, size=64, kind="yeast", look="DIC")
    >>> scene.image.shape, scene.labels.dtype
    ((64, 64), dtype('uint16'))
    """
    for name, value, least in (("number", number, 0), ("size", size, MIN_SIZE), ("seed", seed, 0)):
        if value < least:
            raise SettingError(f"{name} is {value}; it needs to be at least {least}")
    if not 4 <= diameter_px <= size:
        raise SettingError(f"diameter_px is {diameter_px}; it needs to be from 4 to {size}, `size`")
    for name, asked, known in (("kind", kind, KINDS), ("look", look, LOOKS)):
        if asked is not None and asked not in known:
            raise SettingError(f"{name} is {asked!r}; it takes {', '.join(known)}")
    rng = np.random.default_rng([seed, number])
    kinds, looks = list(KINDS), list(LOOKS)
    drawn = kinds[rng.integers(len(kinds))], looks[rng.integers(len(looks))]
    kind, look = kind or drawn[0], look or drawn[1]
    diameter_px = float(diameter_px * SPREAD ** rng.uniform(-1, 1))
    labels = draw_labels(rng, size, kind, diameter_px)
    return Scene(render(rng, labels, look), labels, kind, look)

"""Random grey values: a monotone curve, an offset, blur and noise."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from ulens.errors import SettingError

KNOTS = (-1.5, -0.5, 0.5, 1.5)
"""Where the slope of the grey-value curve changes, in standard deviations of the image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IntensitySettings:
    """How far the grey values of a tile may vary; images have mean 0 and deviation 1.

    Parameters
    ----------
    slope : smallest and largest slope of the grey-value curve
    offset_sd : standard deviation of the brightness offset
    noise_sd : largest standard deviation of added Gaussian noise
    blur_sd_px : largest standard deviation of Gaussian blur, pixels
    """

    slope: tuple[float, float] = (0.66, 1.5)
    offset_sd: float = 0.1
    noise_sd: float = 0.0
    blur_sd_px: float = 0.0

    def __post_init__(self) -> None:
        if not 1e-3 <= self.slope[0] <= self.slope[1] <= 1e3:
            raise SettingError(
                f"slope is {tuple(self.slope)}; need 0.001 <= smallest <= largest slope <= 1000"
            )
        if not all(0 <= each <= 100 for each in (self.offset_sd, self.noise_sd, self.blur_sd_px)):
            raise SettingError(
                f"offset_sd, noise_sd, blur_sd_px are {self.offset_sd}, {self.noise_sd}, "
                f"{self.blur_sd_px}; all need to be 0 to 100"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class IntensityDraw:
    """One drawn change of grey values, enough to replay it."""

    slopes: list[float]
    offset: float
    noise_sd: float
    noise_seed: int
    blur_sd_px: float


def draw_intensity(settings: IntensitySettings, generator: torch.Generator) -> IntensityDraw:
    """Draw a grey-value change; half of the tiles stay without blur, half without noise."""
    uniform = torch.rand(len(KNOTS) + 5, generator=generator, dtype=torch.float64)
    low, high = (math.log(value) for value in settings.slope)
    slopes = torch.exp(low + (high - low) * uniform[: len(KNOTS) + 1])
    noise, blur, with_noise, with_blur = uniform[len(KNOTS) + 1 :].tolist()
    return IntensityDraw(
        slopes=slopes.tolist(),
        offset=settings.offset_sd * float(torch.randn((), generator=generator)),
        noise_sd=settings.noise_sd * noise * (with_noise < 0.5),
        noise_seed=int(torch.randint(2**31, (), generator=generator)),
        blur_sd_px=settings.blur_sd_px * blur * (with_blur < 0.5),
    )


def apply_intensity(draw: IntensityDraw, image: Tensor) -> Tensor:
    """Change the grey values of a (C, Y, X) float32 tile; every channel alike."""
    image = grey_value_curve(image, draw.slopes) + draw.offset
    if draw.blur_sd_px > 0.2:  # below, a 3×3 kernel is the identity to 1e-5
        image = gaussian_blur(image, draw.blur_sd_px)
    if draw.noise_sd > 0:
        generator = torch.Generator().manual_seed(draw.noise_seed)
        noise = torch.randn(image.shape, generator=generator)
        image = image + draw.noise_sd * noise.to(image.device)
    return image


def grey_value_curve(image: Tensor, slopes: list[float]) -> Tensor:
    """Map grey values through a continuous curve that keeps 0 and has the given slopes.

    Notes
    -----
    Source: Falk et al. 2019, grey values through a random curve of slope 0.66 to 1.5;
    here the curve is piecewise linear between `KNOTS`.
    """
    middle = len(slopes) // 2
    curve = slopes[middle] * image
    for knot, (before, after) in zip(KNOTS, pairwise(slopes), strict=True):
        if knot > 0:
            curve = curve + (after - before) * (image - knot).clamp(min=0)
        else:
            curve = curve - (after - before) * (image - knot).clamp(max=0)
    return curve


def gaussian_blur(image: Tensor, sd_px: float) -> Tensor:
    """Blur a (C, Y, X) tile with a Gaussian of `sd_px` pixels; edges are replicated."""
    radius = int(3 * sd_px + 0.5)
    taps = image.new_tensor(range(-radius, radius + 1))
    kernel = torch.exp(-0.5 * (taps / sd_px) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(image[:, None], (radius,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1))[:, 0]

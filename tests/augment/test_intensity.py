import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from ulens.augment.intensity import (
    KNOTS,
    IntensityDraw,
    IntensitySettings,
    apply_intensity,
    draw_intensity,
    gaussian_blur,
    grey_value_curve,
)
from ulens.errors import SettingError


def test_the_curve_has_the_asked_slopes_and_keeps_zero():
    slopes = [0.7, 1.4, 1.1, 0.8, 1.3]
    x = torch.tensor([[[-3.0, -2.0, -1.0, -0.9, 0.0, 0.1, 1.0, 1.1, 2.0, 3.0]]])
    y = grey_value_curve(x, slopes)[0, 0]
    assert y[4] == 0
    found = [y[1] - y[0], (y[3] - y[2]) / 0.1, y[5] / 0.1, (y[7] - y[6]) / 0.1, y[9] - y[8]]
    np.testing.assert_allclose(found, slopes, rtol=1e-4)


def test_the_curve_is_continuous_at_its_knots():
    slopes = [0.7, 1.4, 1.1, 0.8, 1.3]
    for knot in KNOTS:
        around = torch.tensor([[[knot - 1e-4, knot + 1e-4]]])
        low, high = grey_value_curve(around, slopes)[0, 0]
        assert abs(high - low) < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("sd_px", "radius"), [(0.1, 0), (0.49, 1), (1.3, 4)])
def test_blur_agrees_with_scipy(sd_px, radius, dtype):
    image = torch.rand(2, 31, 40, dtype=dtype)
    sds_px = (0, sd_px, sd_px)
    expected = ndimage.gaussian_filter(image.numpy(), sds_px, mode="nearest", radius=radius)
    found = gaussian_blur(image, sd_px)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_the_offset_is_added_and_noise_has_the_drawn_deviation():
    drawn = IntensityDraw(slopes=[1.0] * 5, offset=0.25, noise_sd=0.5, noise_seed=3, blur_sd_px=0)
    changed = apply_intensity(drawn, torch.full((2, 100, 100), 2.0))
    assert float(changed.mean()) == pytest.approx(2.25, abs=0.02)
    assert float(changed.std()) == pytest.approx(0.5, abs=0.02)


def test_a_draw_replays_its_noise():
    settings = IntensitySettings(noise_sd=1.0, blur_sd_px=2.0)
    draws = [draw_intensity(settings, torch.Generator().manual_seed(s)) for s in range(20)]
    noisy = next(draw for draw in draws if draw.noise_sd > 0)
    image = torch.zeros(1, 8, 8)
    assert torch.equal(apply_intensity(noisy, image), apply_intensity(noisy, image))
    assert apply_intensity(noisy, image).std() > 0


@pytest.mark.parametrize("sd_px", [0.0, 0.1, 0.19, 0.21, 0.5, 1.1, 1.3])
def test_every_blur_that_can_be_seen_is_applied(sd_px):
    drawn = IntensityDraw(slopes=[1.0] * 5, offset=0, noise_sd=0, noise_seed=3, blur_sd_px=sd_px)
    image = torch.rand(2, 20, 30)
    expected = ndimage.gaussian_filter(image.numpy(), (0, sd_px, sd_px), mode="nearest", truncate=3)
    np.testing.assert_allclose(apply_intensity(drawn, image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("slope", [(1e-3, 1e-3), (1e3, 1e3)], [(0, 1), (9e-4, 1), (1, 1001), (1.2, 0.8)]),
        ("offset_sd", [0, 100], [-0.01, 100.1, math.nan]),
        ("noise_sd", [0, 100], [-0.01, 100.1, math.nan]),
        ("blur_sd_px", [0, 100], [-0.01, 100.1, math.nan]),
    ],
)
def test_settings_are_taken_up_to_their_limits(name, taken, refused):
    for value in taken:
        assert getattr(IntensitySettings(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(SettingError, match=name):
            IntensitySettings(**{name: value})

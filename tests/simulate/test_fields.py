import numpy as np
import pytest

from ulens.simulate.fields import (
    anisotropy,
    border_distance,
    packed_discs,
    smooth_noise,
    streaks,
    to_uint8,
    warped_grid,
)


@pytest.mark.parametrize("scale", [2, 5, 12])
def test_noise_has_deviation_one_and_varies_over_its_scale(scale):
    fields = [smooth_noise(np.random.default_rng(seed), 128, scale) for seed in range(8)]
    assert np.std(fields) == pytest.approx(1, abs=0.12)
    near = np.mean([np.mean(f[:, 1:] * f[:, :-1]) for f in fields])
    far = np.mean([np.mean(f[:, 4 * scale :] * f[:, : -4 * scale]) for f in fields])
    assert near > 0.7
    assert abs(far) < 0.15


def test_discs_keep_their_distance_and_stay_where_allowed():
    allowed = np.zeros((100, 100), bool)
    allowed[:50] = True
    centres, radii = packed_discs(
        np.random.default_rng(0), 100, np.linspace(3, 9, 40), closeness=1.0, allowed=allowed
    )
    assert np.all(np.diff(radii) <= 0)
    assert np.all(centres[:, 0] < 50)
    gaps = np.linalg.norm(centres[:, None] - centres, axis=-1)
    apart = gaps > radii[:, None] + radii
    assert apart[~np.eye(len(radii), dtype=bool)].all()


def test_anisotropy_stretches_along_its_direction_and_keeps_areas():
    matrix = anisotropy(0.0, 4.0)
    np.testing.assert_allclose(matrix, [[2, 0], [0, 0.5]], atol=1e-12)
    assert np.linalg.det(anisotropy(0.7, 3.0)) == pytest.approx(1)


def test_border_distance_counts_pixels_from_the_border_not_from_the_image_edge():
    regions = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 5, axis=0)
    np.testing.assert_array_equal(border_distance(regions), [[3, 2, 1, 0, 0, 1, 2, 3]] * 5)


def test_no_strength_leaves_the_grid_straight():
    grid = warped_grid(np.random.default_rng(0), 16, strength=0.0)
    np.testing.assert_array_equal(grid, np.indices((16, 16)))


def test_streaks_run_in_one_direction():
    field = streaks(np.random.default_rng(3), 200)
    power = np.abs(np.fft.fftshift(np.fft.fft2(field - field.mean()))) ** 2
    moments = np.einsum("iyx,jyx,yx->ij", *[np.indices(field.shape) - 100] * 2, power)
    weak, strong = np.linalg.eigvalsh(moments)
    assert strong > 5 * weak


def test_grey_levels_are_rounded_and_clipped():
    assert to_uint8(np.array([-3.0, 1.6, 300.0])).tolist() == [0, 2, 255]

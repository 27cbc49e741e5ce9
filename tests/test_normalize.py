import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from ulens.errors import DataError, ShapeError
from ulens.normalize import (
    Moments,
    Normalization,
    fit_normalization,
    measure_moments,
    measure_statistics,
)


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["u1", "u2", "i4", "f4", "f8"]))
def test_apply_gives_zero_mean_and_unit_std_per_channel(seed, dtype):
    image = np.random.default_rng(seed).integers(0, 200, (2, 9, 7)).astype(dtype)
    normalized = Normalization((1e-3, 1e-3)).apply(image)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std((1, 2)), 1, rtol=1e-5)


def test_apply_keeps_small_differences_on_a_large_offset():
    image = 1e9 + np.array([[[0.0, 1.0], [1.0, 2.0]]])
    expected = np.array([[[-1, 0], [0, 1]]]) * np.sqrt(2)
    np.testing.assert_allclose(Normalization((0.1,)).apply(image), expected, rtol=1e-6)


def a_scene(seed, contrast=30.0, noise=1.0):
    """Smooth structures in noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((64, 64)), 4)
    return (100 + contrast * smooth / smooth.std() + rng.normal(0, noise, smooth.shape))[None]


def test_noise_of_an_empty_image_is_not_blown_up():
    normalization = fit_normalization([a_scene(seed) for seed in range(3)])
    empty = a_scene(4, contrast=0)
    assert normalization.apply(a_scene(4)).std() == pytest.approx(1, rel=1e-5)
    assert 0.05 < normalization.apply(empty).std() < 0.6
    # nor that of an empty image of another camera
    np.testing.assert_allclose(
        normalization.apply(7 * empty - 300), normalization.apply(empty), atol=1e-4
    )


def test_the_floor_is_a_quarter_of_the_median_contrast_per_channel():
    def stripes(*periods):
        """Half-periods of square waves: pixels that differ are the rarer the longer they are."""
        columns = np.arange(120)
        return np.array([[(columns // period) % 2] for period in periods], float)

    contrasts = [0.5 / ((120 / period - 1) / 119) * 2 / np.sqrt(np.pi) for period in (2, 10, 30)]
    found = fit_normalization([stripes(2, 10), stripes(10, 30), stripes(30, 30)])
    assert found.floor == pytest.approx((contrasts[1] / 4, contrasts[2] / 4))


def test_constant_images_are_zero_and_do_not_count():
    flat = np.full((1, 4, 4), 0.1)
    assert fit_normalization([flat]).floor == (0.0,)
    scene = a_scene(0)
    assert fit_normalization([flat, flat, scene]) == fit_normalization([scene])
    for level in (0.1, 1e300, 7):
        assert not Normalization((0.0,)).apply(np.full((1, 400, 700), level)).any()


SCENE = np.round(a_scene(3) * 200).astype(np.int64)  # 16 bits


@given(
    log_scale=st.floats(-16, 8),
    offset=st.floats(-1e3, 1e3),
    dtype=st.sampled_from(["float32", "float64"]),
    floor=st.sampled_from([0.0, 1e6]),
)
def test_neither_brightness_nor_contrast_matters(log_scale, offset, dtype, floor):
    scale = 2.0**log_scale
    normalization = Normalization((floor,))
    changed = (scale * (SCENE + offset)).astype(dtype)
    np.testing.assert_allclose(
        normalization.apply(changed), normalization.apply(SCENE), atol=2e-3 if floor == 0 else 1e-8
    )


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [
        ("uint16", 1, 0), ("uint16", 1, 5000), ("int16", 0.5, -20000), ("uint8", 1 / 256, 0),
        ("int32", 256, -7), ("uint32", 65535, 0), ("int64", 2**33, 11), ("float16", 1 / 65535, 0),
        ("float32", 1 / 65535, 0), ("float64", 1 / 65535, 1),
    ],
)  # fmt: skip
def test_the_same_scene_in_any_type_of_data(dtype, scale, offset):
    changed = np.round(scale * SCENE) if np.issubdtype(dtype, np.integer) else scale * SCENE
    changed = (changed + offset).astype(dtype)
    normalization = fit_normalization([SCENE])
    expected, found = normalization.apply(SCENE), normalization.apply(changed)
    rounding = {"uint8": 0.03, "float16": 0.01, "int16": 1e-3}.get(
        dtype, 1e-4
    )  # of the data, in deviations
    np.testing.assert_allclose(found, expected, atol=rounding)


def test_the_floor_of_an_older_model_is_in_grey_values():
    old = Normalization.from_json({"std_floor": [10.0]})
    assert old.to_json() == {"std_floor": [10.0]}
    np.testing.assert_allclose(old.apply(np.array([[[0.0, 4], [4, 8]]])), [[[-0.4, 0], [0, 0.4]]])


def test_json_round_trip():
    normalization = Normalization((0.5, 3.25))
    assert Normalization.from_json(normalization.to_json()) == normalization


def test_wrong_channel_count_names_both():
    with pytest.raises(ShapeError, match="image has 3 channels; the model was trained on 1"):
        Normalization((1.0,)).apply(np.zeros((3, 4, 4)))


@pytest.mark.parametrize("shape", [(4, 4), (1, 0, 4)])
def test_wrong_shape_is_named(shape):
    with pytest.raises(ShapeError, match=r"image has shape .* need a non-empty array \(C, Y, X\)"):
        Normalization((1.0,)).apply(np.zeros(shape))


def test_training_images_with_different_channels_are_refused():
    with pytest.raises(ShapeError, match="image has 1 channel; the model was trained on 2"):
        fit_normalization([np.zeros((2, 4, 4)), np.zeros((1, 4, 4))])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_counted(bad):
    image = np.zeros((2, 4, 4), np.float32)
    image[1, 0, :2] = bad
    with pytest.raises(DataError, match="channel 1 of the image holds 2 pixels that are NaN"):
        Normalization((1.0, 1.0)).apply(image)


def test_no_images_to_fit():
    with pytest.raises(DataError, match="no images to fit"):
        fit_normalization([])


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16", "float32"]))
def test_statistics_of_parts_are_those_of_the_whole(seed, dtype):
    generator = np.random.default_rng(seed)
    image = (60_000 + generator.normal(0, 3, (2, 30, 20))).astype(dtype)
    moments, start = None, 0
    while start < 30:
        stop = start + int(generator.integers(1, 9))
        part = measure_moments(image[:, start:stop])
        moments = part if moments is None else moments.join(Moments.from_rows(part.to_rows()))
        start = stop
    statistics = moments.statistics()
    whole = measure_statistics(image)
    np.testing.assert_allclose(statistics.mean, image.mean((1, 2), dtype=float), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, image.std((1, 2), dtype=float), rtol=1e-9)
    np.testing.assert_allclose(statistics.roughness, whole.roughness, rtol=1e-12)
    normalization = Normalization((0.1, 100.0))
    part = normalization.apply(image[:, 3:9], statistics)
    np.testing.assert_allclose(part, normalization.apply(image)[:, 3:9], atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_parts_with_pixels_that_are_no_numbers_are_refused(bad):
    part = np.zeros((2, 3, 3))
    part[1, 2, 2] = bad
    with pytest.raises(DataError, match="channel 1 of the image holds 1 pixels that are NaN"):
        measure_moments(part)

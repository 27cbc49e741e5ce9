import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulens.errors import DataError, ShapeError
from ulens.normalize import Moments, Normalization, fit_normalization, measure_moments


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


def test_noise_of_an_empty_image_is_not_blown_up():
    rng = np.random.default_rng(0)
    full = [rng.normal(100, std, (1, 64, 64)) for std in (30, 40, 50)]
    empty = rng.normal(100, 1, (1, 64, 64))
    normalized = fit_normalization(full).apply(empty)
    assert normalized.std() == pytest.approx(1 / (40 / 4), rel=0.05)


def test_floor_is_a_quarter_of_the_median_std_per_channel():
    def with_std(*stds):
        return np.array([[[-std, std]] for std in stds], float)

    images = [with_std(4, 40), with_std(8, 80), with_std(400, 0)]
    assert fit_normalization(images).std_floor == pytest.approx((2, 10))


def test_floor_of_constant_images_is_one_grey_value():
    assert fit_normalization(iter([np.full((1, 4, 4), 7, np.uint8)])).std_floor == (1.0,)
    assert not Normalization((1.0,)).apply(np.full((1, 4, 4), 7, np.uint8)).any()


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
    moments = Moments()
    start = 0
    while start < 30:
        stop = start + int(generator.integers(1, 9))
        moments.join(*measure_moments(image[:, start:stop]))
        start = stop
    mean, std = moments.statistics()
    np.testing.assert_allclose(mean, image.mean((1, 2), dtype=float), rtol=1e-12)
    np.testing.assert_allclose(std, image.std((1, 2), dtype=float), rtol=1e-9)
    normalization = Normalization((0.1, 0.1))
    part = normalization.apply(image[:, 3:9], moments.statistics())
    np.testing.assert_allclose(part, normalization.apply(image)[:, 3:9], atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_parts_with_pixels_that_are_no_numbers_are_refused(bad):
    part = np.zeros((2, 3, 3))
    part[1, 2, 2] = bad
    with pytest.raises(DataError, match="channel 1 of the image holds pixels that are NaN"):
        measure_moments(part)

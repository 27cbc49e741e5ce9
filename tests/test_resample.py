import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ulens.errors import SettingError
from ulens.resample import check_zoom, resample, size_at, window_needed

ZOOMS = (0.25, 0.5, 2 / 3, 1.0, 1.5, 2.0)


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("zoom", [0.25, 0.5, 1.0, 1.5, 2.0])
def test_it_is_pytorchs_antialiased_filter_where_sizes_divide(zoom):
    image = noise(2, 48, 24)
    size = size_at(image.shape[1:], (zoom, zoom))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None], size=size, mode="bilinear", antialias=True
    )[0].numpy()
    np.testing.assert_allclose(resample(image, (zoom, zoom)), expected, rtol=0, atol=2e-5)


@given(
    zoom=st.tuples(st.sampled_from(ZOOMS), st.sampled_from(ZOOMS)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    data=st.data(),
)
def test_a_window_is_the_part_of_the_whole(zoom, size, data):
    image = noise(1, *size)
    whole = resample(image, zoom)
    window = []
    for length in whole.shape[1:]:
        start = data.draw(st.integers(0, length - 1))
        window.append(slice(start, data.draw(st.integers(start + 1, length))))
    needed = window_needed(tuple(window), size, zoom)
    part = resample(image[:, *needed], zoom, window=tuple(window), whole=size)
    np.testing.assert_array_equal(part, whole[:, *window])


@given(zoom=st.floats(0.1, 4), size=st.integers(1, 50))
def test_a_constant_stays_itself_there_and_back(zoom, size):
    image = np.full((1, size, 3), 7.25)
    there = resample(image, (zoom, 1.0))
    back = resample(there, (1 / zoom, 1.0), image.shape[1:])
    np.testing.assert_allclose(there, 7.25, rtol=1e-12)
    assert back.shape == image.shape
    np.testing.assert_allclose(back, 7.25, rtol=1e-12)


def test_positions_are_kept_there_and_back():
    ramp = np.arange(64, dtype=np.float32)[None, None].repeat(64, 1)
    for zoom in (0.25, 0.5, 2 / 3, 1.5):
        back = resample(resample(ramp, (zoom, zoom)), (1 / zoom, 1 / zoom), (64, 64))
        np.testing.assert_allclose(back[0, :, 8:-8], ramp[0, :, 8:-8], atol=0.05)


@pytest.mark.parametrize("zoom", [0.25, 0.4, 0.5, 2 / 3, 1.0, 1.5, 3.0])
def test_of_a_mask_the_box_is_the_share_of_each_pixel_that_is_covered(zoom):
    edges = np.array([3.0, 11.0])  # the mask covers [3, 11) of 20 px
    mask = np.zeros((1, 1, 20))
    mask[..., 3:11] = 1
    found = resample(mask, (1.0, zoom), (1, int(20 * zoom)), kernel="box")[0, 0]
    left = np.arange(len(found)) / zoom
    shared = np.minimum(left + 1 / zoom, edges[1]) - np.maximum(left, edges[0])
    np.testing.assert_allclose(found, shared.clip(0) * zoom, atol=1e-12)


def test_where_nothing_changes_nothing_is_copied():
    image = noise(1, 5, 6)
    assert np.shares_memory(resample(image, (1.0, 1.0)), image)
    assert resample(image.astype(np.float64), (0.5, 0.5)).dtype == np.float64
    assert resample(image.astype(np.uint8), (0.5, 0.5)).dtype == np.float32


def test_a_zoom_beyond_reason_is_refused():
    for zoom in ((0.001, 1.0), (1.0, float("nan")), (1.0, 1e9)):
        with pytest.raises(SettingError, match=r"zoom is .* network pixels per image pixel; it"):
            check_zoom(zoom)

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ulens.augment.geometry import (
    GeometryDraw,
    GeometrySettings,
    draw_geometry,
    elastic_displacement,
    part_to_read,
    sample,
    sampling_points,
)
from ulens.errors import SettingError

STILL = [[[0.0] * 3] * 3] * 2


def a_draw(**changes):
    values = {
        "centre": (9.5, 9.5),
        "angle_rad": 0.0,
        "scale": 1.0,
        "mirror": False,
        "displacement_px": STILL,
    }
    return GeometryDraw(**{**values, **changes})


def warp(draw, image, size, *, nearest=False):
    return sample(image, sampling_points(draw, size, image.device), nearest=nearest)


def cubic_kernel(t, a=-0.75):
    """Cubic convolution as written in the textbook (Keys 1981), with torch's a."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def test_elastic_displacement_is_bicubic_between_nodes_on_the_corners():
    nodes = np.random.default_rng(0).normal(0, 10, (2, 3, 3))
    size = (17, 23)
    found = elastic_displacement(torch.tensor(nodes), size).numpy()
    for y, x in [(0, 0), (16, 22), (8, 11), (3, 19), (12, 5)]:
        v, u = y * 2 / (size[0] - 1), x * 2 / (size[1] - 1)
        expected = sum(
            nodes[:, np.clip(j, 0, 2), np.clip(i, 0, 2)] * cubic_kernel(v - j) * cubic_kernel(u - i)
            for j in range(-2, 5)
            for i in range(-2, 5)
        )
        np.testing.assert_allclose(found[:, y, x], expected, atol=1e-9)


def test_the_displacement_has_the_asked_standard_deviation():
    generator = torch.Generator().manual_seed(0)
    nodes = [
        draw_geometry(GeometrySettings(), (99, 99), (40, 40), generator).displacement_px
        for _ in range(400)
    ]
    assert np.std(nodes) == pytest.approx(10, rel=0.05)
    assert abs(np.mean(nodes)) < 0.5


def test_an_empty_draw_reads_the_image_itself():
    image = torch.rand(2, 20, 20)
    torch.testing.assert_close(warp(a_draw(), image, (20, 20)), image, atol=2e-5, rtol=0)


def test_beyond_the_edge_the_image_is_mirrored_without_repeating_the_edge():
    image = torch.rand(1, 20, 20)
    padded = np.pad(image.numpy(), ((0, 0), (6, 6), (6, 6)), mode="reflect")
    found = warp(a_draw(), image, (32, 32)).numpy()
    np.testing.assert_allclose(found, padded, atol=2e-5)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_reading_between_pixels_and_beyond_edges_agrees_with_scipy(seed, size):
    generator = np.random.default_rng(seed)
    array = generator.standard_normal((2, *size), dtype=np.float32)
    points = generator.integers(-20, 29, (2, 4, 5)) + generator.uniform(-0.4, 0.4, (2, 4, 5))
    for nearest in (False, True):
        found = sample(torch.tensor(array), torch.tensor(points).float(), nearest=nearest)
        for channel, each in zip(array, found.numpy(), strict=True):
            expected = ndimage.map_coordinates(
                channel, points, order=0 if nearest else 1, mode="mirror"
            )
            np.testing.assert_allclose(each, expected, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    angle=st.floats(-7, 7),
    scale=st.floats(0.1, 10),
    mirror=st.booleans(),
    shift=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)
def test_a_tile_is_shifted_mirrored_turned_and_shrunk_as_complex_numbers_are(
    size, angle, scale, mirror, shift
):
    drawn = a_draw(
        centre=(30.0, 50.0),
        angle_rad=angle,
        scale=scale,
        mirror=mirror,
        displacement_px=[[[each] * 3] * 3 for each in shift],
    )
    y, x = np.indices(size) - (np.array(size)[:, None, None] - 1) / 2
    places = (y + shift[0]) + 1j * (x + shift[1])
    places = (places.conj() if mirror else places) * np.exp(1j * angle) / scale + (30 + 50j)
    found = sampling_points(drawn, size, torch.device("cpu"))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, [places.real, places.imag], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_and_mirroring_are_exact(quarter):
    image = torch.arange(400.0).reshape(1, 20, 20)
    turned = warp(a_draw(angle_rad=quarter * math.pi / 2), image, (20, 20), nearest=True)
    assert any(torch.equal(turned, torch.rot90(image, k, (1, 2))) for k in (quarter, -quarter))
    mirrored = warp(a_draw(mirror=True), image, (20, 20), nearest=True)
    assert torch.equal(mirrored, image.flip(2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_labels_go_where_the_image_goes(seed):
    generator = torch.Generator().manual_seed(seed)
    draw = draw_geometry(GeometrySettings(scale=(0.8, 1.3)), (60, 70), (40, 40), generator)
    smooth = torch.linspace(0, 1, 60)[:, None] * torch.linspace(0, 1, 70)[None]
    as_label = (smooth * 1000).round()
    image = warp(draw, smooth[None], (40, 40))
    label = warp(draw, as_label[None], (40, 40), nearest=True)
    assert torch.equal(label, label.round())
    # half a pixel apart at most, and the ramp climbs 1/59 per pixel
    assert (image - label / 1000).abs().max() < 1 / 59


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), image=st.integers(1, 200), output=st.integers(4, 400))
def test_a_small_output_window_stays_in_the_image_and_a_large_one_is_shifted_a_quarter(
    seed, image, output
):
    generator = torch.Generator().manual_seed(seed)
    draw = draw_geometry(GeometrySettings(), (image, image), (output, output), generator)
    centre = draw.centre[0]
    if 3 * output <= 2 * image:
        assert output / 2 - 0.5 - 1e-9 <= centre <= image - output / 2 - 0.5 + 1e-9
    else:
        assert abs(centre - (image - 1) / 2) <= min(image, output) / 4 + 1e-9


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("elastic_sd_px", [0, 1000], [-0.01, 1000.1, math.nan]),
        ("rotation_deg", [0, 360], [-0.01, 360.1, math.nan]),
        ("scale", [(1 / 64, 1 / 64), (64, 64)], [(1 / 65, 1), (1, 65), (1.2, 0.8), (0, 1)]),
    ],
)
def test_settings_are_taken_up_to_their_limits(name, taken, refused):
    for value in taken:
        assert getattr(GeometrySettings(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(SettingError, match=f"{name} is|{name} {value}"):
            GeometrySettings(**{name: value})


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("corner", [(100, 200), (-20, 200), (-20, 270), (390, -30), (-900, 1300)])
def test_only_the_part_that_is_needed_is_read(nearest, corner):
    image = torch.randn(1, 400, 300, generator=torch.Generator().manual_seed(0))
    points = 50 * torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(1))
    points += torch.tensor(corner)[:, None, None]
    part, inner = part_to_read((400, 300), points)
    assert all(each.stop - each.start <= 52 for each in part)
    found = sample(image[:, *part], inner, nearest=nearest)
    torch.testing.assert_close(found, sample(image, points, nearest=nearest), rtol=0, atol=1e-3)


def test_of_an_image_of_one_pixel_that_pixel_is_read():
    part, inner = part_to_read((1, 1), torch.tensor([-3.4, 0.0, 5.5]).expand(2, 3, 3))
    assert part == (slice(0, 1), slice(0, 1))
    assert not inner.any()


@pytest.mark.parametrize("sizes", [((20, 15), 9), ((10, 24), 32)])
def test_every_pixel_is_seen_as_often_as_any_other(sizes):
    size, output = sizes
    settings = GeometrySettings(
        elastic_sd_px=0, rotation_deg=0, mirror=False, scale=(1, 1), beyond_edges=True
    )
    generator = torch.Generator().manual_seed(0)
    numbers = torch.arange(size[0] * size[1], dtype=torch.float32).reshape(1, *size)
    counts = torch.zeros(size[0] * size[1])
    for _ in range(2500):
        draw = draw_geometry(settings, size, (output, output), generator)
        points = sampling_points(draw, (output, output), torch.device("cpu"))
        seen = sample(numbers, points, nearest=True).round().long().flatten()
        counts += torch.bincount(seen, minlength=len(counts))
    counts = counts.reshape(size)
    counts[[0, -1]] *= 2  # mirroring does not repeat the outermost line
    counts[:, [0, -1]] *= 2
    shares = counts / counts.mean()
    assert shares.min() > 0.8
    assert shares.max() < 1.2


def test_without_reaching_beyond_the_edges_corners_are_hardly_seen():
    settings = GeometrySettings(elastic_sd_px=0, rotation_deg=0)
    generator = torch.Generator().manual_seed(0)
    centres = [draw_geometry(settings, (40, 40), (32, 32), generator).centre for _ in range(500)]
    shifts = np.abs(np.array(centres) - 19.5)
    assert 7.9 < shifts.max() <= 8  # a quarter of 32


def test_without_reaching_beyond_the_edges_the_window_lies_anywhere_in_the_image():
    settings = GeometrySettings(elastic_sd_px=0, rotation_deg=0)
    generator = torch.Generator().manual_seed(0)
    centres = [draw_geometry(settings, (40, 64), (8, 8), generator).centre for _ in range(2000)]
    for along, size in zip(np.array(centres).T, (40, 64), strict=True):
        counts, _ = np.histogram(along, bins=4, range=(3.5, size - 4.5))
        assert counts.sum() == 2000
        assert counts.min() > 420

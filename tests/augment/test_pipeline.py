import math

import numpy as np
import pytest
import torch
from scipy import stats

from ulens.augment.geometry import GeometrySettings, sample, sampling_points
from ulens.augment.intensity import KNOTS, IntensitySettings
from ulens.augment.pipeline import apply, draw_tile

SIZES = [(60, 60), (50, 80), (70, 40)]


def draw(visit, seed=0):
    return draw_tile(
        GeometrySettings(),
        IntensitySettings(noise_sd=0.3, blur_sd_px=1.0),
        image_sizes=SIZES,
        output_size=(20, 20),
        seed=seed,
        visit=visit,
    )


def tile(drawn):
    generator = torch.Generator().manual_seed(7)
    image = torch.rand(2, 60, 60, generator=generator)
    label = torch.randint(-1, 3, (60, 60), generator=generator)
    return apply(drawn, image, label, torch.rand(60, 60, generator=generator), 60, 20)


def test_a_draw_depends_on_seed_and_visit_alone():
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    assert draw(5) != draw(5, seed=1)


def test_every_number_is_drawn_evenly_from_its_range_and_without_regard_to_the_others():
    geometry = GeometrySettings(elastic_sd_px=4, rotation_deg=30, scale=(0.5, 3))
    intensity = IntensitySettings(slope=(0.4, 1.2), offset_sd=0.2, noise_sd=0.3, blur_sd_px=1.5)
    draws = [
        draw_tile(
            geometry, intensity, image_sizes=[(60, 90)], output_size=(20, 30), seed=0, visit=visit
        )
        for visit in range(1000)
    ]

    def each(read):
        return np.array([read(drawn) for drawn in draws])

    def on_log_scale(found, limits):
        return np.log(found / limits[0]) / math.log(limits[1] / limits[0])

    even = [
        *((each(lambda drawn: drawn.geometry.centre) - (9.5, 14.5)) / (40, 60)).T,
        each(lambda drawn: drawn.geometry.angle_rad) / math.radians(30) / 2 + 0.5,
        on_log_scale(each(lambda drawn: drawn.geometry.scale), geometry.scale),
        *stats.norm.cdf(each(lambda drawn: np.ravel(drawn.geometry.displacement_px)) / 4).T,
        *on_log_scale(each(lambda drawn: drawn.intensity.slopes), intensity.slope).T,
        stats.norm.cdf(each(lambda drawn: drawn.intensity.offset) / 0.2),
    ]
    assert len(even) == 4 + 18 + len(KNOTS) + 1 + 1
    in_half = [
        each(lambda drawn: drawn.intensity.noise_sd) / 0.3,
        each(lambda drawn: drawn.intensity.blur_sd_px) / 1.5,
    ]
    mirror = each(lambda drawn: drawn.geometry.mirror)
    for column in [*even, *(column[column > 0] for column in in_half)]:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    for column in [mirror, *in_half]:
        assert abs(np.mean(column > 0) - 0.5) < 0.05
    alike = np.corrcoef([*even, *in_half, mirror])
    assert np.abs(alike - np.eye(len(alike))).max() < 0.15
    assert len(set(each(lambda drawn: drawn.intensity.noise_seed))) == 1000


def test_nothing_is_drawn_from_a_range_of_nothing():
    geometry = GeometrySettings(elastic_sd_px=0, rotation_deg=0, scale=(1, 1), mirror=False)
    intensity = IntensitySettings(slope=(1, 1), offset_sd=0, noise_sd=0, blur_sd_px=0)
    for visit in range(20):
        drawn = draw_tile(
            geometry, intensity, image_sizes=SIZES, output_size=(20, 20), seed=0, visit=visit
        )
        assert not drawn.geometry.mirror
        assert drawn.geometry.scale == 1
        assert not np.any(drawn.geometry.displacement_px)
        assert drawn.intensity.slopes == [1] * 5
        assert not any(
            (
                drawn.geometry.angle_rad,
                drawn.intensity.offset,
                drawn.intensity.noise_sd,
                drawn.intensity.blur_sd_px,
            )
        )


@pytest.mark.parametrize("target_size", [(90, 70), (3, 90, 70)])
def test_a_tile_is_made_where_its_image_is(target_size):
    # a device without numbers; torch refuses to mix it with another, as it does accelerators
    image, target, weight = (
        torch.empty(size, device="meta") for size in [(2, 90, 70), target_size, (90, 70)]
    )
    target = target.long() if target.ndim == 2 else target
    drawn = next(
        drawn
        for drawn in map(draw, range(100))
        if drawn.intensity.noise_sd > 0 and drawn.intensity.blur_sd_px > 0.2
    )
    found = apply(drawn, image, target, weight, 60, 20)
    assert {each.device.type for each in found} == {"meta"}


def test_a_draw_replays_the_tile():
    for a, b in zip(tile(draw(3)), tile(draw(3)), strict=True):
        assert torch.equal(a, b)


def test_every_image_is_visited_once_per_round():
    visited = [draw(visit).image_index for visit in range(30)]
    for start in range(0, 30, 3):
        assert sorted(visited[start : start + 3]) == [0, 1, 2]
    assert len({tuple(visited[s : s + 3]) for s in range(0, 30, 3)}) > 1


def test_shapes_and_types():
    image, label, weight = tile(draw(0))
    assert image.shape == (2, 60, 60)
    assert label.shape == weight.shape == (20, 20)
    assert label.dtype == torch.int64
    assert set(label.unique().tolist()) <= {-1, 0, 1, 2}


def test_the_label_is_the_centre_of_the_tile():
    still = draw_tile(
        GeometrySettings(elastic_sd_px=0, rotation_deg=0, mirror=False),
        IntensitySettings(slope=(1, 1), offset_sd=0),
        image_sizes=[(60, 60)],
        output_size=(60, 60),
        seed=0,
        visit=0,
    )
    ramp = torch.arange(60.0).repeat(60, 1)
    image, label, weight = apply(still, ramp[None], ramp.long(), ramp, 60, 20)
    assert (image[0, 20:40, 20:40] - label).abs().max() <= 0.5 + 1e-3
    torch.testing.assert_close(image[0, 20:40, 20:40], weight)


@pytest.mark.parametrize("visit", range(5))
@pytest.mark.parametrize("size", [(90, 200), (200, 90)])
def test_a_tile_is_read_from_a_part_of_the_image_as_from_all_of_it(size, visit):
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(3, *size, generator=generator)
    drawn = draw_tile(
        GeometrySettings(),
        IntensitySettings(slope=(1, 1), offset_sd=0),
        image_sizes=[size],
        output_size=(20, 20),
        seed=0,
        visit=visit,
    )
    label = torch.where(image[0] > 0.5, 7, 0)
    tile, target, weight = apply(drawn, image, label, image[1], 60, 20)
    points = sampling_points(drawn.geometry, (60, 60), image.device)
    torch.testing.assert_close(tile, sample(image, points, nearest=False), atol=1e-4, rtol=0)
    middle = points[:, 20:40, 20:40]
    torch.testing.assert_close(weight, tile[1, 20:40, 20:40])
    # labels have no values between them
    assert torch.equal(target, sample(label[None], middle, nearest=True)[0].long())


def test_a_float_target_is_interpolated_with_the_geometry_of_the_image():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 60, 60, generator=generator)
    drawn = draw_tile(
        GeometrySettings(),
        IntensitySettings(slope=(1, 1), offset_sd=0),
        image_sizes=[(60, 60)],
        output_size=(20, 20),
        seed=0,
        visit=1,
    )
    tile, target, weight = apply(
        drawn, image, torch.cat([image, 1 - image]), torch.ones(60, 60), 60, 20
    )
    assert target.dtype == torch.float32
    torch.testing.assert_close(target[:1], tile[:, 20:40, 20:40])
    torch.testing.assert_close(target.sum(0), torch.ones(20, 20))
    assert (weight > 0.999).all()


def test_no_ignored_target_leaks_into_what_is_counted():
    generator = torch.Generator().manual_seed(2)
    weight = (torch.rand(60, 60, generator=generator) > 0.1).float()
    target = torch.where(weight > 0, 0.5, 1.0)[None].repeat(2, 1, 1)
    counted = 0
    for visit in range(0, 60, 3):
        drawn = draw(visit)
        _, sampled, weights = apply(drawn, torch.zeros(1, 60, 60), target, weight, 60, 20)
        assert set(weights[weights < 0.999].tolist()) <= {0.0}
        assert (sampled[:, weights > 0] - 0.5).abs().max() < 1e-5
        counted += int((weights > 0).sum())
    assert counted > 1000

import numpy as np
import pytest

from ulens.appearance import (
    FEW_IMAGES,
    Look,
    count_objects,
    familiarize,
    measure_look,
    measure_objects,
)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def waves(period_px, size=256):
    """A grating of unit variance."""
    row = np.sqrt(2) * np.sin(2 * np.pi * np.arange(size) / period_px)
    return np.tile(row, (size, 1))[None].astype(np.float32)


@pytest.mark.parametrize(("period_px", "band"), [(4, 0), (8, 1), (16, 2), (32, 3), (64, 4)])
def test_details_are_sorted_by_their_size(period_px, band):
    energies = Look.of(measure_look(waves(period_px))).energies[:, 0]
    assert np.argmax(energies) == band


def test_the_percentiles_are_those_of_the_pixels_however_many_there_are():
    image = np.linspace(0, 100, 600 * 500, dtype=np.float32).reshape(1, 600, 500)
    found = Look.of(measure_look(image)).percentiles[:, 0]
    np.testing.assert_allclose(found, [1, 5, 25, 50, 75, 95, 99], atol=0.1)


def test_spots_are_skewed_as_they_are_bright_or_dark():
    spots = (noise(1, 200, 200) > 3).astype(np.float32)
    bright, dark = (Look.of(measure_look(each)).skews[0, 0] for each in (spots, -spots))
    assert bright > 1
    assert dark == pytest.approx(-bright)


def test_a_constant_image_has_numbers():
    assert np.isfinite(measure_look(np.zeros((2, 5, 1), np.float32))).all()


def test_objects_are_measured_in_pixels_of_the_training_images():
    labels = np.zeros((20, 20), np.int32)
    labels[:4, :4], labels[10:18, 10:18], labels[:4, 10:14] = 3, 7, 9
    found = measure_objects(labels, area_factor=4.0)
    assert found.num == 3
    assert found.diameter_px == pytest.approx(np.sqrt(4 * 64 / np.pi))
    assert found.num_per_mpx == pytest.approx(3 / 1600 * 1e6)
    assert not found.is_uniform


@pytest.mark.parametrize("label", [0, 2])
def test_an_image_of_one_label_is_uniform(label):
    assert measure_objects(np.full((4, 4), label)).is_uniform
    assert count_objects(np.array([16.0] * (label > 0)), 16).is_uniform


def test_limits_are_those_of_the_images():
    images = [(factor * noise(1, 64, 64, seed=factor), np.eye(64, dtype=int)) for factor in (1, 4)]
    familiar = familiarize(images * FEW_IMAGES, is_instances=True)
    low, _, high = familiar.channels[0].energies[0]
    assert high - low == pytest.approx(4, abs=0.3)
    assert familiar.look().shape == (3, 19, 1)
    assert familiar.look()[:, 7, 0].tolist() == list(familiar.channels[0].energies[0])
    assert familiar.num_images == 2 * FEW_IMAGES


def test_the_quarters_of_a_few_images_tell_how_much_looks_differ():
    image = np.concatenate([noise(1, 128, 256), 4 * noise(1, 128, 256)], axis=1)
    labels = np.zeros((256, 256), int)
    one, many = (
        familiarize([(image, labels)] * num, is_instances=True).channels[0].energies[0]
        for num in (1, FEW_IMAGES)
    )
    assert many[2] - many[0] == 0
    assert one[2] - one[0] > 3
    assert familiarize([(image, labels)], is_instances=True).num_uniform == 1

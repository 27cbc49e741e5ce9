import inspect
import re

import numpy as np
import pytest
import torch
from scipy import ndimage

from cases import two_touching_discs
from ulens.encodings import distance
from ulens.encodings.borders import SMOOTHING_PX, close_borders
from ulens.encodings.table import ENCODINGS, check_decoding, decode_maps, in_pixels
from ulens.errors import SettingError
from ulens.labels.grid import labels_at

HALF = (0.5, 0.5)


def as_maps(target, way):
    """What a network that has learned everything puts out."""
    if target.ndim == 3:
        return target
    return np.stack([target == each for each in range(len(way.outputs) or 2)]).astype(np.float32)


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_is_encoded_is_decoded_and_costs_nothing(name):
    labels = np.repeat([[0] * 3 + [1] * 9 + [2] * 8 + [0] * 5 + [3] * 8], 12, axis=0)
    way = ENCODINGS[name]
    labels = np.minimum(labels, 1) if way.labels_are == "classes" else labels
    target = way.encode(labels)
    assert target.dtype == (np.float32 if target.ndim == 3 else np.int16)
    maps = as_maps(target, way)
    _, decoded = decode_maps(name, maps, way.decoding)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, labels)
    output = torch.from_numpy(100 * (2 * maps - 1) if way.activation == "softmax" else maps)[None]
    target = torch.from_numpy(target if target.ndim == 3 else target.astype(np.int64))[None]
    assert float(way.loss(output, target, torch.ones(1, *labels.shape))) < 1e-6


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_view_is_bright_inside_of_instances(name):
    labels = np.minimum(two_touching_discs(), 1)
    way = ENCODINGS[name]
    target = way.encode(labels)
    maps = as_maps(target, way)
    view = way.view(maps)
    assert view[labels == 0].max() == 0
    assert view[12, 19] > 0.5


@pytest.mark.parametrize("name", ["boundary", "contact", "distance"])
def test_tuning_starts_from_values_of_its_grid(name):
    way = ENCODINGS[name]
    parameters = set(inspect.signature(way.decoder).parameters)
    assert set(way.grid) == set(way.decoding) <= parameters
    for parameter, values in way.grid.items():
        assert way.decoding[parameter] in values


@pytest.mark.parametrize("name", ["classes", "membrane"])
def test_on_a_coarser_grid_classes_share_what_is_annotated_of_a_pixel(name):
    labels = np.array([[0, 0, 1, 2, -1, -1, -1, -1], [0, 1, 1, 2, -1, 2, -1, -1]])
    shares = ENCODINGS[name].encode_at(labels, HALF, labels_at(labels, HALF), 3)
    expected = [[0.75, 0, 0, 0], [0.25, 0.5, 0, 0], [0, 0.5, 1, 0]]
    np.testing.assert_allclose(shares[:, 0], expected, atol=1e-6)


def test_on_a_coarser_grid_instances_stay_apart():
    labels = np.repeat([[1] * 8 + [2] * 7 + [0] * 9], 8, axis=0)
    coarse = labels_at(labels, HALF)
    assert coarse[0].tolist() == [1] * 4 + [2] * 4 + [0] * 4
    inside = np.array([1, 1, 1, 0, 0, 1, 1, 0.5, 0, 0, 0, 0])
    touching = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    background = 1 - inside - touching
    for name, expected in {
        "boundary": [1 - inside, inside],
        "contact": [background, inside, touching],
        "distance": distance.encode(coarse)[:, 0],
    }.items():
        found = ENCODINGS[name].encode_at(labels, HALF, coarse, len(expected))
        np.testing.assert_allclose(found[:, 2], expected, atol=1e-6)


def test_gaps_in_membranes_are_looked_for_at_their_size_in_the_image():
    noise = np.random.default_rng(0).standard_normal((40, 50))
    interior = (1 / (1 + np.exp(-9 * ndimage.gaussian_filter(noise, 2)))).astype(np.float32)
    maps = np.stack([1 - interior, interior])
    refined, cells = decode_maps("membrane", maps, {"threshold": 0.5}, (0.5, 2.0))
    expected = close_borders(interior, (2 * SMOOTHING_PX, SMOOTHING_PX / 2))
    assert (expected < interior).any()
    np.testing.assert_array_equal(refined[1], expected)
    np.testing.assert_allclose(refined.sum(0), 1, atol=1e-6)
    np.testing.assert_array_equal(cells, expected > 0.5)


@pytest.mark.parametrize("name", ["boundary", "contact", "distance"])
def test_what_equals_a_threshold_is_not_above_it(name):
    labels = np.zeros((16, 40), int)
    labels[3:12, 3:12], labels[3:12, 25:36] = 1, 2
    way = ENCODINGS[name]
    for expected in (labels, np.zeros_like(labels)):
        found = way.decode(as_maps(way.encode(expected), way), **dict.fromkeys(way.decoding, 0.0))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "decoding"),
    [
        ("boundary", {}),
        ("boundary", {"grow_px": 0.5}),
        ("boundary", {"grow_px": 4.0}),
        ("contact", {}),
        ("distance", {}),
    ],
)
def test_a_decoder_looks_no_farther_around_a_pixel_than_it_says(name, decoding):
    way = ENCODINGS[name]
    decoder = way.decoder(**way.decoding, **decoding)
    noise = np.random.default_rng(0).standard_normal((len(way.outputs), 60, 70))
    maps = 1 / (1 + np.exp(-20 * ndimage.gaussian_filter(noise, (0, 2, 2))))
    instances = ndimage.label(maps[1] > 0.6)[0].astype(np.int32)
    ground, finished = decoder.landscape(maps), decoder.finish(instances)
    for y, x in np.ndindex(*instances.shape):
        if (y + x) % 5:
            continue
        around = tuple(
            slice(max(0, place - decoder.reach_px), place + decoder.reach_px + 1)
            for place in (y, x)
        )
        here = y - around[0].start, x - around[1].start
        for whole, part in zip(ground, decoder.landscape(maps[:, *around]), strict=True):
            assert part[here] == whole[y, x]
        assert decoder.finish(instances[around])[here] == finished[y, x]


LARGEST = {"min_area_px": 1e12, "grow_px": 1e4}


@pytest.mark.parametrize("name", ENCODINGS)
def test_parameters_of_a_decoding_are_taken_up_to_their_limits(name):
    way = ENCODINGS[name]
    check_decoding(name, way.decoding)
    with pytest.raises(SettingError, match=rf"unknown entries .*colour.*; encoding '{name}' takes"):
        check_decoding(name, {**way.decoding, "colour": 1})
    parameters = inspect.signature(way.decoder or way.decode_classes).parameters
    for entry in parameters.keys() - {"maps", "probabilities"}:
        largest = LARGEST.get(entry, 1)
        for value in (0, largest):
            check_decoding(name, {**way.decoding, entry: value})
        for value in (-0.01, largest * 1.01, np.nan, True, "0.5", None):
            message = re.escape(f"from 0 to {largest:g}")
            with pytest.raises(SettingError, match=rf"decoding\.{entry} is .* {message}$"):
                check_decoding(name, {**way.decoding, entry: value})


@pytest.mark.parametrize("name", ["membrane", "distance"])
def test_a_parameter_without_a_default_may_not_be_missing(name):
    with pytest.raises(SettingError, match=r"decoding\.\w*threshold is missing"):
        check_decoding(name, {})


def test_an_image_of_other_pixels_is_decoded_with_lengths_and_areas_in_its_own():
    labels = np.repeat([[0] * 3 + [1] * 6 + [2] * 6 + [0] * 3 + [3] * 3 + [0] * 2], 8, axis=0)
    way = ENCODINGS["boundary"]
    maps = np.kron(as_maps(way.encode(labels), way), np.ones((4, 4)))
    decoding = {**way.decoding, "grow_px": 1.5, "min_area_px": 30}
    _, found = decode_maps("boundary", maps, decoding, (0.25, 0.25))
    np.testing.assert_array_equal(found, np.kron(labels * (labels < 3), np.ones((4, 4))))


def test_lengths_and_areas_are_those_of_the_image_that_is_decoded():
    decoding = {"threshold": 0.5, "min_area_px": 10, "grow_px": 1.5}
    found = in_pixels(decoding, (0.5, 0.25))
    assert found == {"threshold": 0.5, "min_area_px": 80, "grow_px": 6}
    assert in_pixels({"threshold": 0.5}, (0.5, 0.25)) == {"threshold": 0.5}
    assert decoding["min_area_px"] == 10

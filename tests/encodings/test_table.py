import inspect

import numpy as np
import pytest
import torch

from cases import two_touching_discs
from ulens.encodings.table import ENCODINGS, decode_maps


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

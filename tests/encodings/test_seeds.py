import numpy as np

from ulens.encodings.seeds import Landscape, SeedDecoder


def landscape(maps):
    return Landscape(seeds=maps[0] > 1, height=-maps[0], within=maps[0] > 0)


ROW = np.array([[[2, 1, 0, 2, 2, 1, 1, 0, 2, 2, 0]]], float)


def test_seeds_grow_and_are_numbered_in_order():
    found = SeedDecoder(landscape=landscape).decode(ROW)
    np.testing.assert_array_equal(found, [[1, 1, 0, 2, 2, 2, 2, 0, 3, 3, 0]])
    assert found.dtype == np.int32


def test_small_seeds_never_grow_and_small_instances_are_removed_at_the_end():
    found = SeedDecoder(landscape=landscape, min_seed_px=2).decode(ROW)
    np.testing.assert_array_equal(found, [[0, 0, 0, 1, 1, 1, 1, 0, 2, 2, 0]])
    found = SeedDecoder(landscape=landscape, min_area_px=3).decode(ROW)
    np.testing.assert_array_equal(found, [[0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]])


def test_the_last_touch_comes_before_small_instances_are_removed():
    decoder = SeedDecoder(
        landscape=landscape, finish=lambda found: np.where(found == 2, 0, found), min_area_px=2
    )
    np.testing.assert_array_equal(decoder.decode(ROW), [[1, 1, 0, 0, 0, 0, 0, 0, 2, 2, 0]])


def test_without_seeds_there_is_nothing():
    assert not SeedDecoder(landscape=landscape).decode(np.ones((1, 4, 4))).any()

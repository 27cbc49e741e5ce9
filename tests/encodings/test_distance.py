import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cases import cell_with_hole, empty, one_pixel, two_touching_discs
from ulens.encodings.distance import RIM, decoder, encode
from ulens.encodings.table import ENCODINGS
from ulens.io.files import read_image
from ulens.metrics.ctc import seg_scores

DEFAULTS = ENCODINGS["distance"].decoding


def decode(maps, **decoding):
    return decoder(**decoding).decode(maps)


def discs(seed, size=80, number=9):
    """Discs that touch, each connected and of at least 80 px."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(8, size - 8, (number, 2))
    grid = np.stack(np.mgrid[:size, :size])
    to_centre = np.linalg.norm(grid[None] - centres[:, :, None, None], axis=1)
    return large(np.where(to_centre.min(0) < 11, to_centre.argmin(0) + 1, 0))


def blobs(seed, size=64):
    """Basins of smooth noise: instances of any shape, side by side, with gaps here and there."""
    generator = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(generator.standard_normal((size, size)), 4)
    points = generator.uniform(0, size, (12, 2))
    grid = np.stack(np.mgrid[:size, :size])
    warped = grid + 60 * np.stack([smooth, np.roll(smooth, 20, 0)])
    to_point = np.linalg.norm(warped[None] - points[:, :, None, None], axis=1)
    return large(np.where(to_point.min(0) < 14, to_point.argmin(0) + 1, 0))


def large(labels):
    """Drop instances that are not connected, or too small to hold a disc of 4 px."""
    for number in np.unique(labels)[1:]:
        inside = labels == number
        deepest = ndimage.distance_transform_edt(np.pad(inside, 1)).max()
        if ndimage.label(inside)[1] != 1 or inside.sum() < 80 or deepest < 4:
            labels[inside] = 0
    return labels


def brute_force(labels):
    """Cell distance and neighbour distance before gaps are closed, pixel by pixel."""
    cell, neighbour = np.zeros((2, *labels.shape))
    for number in np.unique(labels[labels > 0]):
        inside = np.argwhere(labels == number)
        outside = np.argwhere(labels != number)
        others = np.argwhere((labels > 0) & (labels != number))
        depth = np.array([np.hypot(*(outside - pixel).T).min() for pixel in inside])
        for pixel, own in zip(inside, depth, strict=True):
            cell[tuple(pixel)] = RIM + (1 - RIM) * own / depth.max()
            if len(others):
                gap = np.hypot(*(others - pixel).T).min() - 1
                neighbour[tuple(pixel)] = max(0.0, 1 - gap / depth.max()) ** 3
    return cell, neighbour


@pytest.mark.parametrize("seed", range(4))
def test_the_distances_are_their_definition(seed):
    labels = discs(seed, size=48, number=5)
    cell, neighbour = brute_force(labels)
    encoded = encode(labels)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded[0], cell, atol=1e-6)
    np.testing.assert_allclose(encoded[1][labels > 0], neighbour[labels > 0], atol=1e-6)


def test_the_range_of_the_distances():
    cell, neighbour = encode(two_touching_discs())
    labels = two_touching_discs()
    assert (cell[labels == 0] == 0).all()
    assert cell[labels > 0].min() > RIM
    assert [cell[labels == k].max() for k in (1, 2)] == [1, 1]
    assert (neighbour[12, [19, 20]] == 1).all()
    assert neighbour[12, 12] < 0.05
    assert (neighbour[:, :4] == 0).all()


@pytest.mark.parametrize("width", range(1, 9))
def test_narrow_gaps_are_filled_and_wide_ones_are_not(width):
    row = [1] * 15 + [0] * width + [2] * 15
    neighbour = encode(np.repeat([row], 20, axis=0))[1, 10]
    gap, border = neighbour[15 : 15 + width], neighbour[14]
    if width <= 4:
        assert gap == pytest.approx(border)
        assert border > 0.3
    else:
        assert gap[width // 2] == 0


def test_an_instance_alone_has_no_neighbour():
    assert not encode(cell_with_hole())[1].any()
    assert not encode(empty()).any()


def test_instances_go_on_beyond_the_edge_of_the_image():
    cell, _ = encode(np.ones((6, 8), int))
    assert (cell == 1).all()
    cell, _ = encode(np.repeat([[1] * 5 + [0] * 3], 6, axis=0))
    assert cell[0].tolist() == cell[3].tolist()
    assert cell[0, 0] == 1


def test_ignored_pixels_are_outside_but_no_neighbours():
    row = np.array([0, 1, 1, 1, 1, 1, -1, -1, 0, 0])
    ignored, background = (np.repeat([r], 7, axis=0) for r in (row, np.maximum(row, 0)))
    np.testing.assert_array_equal(encode(ignored), encode(background))


def test_one_pixel_is_its_own_middle():
    cell, neighbour = encode(one_pixel())
    assert cell[4, 5] == 1
    assert cell.sum() == 1
    assert not neighbour.any()


def iou_of_each(labels, found, numbers):
    values = []
    for number in numbers:
        inside = labels == number
        ids, counts = np.unique(found[inside], return_counts=True)
        other = found == ids[counts.argmax()]
        values.append((inside & other).sum() / (inside | other).sum())
    return np.array(values)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from([discs, blobs]))
def test_decoding_what_was_encoded_gives_the_instances_back(seed, kind):
    labels = kind(seed)
    cell, neighbour = encode(labels)
    found = decode(np.stack([cell, neighbour]), **DEFAULTS)
    assert ((found > 0) == (labels > 0)).all()
    middle = ndimage.gaussian_filter(cell, 1) - neighbour**2 > DEFAULTS["seed_threshold"]
    # one whose middle is in two pieces cannot come back as one
    whole = [k for k in np.unique(labels)[1:] if ndimage.label(middle & (labels == k))[1] == 1]
    overlap = iou_of_each(labels, found, whole)
    assert (overlap > (0.9 if kind is discs else 0.5)).all()


def test_instances_are_numbered_in_raster_order_and_small_ones_removed():
    labels = np.zeros((30, 40), int)
    labels[3:10, 25:32], labels[4:12, 4:12], labels[20:28, 10:30], labels[20:24, 2:6] = 7, 2, 5, 4
    found = decode(encode(labels), **DEFAULTS, min_area_px=17)
    expected = np.zeros_like(labels)
    for new, old in enumerate((7, 2, 5), start=1):
        expected[labels == old] = new
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_the_parameters_of_decoding_by_hand():
    maps = np.zeros((2, 11, 24))
    maps[0, 2:9, 2:22] = 0.5
    maps[0, 4:7, 4:9], maps[0, 4:7, 15:20] = 1, 1
    assert decode(maps, cell_threshold=0.4, seed_threshold=0.3).max() == 1
    assert decode(maps, cell_threshold=0.4, seed_threshold=0.6).max() == 2
    assert not decode(maps, cell_threshold=0.4, seed_threshold=1.0).any()
    outline = decode(maps, cell_threshold=0.6, seed_threshold=0.6)
    np.testing.assert_array_equal(outline > 0, maps[0] > 0.6)
    maps[1, :, 11:13] = 1
    assert decode(maps, cell_threshold=0.4, seed_threshold=0.3).max() == 2


def test_seeds_are_hills_of_the_smoothed_distance_less_the_squared_nearness():
    maps = ndimage.gaussian_filter(np.random.default_rng(0).uniform(0, 1, (2, 50, 60)), (0, 1, 1))
    height = ndimage.gaussian_filter(maps[0], 1) - maps[1] ** 2
    seed_threshold, cell_threshold = height[20, 30], maps[0, 25, 7]  # not above themselves
    made = decoder(seed_threshold=seed_threshold, cell_threshold=cell_threshold)
    ground = made.landscape(maps)
    np.testing.assert_array_equal(ground.seeds, height > seed_threshold)
    np.testing.assert_array_equal(ground.height, -height)
    np.testing.assert_array_equal(ground.within, maps[0] > cell_threshold)


@pytest.mark.parametrize(("width", "number"), [(1, 0), (2, 0), (3, 1), (4, 1)])
def test_a_seed_has_at_least_three_pixels(width, number):
    maps = np.full((2, 9, 9), 0.9)
    maps[1, 4, 4 : 4 + width] = 0
    assert decode(maps, cell_threshold=0.1, seed_threshold=0.5).max() == number


def test_nothing_decodes_to_nothing():
    assert not decode(np.zeros((2, 5, 5)), **DEFAULTS).any()


@pytest.mark.real
@pytest.mark.parametrize(
    "pattern",
    [
        "PhC-C2DH-U373/02_GT/SEG/*.tif",
        "DIC-C2DH-HeLa/01_GT/SEG/*.tif",
        "DIC-C2DH-HeLa/01_ST/SEG/*.tif",
        "dsb2018/labels/*",
    ],
)
def test_real_label_images_come_back(real_data, pattern):
    files = sorted(real_data.glob(pattern))
    labels = [read_image(path).data.astype(np.int32) for path in files[:: 1 + len(files) // 15]]
    found = [decode(encode(each), **DEFAULTS) for each in labels]
    scores = seg_scores(zip(labels, found, strict=True))
    assert scores.num_objects > 20
    assert scores.seg >= 0.99

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from ulens.encodings import boundary, contact
from ulens.labels.grid import labels_at
from ulens.metrics.ctc import seg_scores


def as_maps(labels):
    classes = contact.encode(labels)
    return (classes[None] == np.arange(3)[:, None, None]).astype(np.float32)


def random_cells(seed, gap_px, size=96, num=40):
    """Cells that fill the plane but for gaps of so many pixels between them."""
    generator = np.random.default_rng(seed)
    middles = np.zeros((size, size), int)
    y, x = generator.integers(0, size, (2, num))
    middles[y, x] = np.arange(1, num + 1)
    _, (rows, columns) = ndimage.distance_transform_edt(middles == 0, return_indices=True)
    cells = middles[rows, columns]
    for _ in range(gap_px):  # the smaller number gives way
        cells = np.where(ndimage.maximum_filter(cells, 3) > cells, 0, cells) * (cells > 0)
    return cells


def strips(width_px, gap_px, size=48):
    rows = np.arange(size)
    numbers = np.where(rows % (width_px + gap_px) < width_px, rows // (width_px + gap_px) + 1, 0)
    return np.repeat(numbers[:, None], size, axis=1)


def squares(side_px, gap_px, size=48):
    rows = strips(side_px, gap_px, size)
    return np.where((rows > 0) & (rows.T > 0), (rows - 1) * size + rows.T, 0)


def test_the_border_of_touching_instances_is_a_class_of_its_own():
    labels = np.array([[1, 1, 2, 2, 0, 3, -1, 4]])
    np.testing.assert_array_equal(contact.encode(labels), [[1, 2, 2, 1, 0, 1, -1, 1]])


@pytest.mark.parametrize("gap_px", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_cells_come_back_however_narrow_the_gap(seed, gap_px):
    labels = random_cells(seed, gap_px)
    found = contact.decoder().decode(as_maps(labels))
    assert seg_scores([(labels, found)]).seg > 0.995


@pytest.mark.parametrize("gap_px", [1, 2])
@pytest.mark.parametrize("width_px", [1, 2])
@pytest.mark.parametrize("draw", [strips, squares])
def test_thin_and_small_instances_come_back(draw, width_px, gap_px):
    labels = draw(width_px, gap_px)
    found = contact.decoder().decode(as_maps(labels))
    assert seg_scores([(labels, found)]).seg == 1
    # what the separation border of the paper loses
    inside = boundary.encode(labels).astype(float)
    lost = boundary.decoder().decode(np.stack([1 - inside, inside]))
    assert seg_scores([(labels, lost)]).seg < 0.7


def test_touching_cells_share_their_border():
    labels = random_cells(0, 0)
    found = contact.decoder().decode(as_maps(labels))
    assert seg_scores([(labels, found)]).seg > 0.93


def test_a_small_core_grows_if_its_instance_is_large_enough():
    faint = np.zeros((3, 12, 12), np.float32)
    faint[1, 2:10, 2:10] = 0.7  # above the reach, but not surely an interior
    faint[1, 4:8, 4:8] = 1.0
    faint[0] = 1 - faint[1]
    asked = {"threshold": 0.9, "reach_threshold": 0.5}
    assert (contact.decoder(**asked, min_area_px=32).decode(faint) > 0).sum() == 64
    assert not contact.decoder(**asked, min_area_px=33).decode(faint).any()  # its core is of 16
    assert not contact.decoder(**asked, min_area_px=65).decode(faint).any()


@pytest.mark.parametrize("reach_threshold", [0.3, 0.9])
def test_instances_grow_over_the_surest_interior_first(reach_threshold):
    noise = np.random.default_rng(0).standard_normal((3, 60, 70))
    maps = np.exp(20 * ndimage.gaussian_filter(noise, (0, 2, 2)))
    maps /= maps.sum(0)
    cores = maps[1] > 0.8
    expected = watershed(
        -maps[1], ndimage.label(cores)[0], mask=cores | (1 - maps[0] > reach_threshold)
    )
    found = contact.decoder(threshold=0.8, reach_threshold=reach_threshold).decode(maps)
    assert found.max() > 10
    np.testing.assert_array_equal(found, expected)


def test_small_cores_are_left_out():
    labels = squares(4, 4)
    labels[0, :3] = 0
    found = contact.decoder(min_area_px=14).decode(as_maps(labels))
    np.testing.assert_array_equal(found > 0, labels > 1)


@pytest.mark.parametrize("zoom", [0.25, 0.5, 1.5, 2.0])
def test_shares_on_another_grid_add_up_and_keep_cells_apart(zoom):
    labels = random_cells(0, 0, num=12)
    labels[:8] = 0
    coarse = labels_at(labels, (zoom, zoom))
    shares = contact.encode_at(labels, (zoom, zoom), coarse)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    assert (shares >= -1e-6).all()
    found = contact.decoder().decode(shares)
    assert seg_scores([(coarse, found)]).seg > 0.85


def test_shares_are_of_what_is_annotated_of_a_pixel():
    labels = np.random.default_rng(0).choice([-1, 0, 0, 1], (24, 30))
    half = (0.5, 0.5)
    shares = contact.encode_at(labels, half, labels_at(labels, half))
    blocks = labels.reshape(12, 2, 15, 2)
    annotated, inside = ((blocks >= lowest).sum((1, 3)) for lowest in (0, 1))
    known = annotated > 0
    np.testing.assert_allclose(shares[1][known], (inside / np.maximum(annotated, 1))[known])
    np.testing.assert_allclose(shares[0] + shares[1], 1)

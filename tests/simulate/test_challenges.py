import numpy as np
import pytest
from scipy import ndimage as ndi

from ulens.errors import SettingError
from ulens.metrics.instance import instance_scores
from ulens.simulate.baseline import otsu_components
from ulens.simulate.challenges import simulate_cells, simulate_membranes

BOTH = pytest.mark.parametrize("simulate", [simulate_membranes, simulate_cells])


@pytest.fixture(scope="module")
def cells():
    return simulate_cells(3, seed=5)


@pytest.fixture(scope="module")
def membranes():
    return simulate_membranes(3, seed=5)


@BOTH
def test_same_seed_same_images_whatever_their_number(simulate):
    images, labels = simulate(3, size=96, seed=1)
    fewer_images, fewer_labels = simulate(2, size=96, seed=1)
    np.testing.assert_array_equal(images[:2], fewer_images)
    np.testing.assert_array_equal(labels[:2], fewer_labels)


@BOTH
def test_other_seeds_and_images_differ(simulate):
    images, _ = simulate(2, size=96, seed=1)
    others, _ = simulate(2, size=96, seed=2)
    assert (images[0] != images[1]).mean() > 0.5
    assert (images[0] != others[0]).mean() > 0.5


@BOTH
@pytest.mark.parametrize("size", [64, 101, 300])
def test_takes_any_size(simulate, size):
    images, labels = simulate(1, size=size, seed=3)
    assert images.shape == labels.shape == (1, size, size)
    assert images.dtype == np.uint8


def test_membrane_labels_are_two_classes_with_the_real_share_of_membrane(membranes):
    _, labels = membranes
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 255}
    assert 0.15 < (labels == 0).mean() < 0.3  # 0.22 on the ISBI 2012 slices


def test_membranes_enclose_cells_of_very_different_sizes(membranes):
    for label in membranes[1]:
        regions, _ = ndi.label(label)
        areas = np.bincount(regions.ravel())[1:]
        areas = areas[areas > 20]
        assert len(areas) > 20
        assert areas.max() > 10 * np.median(areas)


def test_membranes_are_darker_but_no_threshold_finds_them(membranes):
    images, labels = membranes
    membrane, interior = images[labels == 0], images[labels == 255]
    assert interior.mean() - membrane.mean() > 40
    errors = [np.mean((images > level) != (labels == 255)) for level in range(0, 256, 4)]
    assert min(errors) > 0.06


def test_cell_labels_are_gapless_and_each_cell_is_connected(cells):
    _, labels = cells
    assert labels.dtype == np.uint16
    for label in labels:
        assert np.unique(label).tolist() == list(range(label.max() + 1))
        for value, box in enumerate(ndi.find_objects(label), start=1):
            assert ndi.label(label[box] == value)[1] == 1


def test_cells_have_the_promised_sizes_and_touch(cells):
    for label in cells[1]:
        inner = np.setdiff1d(label, np.r_[0, label[0], label[-1], label[:, 0], label[:, -1]])
        diameters = np.sqrt(4 / np.pi * np.bincount(label.ravel())[inner])
        assert np.all((diameters > 13) & (diameters < 66))
        assert 25 < np.mean(diameters) < 50
        pairs = np.stack([label[:, :-1].ravel(), label[:, 1:].ravel()])
        touching = (pairs[0] != pairs[1]) & (pairs > 0).all(axis=0)
        assert touching.sum() > 200


def test_borders_between_touching_cells_show(cells):
    """At most borders the image has more contrast than noise and grains leave inside cells."""
    images, labels = cells
    for image, label in zip(images.astype(float), labels, strict=True):
        steepness = ndi.gaussian_gradient_magnitude(image, 1.2)
        lowest = ndi.minimum_filter(np.where(label == 0, 65535, label), 3)
        borders = (lowest != ndi.maximum_filter(label, 3)) & (ndi.minimum_filter(label, 3) > 0)
        inside = ndi.minimum_filter(label, 9) == ndi.maximum_filter(label, 9)
        assert steepness[borders].mean() > 1.5 * steepness[inside & (label > 0)].mean()


@pytest.mark.parametrize("sign", [1, -1])
def test_otsu_fails_on_the_cells_in_either_polarity(cells, sign):
    images, labels = cells
    found = [otsu_components(sign * image.astype(float)) for image in images]
    assert instance_scores(labels, found).average_precision[0.5] < 0.4


@BOTH
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_images": 0}, "num_images is 0; ask for 1 or more"),
        ({"num_images": 1, "size": 63}, "size is 63; give 64 pixels or more"),
        ({"num_images": 1, "seed": -1}, "seed is -1; give 0 or more"),
    ],
)
def test_says_which_setting_is_out_of_range(simulate, arguments, message):
    with pytest.raises(SettingError, match=message):
        simulate(**arguments)

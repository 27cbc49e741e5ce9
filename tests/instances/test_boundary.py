import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ulens.errors import SettingError
from ulens.instances.boundary import class_balance, decode, encode, separation_weight


def discs(seed, size=80, number=9):
    """Instances that touch but are each connected and thicker than their border."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(8, size - 8, (number, 2))
    grid = np.stack(np.mgrid[:size, :size])
    distance = np.linalg.norm(grid[None] - centres[:, :, None, None], axis=1)
    nearest = distance.argmin(0)
    labels = np.where(distance.min(0) < 11, nearest + 1, 0)
    for number_ in range(1, number + 1):
        if ndimage.label(labels == number_)[1] != 1 or (labels == number_).sum() < 80:
            labels[labels == number_] = 0
    return labels


def iou_of_each(labels, decoded):
    found = []
    for number in np.unique(labels)[1:]:
        inside = labels == number
        ids, counts = np.unique(decoded[inside], return_counts=True)
        other = decoded == ids[counts.argmax()]
        found.append((inside & other).sum() / (inside | other).sum() if ids[counts.argmax()] else 0)
    return np.array(found)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_decoding_what_was_encoded_gives_the_instances_back(seed):
    labels = discs(seed)
    interior = np.where(encode(labels) == 1, labels, 0)
    # an instance that its border cuts in two cannot come back as one
    assume(all(ndimage.label(interior == k)[1] == 1 for k in np.unique(labels)[1:]))
    decoded = decode((interior > 0).astype(np.float32))
    assert decoded.max() == len(np.unique(labels)) - 1
    # a notch at the end of a contact may be filled: a few of at least 80 pixels
    assert iou_of_each(labels, decoded).min() > 0.8


def test_instances_that_do_not_touch_come_back_exactly():
    labels = np.zeros((20, 30), int)
    labels[2:9, 2:9], labels[12:18, 3:20], labels[2:7, 20:28] = 1, 3, 2
    assert np.array_equal(decode(encode(labels) == 1) > 0, labels > 0)
    assert decode(encode(labels) == 1).max() == 3


def test_instances_that_touch_along_a_line_come_back_exactly():
    labels = np.repeat([[1] * 6 + [2] * 6], 8, axis=0)
    assert np.array_equal(decode((encode(labels) == 1).astype(float)), labels)


def test_both_sides_of_a_contact_become_background_also_diagonally():
    labels = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 2]])
    assert encode(labels).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_ignored_pixels_stay_ignored():
    labels = np.array([[1, 1, -1], [-1, -1, -1], [2, 2, 2]])
    assert (encode(labels) == -1).sum() == 4


def test_small_components_are_removed_and_ids_have_no_gaps():
    probability = np.zeros((9, 20))
    probability[1:3, 1:3], probability[1:8, 6:12], probability[1:8, 14:19] = 1, 1, 1
    labels = decode(probability, min_area_px=5)
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels.dtype == np.int32


def test_an_empty_image_decodes_to_nothing():
    assert not decode(np.zeros((5, 5))).any()


def brute_force_weight(labels, w0, sigma):
    weight = np.zeros(labels.shape)
    pixels = [np.argwhere(labels == number) for number in np.unique(labels[labels > 0])]
    for y, x in np.argwhere(encode(labels) == 0):
        distances = sorted(np.hypot(*(each - (y, x)).T).min() for each in pixels)
        if len(distances) > 1:
            weight[y, x] = w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return weight


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_weight_map_is_the_papers_formula(seed):
    labels = discs(seed, size=48, number=5)
    found = separation_weight(labels, w0=10, sigma_px=5)
    expected = brute_force_weight(labels, 10, 5)
    np.testing.assert_allclose(found, expected, atol=5e-5)
    assert found.max() > 5


def test_weight_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="sigma_px 0"):
        separation_weight(np.zeros((3, 3), int), w0=1, sigma_px=0)


def test_class_balance_gives_every_class_the_same_total_and_the_mean_one():
    target = np.array([[0] * 6 + [1] * 2 + [-1] * 4])
    weights = class_balance([target], 3)
    assert weights == pytest.approx((8 / 12, 8 / 4, 0))


@pytest.mark.real
def test_real_label_images_come_back(real_data):
    import tifffile

    found = []
    for path in sorted((real_data / "DIC-C2DH-HeLa" / "01_ST" / "SEG").glob("*.tif"))[::12]:
        labels = tifffile.imread(path).astype(np.int32)
        found += list(iou_of_each(labels, decode((encode(labels) == 1).astype(float))))
    assert len(found) > 50
    assert np.mean(found) >= 0.99


def test_cores_grow_into_less_sure_pixels_up_to_each_other():
    row = [0.05, 0.3, 0.9, 0.9, 0.4, 0.2, 0.3, 0.9, 0.3, 0.05]
    probability = np.repeat([row], 4, axis=0)
    labels = decode(probability, threshold=0.8, reach_threshold=0.1)
    assert labels[0].tolist() == [0, 1, 1, 1, 1, 1, 2, 2, 2, 0]
    assert decode(probability, threshold=0.8, reach_threshold=0.8).max() == 2

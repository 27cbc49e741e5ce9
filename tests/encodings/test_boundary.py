import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from ulens.encodings.boundary import decoder, decoding_at, encode


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


def decode(probability, **decoding):
    return decoder(**decoding).decode(np.stack([1 - probability, probability]))


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


def test_on_a_finer_grid_the_border_is_as_wide_as_the_pixels_of_the_network():
    labels = np.repeat([[1] * 6 + [2] * 6], 8, axis=0)
    probability = np.kron(encode(labels) == 1, np.ones((4, 4)))
    fine = decode(probability, **decoding_at((0.25, 0.25)))
    assert np.array_equal(fine, np.kron(labels, np.ones((4, 4))))
    assert decoding_at((1.0, 1.0)) == {}
    assert decoding_at((0.25, 0.5)) == decoding_at((0.25, 0.25))


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


def test_an_ignored_region_makes_no_border_with_an_instance():
    labels = np.array([[1, 1, -1, 2], [1, 1, -1, 2], [1, 1, -1, -1]])
    assert encode(labels).tolist() == [[1, 1, -1, 1], [1, 1, -1, 1], [1, 1, -1, -1]]


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), ignored=st.booleans())
def test_the_border_is_where_another_instance_is_among_the_eight_neighbours(seed, ignored):
    generator = np.random.default_rng(seed)
    labels = generator.integers(-1 if ignored else 0, 4, generator.integers(1, 9, 2))
    expected = np.minimum(labels, 1)
    for y, x in np.argwhere(labels > 0):
        around = labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        expected[y, x] = not ((around > 0) & (around != labels[y, x])).any()
    np.testing.assert_array_equal(encode(labels), expected)


def decode_by_definition(probability, threshold, reach_threshold, min_area_px, grow_px):
    cores, number = ndimage.label(probability > threshold)
    for k in range(1, number + 1):
        if (cores == k).sum() < min_area_px:
            cores[cores == k] = 0
    order = np.append(0, np.unique(cores[cores > 0]))
    instances = np.searchsorted(order, cores)
    if reach_threshold < threshold:
        instances = watershed(-probability, instances, mask=probability > reach_threshold)
    if len(order) < 2:
        return instances
    distances = [ndimage.distance_transform_edt(instances != k) for k in range(1, len(order))]
    nearest, second = np.sort([*distances, np.full(cores.shape, np.inf)], axis=0)[:2]
    y, x = ndimage.distance_transform_edt(
        instances == 0, return_distances=False, return_indices=True
    )
    in_gap = (instances == 0) & (nearest <= grow_px) & (second < 2 * grow_px)
    smooth = ndimage.binary_closing(in_gap | (instances > 0), np.ones((3, 3)))
    in_gap |= smooth & (instances == 0) & (nearest <= grow_px)
    return np.where(in_gap & (grow_px > 0), instances[y, x], instances)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    threshold=st.sampled_from([0.4, 0.6, 0.9]),
    reach_threshold=st.sampled_from([0.1, 0.3, 0.6]),
    min_area_px=st.sampled_from([0, 12]),
    grow_px=st.sampled_from([0, 1.5, 3]),
)
def test_decoding_is_its_definition(seed, threshold, reach_threshold, min_area_px, grow_px):
    noise = np.random.default_rng(seed).standard_normal((44, 50))
    probability = 1 / (1 + np.exp(-20 * ndimage.gaussian_filter(noise, 2.5)))
    found = decode(
        probability,
        threshold=threshold,
        reach_threshold=reach_threshold,
        min_area_px=min_area_px,
        grow_px=grow_px,
    )
    expected = decode_by_definition(probability, threshold, reach_threshold, min_area_px, grow_px)
    np.testing.assert_array_equal(found, expected)
    of_a_half = decode(probability, threshold=threshold, reach_threshold=0.5)
    np.testing.assert_array_equal(decode(probability, threshold=threshold), of_a_half)


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


def test_rough_edges_leave_no_teeth_where_a_gap_opens():
    generator = np.random.default_rng(0)
    core = np.zeros((60, 40))
    for y in range(60):
        core[y, : 15 - y // 12 + generator.integers(0, 2)] = 1
        core[y, 18 + y // 12 - generator.integers(0, 2) :] = 1
    labels = decode(core, grow_px=2.25)
    assert labels.max() == 2
    is_filled = labels > 0
    assert (labels[:10] > 0).all()
    assert not is_filled[-10:, 19:21].any()
    teeth = ndimage.binary_closing(is_filled, np.ones((3, 3))) & ~is_filled
    assert teeth.sum() < 20  # 58 without closing them

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cases import empty, one_pixel, two_touching_discs
from ulens.encodings.boundary import encode
from ulens.encodings.weights import class_balance, falk_weight, separation_weight
from ulens.errors import SettingError


def touching_discs(seed):
    """Discs from 2 to 24 px wide that touch, on (48, 56)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :56]
    labels = np.zeros((48, 56), int)
    for number, radius in enumerate((12, 8, 5, 3, 2, 1), start=1):
        centre_y, centre_x = generator.uniform(0, 48), generator.uniform(0, 56)
        labels[(np.hypot(y - centre_y, x - centre_x) <= radius) & (labels == 0)] = number
    return labels


def a_giant_beside_specks():
    """(40, 60): a cell of 30×40 px, specks in its bay, and one that it touches."""
    labels = np.zeros((40, 60), int)
    labels[5:35, 2:42] = 4
    labels[15:25, 20:42] = 0
    labels[18, 38], labels[21, 30:32], labels[10, 42], labels[30, 55] = 9, 2, 3, 1
    return labels


def partly_ignored():
    labels = touching_discs(1)
    labels[20:30, 10:40] = -1
    return labels


LABELS = [*map(touching_discs, range(4)), a_giant_beside_specks(), partly_ignored()]


def distances_by_definition(labels, number):
    """(N, Y, X) distance of each pixel to the nearest pixel of each instance, in order; ∞ for N+1
    and more."""
    y, x = np.indices(labels.shape)
    each = [np.argwhere(labels == k) for k in np.unique(labels[labels > 0])]
    found = [
        np.min([np.hypot(y - pixel_y, x - pixel_x) for pixel_y, pixel_x in pixels], axis=0)
        for pixels in each
    ]
    return np.sort([*found, *np.full((number, *labels.shape), np.inf)], axis=0)[:number]


@pytest.mark.parametrize("labels", LABELS)
def test_the_separation_weight_is_the_papers_formula(labels):
    d1, d2 = distances_by_definition(labels, 2)
    expected = np.where(encode(labels) == 0, 10 * np.exp(-((d1 + d2) ** 2) / (2 * 5**2)), 0)
    found = separation_weight(labels, w0=10, sigma_px=5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.max() > 5


@pytest.mark.parametrize("labels", LABELS)
def test_the_falk_weight_is_its_formula(labels):
    d1, d2 = distances_by_definition(labels, 2)
    between = 50 * np.exp(-((d1 + d2) ** 2) / (2 * 6**2))
    background = 0.1 + 0.9 * np.exp(-(d1**2) / (2 * 10**2)) + between
    expected = np.choose(encode(labels) + 1, [0, background, 1])
    found = falk_weight(labels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.max() > 30


def test_the_falk_weight_takes_other_settings():
    labels = np.array([[1, 1, 0, 0, 2, 2]] * 3)
    chosen = {"background": 0.5, "decay_sigma_px": 3.0, "w0": 2.0, "sigma_px": 4.0}
    beside = 0.5 + 0.5 * np.exp(-1 / 18) + 2 * np.exp(-9 / 32)
    assert falk_weight(labels, **chosen)[1] == pytest.approx([1, 1, beside, beside, 1, 1])


def test_where_two_instances_touch_the_weight_is_largest():
    weight = separation_weight(two_touching_discs(), w0=10, sigma_px=5)
    assert weight[12, 19] == weight[12, 20] == weight.max()
    assert weight.max() == pytest.approx(10 * np.exp(-1 / 50))
    assert falk_weight(two_touching_discs()).max() == pytest.approx(1 + 50 * np.exp(-1 / 72))


@pytest.mark.parametrize("labels", [empty(), one_pixel()])
def test_without_neighbours_nothing_is_separated(labels):
    assert not separation_weight(labels, w0=10, sigma_px=5).any()
    assert falk_weight(labels).max() <= 1


def test_far_from_all_instances_the_falk_weight_is_that_of_background():
    assert (falk_weight(empty()) == np.float32(0.1)).all()
    labels = np.zeros((5, 90), int)
    labels[2, 0] = 1
    assert falk_weight(labels)[:, -1] == pytest.approx(0.1)


def test_an_ignored_region_separates_nothing_and_weighs_nothing():
    labels = np.array([[1] * 5 + [-1] * 3 + [0] * 4 + [-1] * 2 + [0] * 20] * 8)
    assert not separation_weight(labels, w0=10, sigma_px=5).any()
    falk = falk_weight(labels)
    assert (falk[labels == -1] == 0).all()
    assert (falk[labels == 1] == 1).all()
    alone = np.where(labels == -1, 0, labels)
    np.testing.assert_array_equal(falk[labels == 0], falk_weight(alone)[labels == 0])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"sigma_px": 0}, "sigma_px 0"),
        ({"w0": -1}, "w0 is -1"),
        ({"background": 1.5}, r"background is 1.5, decay_sigma_px 10.0; need 0 <= background"),
        ({"decay_sigma_px": 0}, "decay_sigma_px 0; need .* decay_sigma_px > 0"),
    ],
)
def test_settings_out_of_range_are_refused(chosen, message):
    with pytest.raises(SettingError, match=message):
        falk_weight(one_pixel(), **chosen)


@pytest.mark.parametrize(
    "chosen", [{"background": 0}, {"background": 1}, {"w0": 0}, {"sigma_px": 0.1, "w0": 0.1}]
)
def test_settings_are_taken_up_to_their_limits(chosen):
    falk = falk_weight(one_pixel(), decay_sigma_px=0.1, **chosen)
    assert falk[0, 0] == pytest.approx(chosen.get("background", 0.1))


def test_the_separation_weight_refuses_settings_out_of_range():
    with pytest.raises(SettingError, match=r"w0 is 1, sigma_px 0; need w0 >= 0 and sigma_px > 0"):
        separation_weight(one_pixel(), w0=1, sigma_px=0)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        arrays(np.int16, array_shapes(min_dims=2, max_dims=2), elements=st.integers(-1, 3)),
        min_size=1,
        max_size=3,
    )
)
def test_class_balance_gives_every_class_the_same_total_and_the_mean_one(targets):
    weights = np.array(class_balance(targets, 5))
    annotated = np.concatenate([target[target >= 0] for target in targets])
    classes, counts = np.unique(annotated, return_counts=True)
    assert set(np.flatnonzero(weights)) == set(classes)
    if len(annotated):
        np.testing.assert_allclose(weights[classes] * counts, len(annotated) / len(classes))
        assert weights[annotated].mean() == pytest.approx(1)

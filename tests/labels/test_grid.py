import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulens.labels.grid import labels_at, share_of
from ulens.resample import resample, size_at


def literal(labels, zoom):
    """The rule in slow words: the label of the largest share, ties to the smaller, background last.

    A share within rounding of another counts as equal.
    """
    values = [*sorted(set(np.unique(labels)) - {0}), 0]
    shares = np.stack(
        [resample((labels == v)[None].astype(np.float64), zoom, kernel="box")[0] for v in values]
    )
    return np.array(values)[np.round(shares, 4).argmax(0)]


@given(
    zoom=st.tuples(st.sampled_from([0.25, 0.5, 2 / 3, 1.0, 1.5]), st.sampled_from([0.25, 1.0])),
    labels=st.lists(st.integers(-1, 3), min_size=60, max_size=60),
)
def test_every_pixel_gets_the_label_that_covers_most_of_it(zoom, labels):
    labels = np.array(labels, np.int32).reshape(6, 10)
    found = labels_at(labels, zoom)
    assert found.shape == size_at(labels.shape, zoom)
    np.testing.assert_array_equal(found, literal(labels, zoom))


def test_no_label_is_blended():
    labels = np.array([[1, 1, 9, 9]] * 4)
    assert set(np.unique(labels_at(labels, (0.3, 0.3)))) <= {0, 1, 9}


def test_at_its_own_size_nothing_changes():
    labels = np.random.default_rng(0).integers(-1, 5, (7, 9))
    np.testing.assert_array_equal(labels_at(labels, (1.0, 1.0)), labels)


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0])
def test_shares_of_all_labels_are_one(zoom):
    labels = np.random.default_rng(0).integers(0, 3, (12, 8))
    total = sum(share_of(labels, label, (zoom, zoom)) for label in range(3))
    np.testing.assert_allclose(total, 1, atol=1e-6)
    foreground = share_of(labels, None, (zoom, zoom))
    np.testing.assert_allclose(foreground, 1 - share_of(labels, 0, (zoom, zoom)), atol=1e-6)

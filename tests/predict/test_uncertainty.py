import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ulens.predict.uncertainty import (
    UnsureBox,
    disagreement,
    entropy,
    least_certain_boxes,
    spread_over_images,
)

SHARES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])
"""Few values, so that there are ties."""
MAPS = arrays(np.float32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=SHARES)
NUMBERS = st.integers(1, 12)


@st.composite
def boxes_in(draw, shape):
    spans = []
    for side in shape:
        start = draw(st.integers(0, side - 1))
        spans.append(slice(start, draw(st.integers(start + 1, side))))
    return tuple(spans)


@st.composite
def cases(draw):
    """A map, the side of boxes, and boxes that are taken."""
    uncertainty = draw(MAPS)
    taken = draw(st.lists(boxes_in(uncertainty.shape), max_size=3))
    return uncertainty, draw(st.integers(1, 16)), taken


def find_free(shape, sides, taken):
    """All boxes that overlap none of `taken`, in reading order, one by one."""
    occupied = np.zeros(shape, bool)
    for box in taken:
        occupied[box] = True
    height, width = sides
    boxes = [
        (slice(y, y + height), slice(x, x + width))
        for y in range(shape[0] - height + 1)
        for x in range(shape[1] - width + 1)
    ]
    return [box for box in boxes if not occupied[box].any()]


@given(cases(), NUMBERS)
def test_each_box_is_the_least_certain_of_those_that_are_free(case, number):
    """So they lie in the image, do not overlap, and are ranked."""
    uncertainty, size, taken = case
    sides = [min(size, side) for side in uncertainty.shape]
    found = least_certain_boxes(uncertainty, size, number, taken)
    assert len(found) <= number
    taken = list(taken)
    for box, mean in found:
        free = find_free(uncertainty.shape, sides, taken)
        assert box in free
        assert mean == pytest.approx(uncertainty[box].mean(), abs=1e-6)
        assert mean == pytest.approx(max(uncertainty[each].mean() for each in free), abs=1e-6)
        taken.append(box)
    if len(found) < number:
        assert not find_free(uncertainty.shape, sides, taken)
    means = [each.uncertainty for each in found]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_has_no_box(shape):
    assert least_certain_boxes(np.zeros(shape), 3, 2) == []


def test_where_all_is_certain_boxes_are_found_too():
    found = least_certain_boxes(np.zeros((4, 8)), 4, 5)
    assert [each.box[1].start for each in found] == [0, 4]


@st.composite
def ranked(draw):
    """The boxes of an image, the least certain one first."""
    values = sorted(draw(st.lists(SHARES, max_size=6)), reverse=True)
    return [UnsureBox((slice(0, 1), slice(k, k + 1)), each) for k, each in enumerate(values)]


@given(st.lists(ranked(), max_size=5), NUMBERS)
def test_boxes_of_many_images_are_ranked_and_spread(boxes, number):
    found = spread_over_images(boxes, number)
    assert len(found) == min(number, sum(map(len, boxes)))
    values = [box.uncertainty for _, box in found]
    assert values == sorted(values, reverse=True)
    share = max(1, 2 * number // max(1, sum(map(bool, boxes))))
    chosen = [[box for at, box in found if at == place] for place in range(len(boxes))]
    for own, all_own in zip(chosen, boxes, strict=True):
        assert own == all_own[: len(own)]
    if any(len(own) > share for own in chosen):
        # only where every other image has given its share
        for own, all_own in zip(chosen, boxes, strict=True):
            assert len(own) >= min(share, len(all_own))
    else:
        taken = [box.uncertainty for own in chosen for box in own[:share]]
        left = [b.uncertainty for own, a in zip(chosen, boxes, strict=True)
                for b in a[len(own) : share]]  # fmt: skip
        assert not left or not taken or max(left) <= min(taken)


def test_one_difficult_image_does_not_take_all_ranks():
    def image(value):
        return [UnsureBox((slice(0, 1), slice(k, k + 1)), value) for k in range(10)]

    found = spread_over_images([image(0.1), image(0.9), image(0.2), image(0.3)], 4)
    assert [place for place, _ in found] == [1, 1, 3, 3]


@given(
    st.integers(2, 5).flatmap(
        lambda number: arrays(np.float32, (number, 2, 3), elements=st.floats(0, 1, width=32))
    )
)
def test_the_entropy_is_a_share_of_the_largest(weights):
    probabilities = (weights + 0.01) / (weights + 0.01).sum(axis=0)
    found = entropy(probabilities)
    assert found.shape == (2, 3)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found, entropy(probabilities[::-1]), atol=1e-5)
    even = np.full_like(probabilities, 1 / len(probabilities))
    np.testing.assert_allclose(entropy(even), 1, atol=1e-5)
    assert (found <= entropy((probabilities + even) / 2) + 1e-5).all()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_certainty_has_no_entropy(number):
    certain = np.zeros((number, 1, 2), np.float32)
    certain[0] = 1
    assert not entropy(certain).any()


@given(arrays(np.float32, (8, 2, 2, 3), elements=st.floats(0, 1, width=32)))
def test_views_disagree_as_far_as_they_differ(views):
    found = disagreement(views)
    assert found.shape == (2, 3)
    assert ((found >= 0) & (found <= 1 + 1e-6)).all()
    np.testing.assert_allclose(found, disagreement(views[::-1]), atol=1e-5)
    assert not disagreement(np.repeat(views[:1], 8, axis=0)).max() > 1e-6
    np.testing.assert_allclose(disagreement(views / 2), found / 2, atol=1e-5)


def test_the_map_that_differs_most_counts():
    views = np.zeros((8, 3, 1, 1))
    views[:4, 1], views[:4, 2] = 0.2, 0.6
    assert disagreement(views).item() == pytest.approx(0.6)

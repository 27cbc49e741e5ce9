"""Objects corrected by hand."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ulens.errors import LabelError
from ulens.labels.corrections import fill, merge, remove, split, take_over

SHAPE = 12, 14
images = arrays(np.int32, SHAPE, elements=st.sampled_from([0, 0, 1, 2, 9]))
points = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))


@given(images, st.sampled_from([1, 2, 9]), st.sampled_from([1, 2, 9]))
def test_merged_objects_are_one_and_no_other_changes(labels, first, second) -> None:
    assume(first != second)
    merged = merge(labels, first, second)
    np.testing.assert_array_equal(merged == first, np.isin(labels, [first, second]))
    others = ~np.isin(labels, [first, second])
    np.testing.assert_array_equal(merged[others], labels[others])


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0), (2, 2)])
def test_what_cannot_be_merged_is_told(first, second) -> None:
    with pytest.raises(LabelError, match="click on two objects"):
        merge(np.ones(SHAPE, int), first, second)


@given(images, points, points)
def test_a_split_renames_pixels_of_cut_objects_alone(labels, start, end) -> None:
    try:
        parts = split(labels, start, end)
    except LabelError:
        return
    np.testing.assert_array_equal(parts > 0, labels > 0)
    new = np.setdiff1d(parts, labels)
    assert new.size >= 1
    # each part is of one object, and each object keeps its number
    for number in new:
        assert np.unique(labels[parts == number]).size == 1
    assert set(np.unique(labels)) <= set(np.unique(parts))
    assert new.max() == labels.max() + new.size


@given(st.integers(1, 12), st.integers(0, 13), st.integers(0, 13))
def test_a_line_from_edge_to_edge_makes_two_of_a_square(top, left, right) -> None:
    labels = np.full((14, 14), 3)
    start, end = (0, left), (13, right)
    assume(0 < left < 13)
    assume(0 < right < 13)
    parts = split(labels, start, end)
    assert set(np.unique(parts)) == {3, 4}
    for number in (3, 4):
        assert ndimage.label(parts == number, np.ones((3, 3)))[1] == 1
    assert (parts == 3).sum() >= (parts == 4).sum() - 14  # the line itself goes to either


def test_a_line_that_ends_within_divides_nothing() -> None:
    with pytest.raises(LabelError, match="divides no object"):
        split(np.full((9, 9), 3), (0, 4), (5, 4))


def test_a_line_may_leave_the_image() -> None:
    assert split(np.full((9, 9), 3), (-5, 4), (20, 4)).max() == 4


@given(images)
def test_a_removed_object_is_background(labels) -> None:
    np.testing.assert_array_equal(remove(labels, 9), np.where(labels == 9, 0, labels))
    with pytest.raises(LabelError, match="no object to remove"):
        remove(labels, 0)


@given(images, arrays(np.float32, SHAPE, elements=st.sampled_from([0.0, 0.1, 0.6, 1.0])), points)
def test_filling_adds_one_object_around_the_point(labels, foreground, at) -> None:
    if labels[at] or foreground[at] < 0.05:
        with pytest.raises(LabelError):
            fill(labels, foreground, at)
        return
    filled = fill(labels, foreground, at)
    added = filled != labels
    assert added[at]
    assert (labels[added] == 0).all()
    assert set(np.unique(filled[added])) == {labels.max() + 1}
    assert ndimage.label(added)[1] == 1


def test_filling_closes_holes_but_covers_nothing() -> None:
    foreground = np.zeros(SHAPE)
    foreground[2:9, 2:9] = 0.9
    foreground[4:7, 4:7] = 0.0
    labels = np.zeros(SHAPE, int)
    labels[5, 5] = 7
    filled = fill(labels, foreground, (2, 2))
    assert (filled == 8).sum() == 48
    assert filled[5, 5] == 7


def test_filling_leaves_alone_what_another_object_encloses() -> None:
    labels = np.zeros(SHAPE, int)
    labels[3:6, 3:6] = 7
    labels[4, 4] = 0
    filled = fill(labels, np.full(SHAPE, 0.9), (0, 0))
    assert filled[4, 4] == 0
    assert (filled == 8).sum() == filled.size - 9


@given(images, images)
def test_what_is_taken_over_covers_nothing(labels, draft) -> None:
    taken = take_over(labels, draft)
    np.testing.assert_array_equal(taken[labels > 0], labels[labels > 0])
    for number in np.unique(draft[draft > 0]):
        mine = draft == number
        is_taken = (labels[mine] > 0).sum() <= mine.sum() / 2
        new = np.unique(taken[mine & (labels == 0)])
        assert new.tolist() == ([] if not new.size else [new[0]])
        if new.size:
            assert (new[0] > labels.max()) == is_taken


@given(images, images)
def test_only_chosen_objects_are_taken_over(labels, draft) -> None:
    taken = take_over(labels, draft, np.array([9]))
    assert (taken[(draft != 9) & (labels == 0)] == 0).all()

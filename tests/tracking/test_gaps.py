import numpy as np
import pytest

from ulens.metrics.ctc import seg_scores
from ulens.tracking.gaps import fill_gaps
from ulens.tracking.tracks import track


def draw(*discs, size=(60, 90)):
    """(Y, X) int32 label image of discs (label, y, x, radius)."""
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.zeros(size, np.int32)
    for label, row, column, radius in discs:
        image[(y - row) ** 2 + (x - column) ** 2 < radius**2] = label
    return image


def fill(frames, first_frame=0):
    tracking = track(frames, first_frame=first_frame)
    return fill_gaps(lambda frame: frames[frame - first_frame], tracking)


def test_a_missed_object_is_drawn_between_where_it_was_and_will_be():
    whole = [draw((1, 30, 20 + 4 * t, 8 + t), (2, 12, 70, 9)) for t in range(4)]
    frames = [image.copy() for image in whole]
    for t in (1, 2):
        frames[t][frames[t] == 1] = 0
    filled = fill(frames, first_frame=7)
    assert sorted(filled) == [8, 9]
    for frame, labels in filled.items():
        t = frame - 7
        assert set(np.unique(labels)) == {0, 2, 3}
        assert labels.dtype == np.int32
        assert (labels[whole[t] == 2] == 2).all()
        overlap = (labels == 3) & (whole[t] == 1)
        assert overlap.sum() / ((labels == 3) | (whole[t] == 1)).sum() > 0.85
        frames[t] = labels
    # with them, one track goes through
    again = track(frames, first_frame=7)
    assert [each[1:] for each in again.lineage.tracks] == 2 * [(7, 10, 0)]


def test_an_object_that_was_merged_with_its_neighbour_is_parted_from_it():
    whole = [draw((1, 30, 30 + t, 10), (2, 30, 51 + t, 11)) for t in range(3)]
    frames = [image.copy() for image in whole]
    frames[1][frames[1] == 1] = 2
    (labels,) = fill(frames).values()
    (own,) = set(np.unique(labels)) - {0, 2}
    parted = np.where(labels == own, 1, labels)
    assert (parted != whole[1]).mean() < 0.005
    assert seg_scores([(whole[1], labels)]).seg > 0.95


def test_where_another_object_is_by_now_nothing_is_drawn():
    frames = [
        draw((1, 30, 30, 10)),
        draw((2, 31, 30, 10), (3, 30, 60, 8)),
        draw((1, 30, 30, 10)),
    ]
    # 2 is seen once only, so where its own outline should be is not known
    tracking = track(frames)
    assert fill_gaps(frames.__getitem__, tracking) == {}


def test_without_gaps_there_is_nothing_to_do():
    assert fill([draw((1, 30, 30, 10)), draw((1, 30, 31, 10))]) == {}
    assert fill([draw(), draw(), draw((1, 30, 30, 10))]) == {}


def test_a_division_after_a_gap_is_no_gap():
    frames = [
        draw((1, 30, 40, 14)),
        draw((1, 30, 32, 9), (2, 30, 50, 9)),
        draw((1, 30, 31, 9), (2, 30, 51, 9)),
        draw((1, 30, 31, 9), (2, 30, 51, 9)),
    ]
    assert len(track(frames).lineage.tracks) == 3
    assert fill(frames) == {}


def test_two_that_are_missing_at_once_are_both_drawn():
    frames = [draw((1, 20, 20, 8), (2, 40, 60, 8)) for _ in range(3)]
    frames[1][:] = 0
    ((frame, labels),) = fill(frames).items()
    assert frame == 1
    np.testing.assert_array_equal(labels > 0, frames[0] > 0)
    assert len(np.unique(labels)) == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_objects_at_the_edge_stay_within(dtype):
    frames = [draw((1, 0, 20 + 5 * t, 12)).astype(dtype) for t in range(3)]
    frames[1][:] = 0
    (labels,) = fill(frames).values()
    assert labels.dtype == dtype
    expected = draw((1, 0, 25, 12)) > 0
    assert (labels > 0)[~expected].sum() == 0
    assert (labels > 0).sum() > 0.9 * expected.sum()

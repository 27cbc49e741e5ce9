import numpy as np
import pytest

from ulens.errors import LabelError
from ulens.tracking.lineage import Lineage, Link, Track, check_result, name_frames

DIVISION = Lineage(((1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 2, 1)))


def frames(*rows):
    """One-row label images, numbered from 0."""
    return [(number, np.array([row])) for number, row in enumerate(rows)]


def test_plain_rows_become_tracks():
    assert DIVISION.tracks[1] == Track(label=2, start=2, end=3, parent=1)


def test_parent_links_join_last_and_first_frames():
    assert DIVISION.parent_links() == [Link((1, 1), (2, 2)), Link((1, 1), (2, 3))]


def test_parent_may_end_well_before_its_child_starts():
    assert Lineage(((2, 9, 9, 1), (1, 0, 3, 0))).parent_links() == [Link((3, 1), (9, 2))]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ((1, 0, 3, 0), (1, 5, 6, 0)),
            r"row '1 5 6 0' .* repeats the label of row '1 0 3 0' .*give every track its own label",
        ),
        (((4, 7, 6, 0),), r"row '4 7 6 0' .* ends before it starts; its end must be 7 or later"),
        (
            ((1, 0, 3, 0), (2, 3, 6, 1)),
            r"row '2 3 6 1' .* its parent ends in frame 3; a parent must end before its child",
        ),
        (((1, 0, 3, -1),), r"row '1 0 3 -1' .* has the parent -1; use 0 for none"),
        (((1, 0, 3, 8),), r"row '1 0 3 8' .* has the parent 8, which is no track; add its row"),
        (((0, 0, 3, 0),), r"has the label 0; use labels of 1\.\.\.65535"),
        (((65536, 0, 3, 0),), r"has the label 65536; use labels of 1\.\.\.65535"),
        (((1, -1, 3, 0),), r"starts in frame -1; frames count from 0"),
    ],
)
def test_broken_rules_name_the_row_and_what_is_allowed(rows, message):
    with pytest.raises(LabelError, match=message):
        Lineage(rows)


def test_valid_result_has_no_problems():
    assert check_result(frames([1, 1], [1, 0], [2, 3], [0, 2]), DIVISION) == []


def test_empty_frames_are_allowed():
    assert check_result(frames([0, 0], [1, 0], [0, 0]), Lineage(((1, 1, 1, 0),))) == []


@pytest.mark.parametrize(
    ("masks", "rows", "problem"),
    [
        (frames([1, 7], [1, 7]), ((1, 0, 1, 0),), "label 7 is in the mask of frames 0, 1, but has"),
        (
            frames([1], [1], [1]),
            ((1, 0, 1, 0),),
            "label 1 is in the mask of frame 2, but row '1 0 1 0' (label start end parent) does",
        ),
        (
            frames([1], [0], [1]),
            ((1, 0, 2, 0),),
            "row '1 0 2 0' (label start end parent) has no object in frame 1; end a track before",
        ),
        (frames([1], [0]), ((1, 0, 1, 0),), "has no object in frame 1"),
        (
            frames([1], [1]),
            ((1, 0, 5, 0),),
            "row '1 0 5 0' (label start end parent) leaves the masks, which are of frames 0 to 1",
        ),
        ([(0, np.array([1])), (2, np.array([0]))], ((1, 0, 0, 0),), "no mask of frame 1"),
        ([], (), "there are no masks; write one for every frame"),
    ],
)
def test_disagreements_of_masks_and_rows(masks, rows, problem):
    problems = check_result(masks, Lineage(rows))
    assert len(problems) == 1
    assert problem in problems[0]


def test_each_track_at_fault_is_named():
    problems = check_result(frames([5, 6], [1, 0]), Lineage(((1, 0, 1, 0), (2, 0, 1, 0))))
    assert [problem.split(" (")[0] for problem in problems] == [
        "label 5 is in the mask of frame 0, but has no row; add a row 'label start end parent' "
        "for it",
        "label 6 is in the mask of frame 0, but has no row; add a row 'label start end parent' "
        "for it",
        "row '1 0 1 0'",
        "row '2 0 1 0'",
    ]


def test_many_frames_are_abbreviated():
    assert name_frames(list(range(9))) == "frames 0, 1, 2, 3, 4, 5 and 3 more"

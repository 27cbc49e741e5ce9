import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ulens.annotated.ctc import find_sequences, read_labels, read_lineage
from ulens.errors import LabelError, SettingError, ShapeError
from ulens.metrics.ctc import tracking_scores
from ulens.tracking.lineage import Lineage, check_result
from ulens.tracking.tracks import TrackSettings, track


def rows(*frames):
    """Label images of 4 px × the length of a string, each digit the label of a column."""
    return [np.array([[int(digit) for digit in frame]] * 4) for frame in frames]


def follow(frames, **options):
    """Track, check the rules, and return the rows of the lineage and the relabelled images."""
    tracking = track(frames, TrackSettings(**options))
    masks = [tracking.relabel(number, frame) for number, frame in enumerate(frames)]
    if frames:
        assert check_result(enumerate(masks), tracking.lineage) == []
    return [tuple(each) for each in tracking.lineage.tracks], masks


def columns(masks):
    return ["".join(map(str, mask[0])) for mask in masks]


def test_two_moving_cells_keep_their_tracks_whatever_their_labels():
    lineage, masks = follow(rows("1111002222", "0555500333", "0022220055"))
    assert lineage == [(1, 0, 2, 0), (2, 0, 2, 0)]
    assert columns(masks) == ["1111002222", "0111100222", "0011110022"]
    assert masks[0].dtype == np.uint16


def test_labels_that_swap_between_touching_cells():
    lineage, masks = follow(rows("00111222", "00222111", "00111222"))
    assert lineage == [(1, 0, 2, 0), (2, 0, 2, 0)]
    assert columns(masks) == ["00111222"] * 3


def test_assignment_is_best_in_sum_where_the_largest_overlap_would_be_wrong():
    # the first cell moves over more than half of the second, which moves on
    lineage, masks = follow(rows("1111112222220000", "0000333333444444"), max_distance=1.5)
    assert columns(masks)[1] == "0000111111222222"
    assert len(lineage) == 2


def test_division_begins_two_tracks_with_one_parent():
    lineage, masks = follow(rows("0111111000", "0222333000", "0333022200"))
    assert lineage == [(1, 0, 0, 0), (2, 1, 2, 1), (3, 1, 2, 1)]
    assert columns(masks)[2] == "0222033300"


def test_second_division_has_its_own_parent():
    frames = rows(*["0111111110"] * 2, *["0111122220"] * 4, *["0113322220"] * 2)
    lineage, _ = follow(frames)
    assert lineage == [(1, 0, 1, 0), (2, 2, 5, 1), (3, 2, 7, 1), (4, 6, 7, 2), (5, 6, 7, 2)]


def test_unequal_pieces_and_cells_that_only_came_near_are_no_daughters():
    unequal = rows("011111111", "022222230", "022222230")
    assert follow(unequal)[0] == [(1, 0, 2, 0), (2, 1, 2, 0)]
    assert follow(unequal, min_sister_ratio=0.1)[0][0] == (1, 0, 0, 0)
    newcomer = rows("1111000000", "1111222200", "1111222200")
    assert follow(newcomer)[0] == [(1, 0, 2, 0), (2, 1, 2, 0)]


def test_cell_that_keeps_its_size_has_not_divided():
    frames = rows("0111111000", "0111111222", "0111111222")
    assert follow(frames, min_daughter_overlap=0)[0] == [(1, 0, 2, 0), (2, 1, 2, 0)]


def test_piece_of_a_moment_is_a_slip_and_not_a_daughter():
    whole, split = "0111111110", "0222233330"
    frames = rows(whole, split, whole, whole, whole, whole)
    assert follow(frames)[0] == [(1, 0, 5, 0), (2, 1, 1, 0)]
    divided = follow(frames, min_daughter_frames=1)[0]
    assert (2, 1, 5, 1) in divided
    assert (3, 1, 1, 1) in divided


def test_daughters_at_the_end_of_the_sequence_are_believed():
    assert len(follow(rows("0111111110", "0222233330"))[0]) == 3


def test_gap_begins_a_new_track_with_the_old_one_as_parent():
    frames = rows("011110", "000000", "000000", "003333")
    assert follow(frames)[0] == [(1, 0, 0, 0), (2, 3, 3, 1)]
    assert follow(frames, max_gap=2)[0] == [(1, 0, 0, 0), (2, 3, 3, 1)]
    assert follow(frames, max_gap=1)[0] == [(1, 0, 0, 0), (2, 3, 3, 0)]
    assert follow(frames, max_gap=0)[0] == [(1, 0, 0, 0), (2, 3, 3, 0)]


def test_division_may_be_missed_while_it_happens():
    frames = rows("0111111110", "0000000000", "0222233330", "0222233330")
    assert follow(frames)[0] == [(1, 0, 0, 0), (2, 2, 3, 1), (3, 2, 3, 1)]


def test_cells_that_merge_and_part_are_the_cells_of_before():
    apart, merged = "0111112222", "0333333333"
    lineage, masks = follow(rows(apart, apart, merged, apart, apart, apart))
    assert [columns(masks)[i] for i in (0, 3)] == ["0111112222", "0111113333"]
    assert lineage == [(1, 0, 5, 0), (2, 0, 1, 0), (3, 3, 5, 2)]


def test_leaving_object_and_a_new_one_elsewhere_are_not_linked():
    frames = rows("110000000000", "000000000000", "000000000033")
    assert follow(frames)[0] == [(1, 0, 0, 0), (2, 2, 2, 0)]


def test_empty_frames():
    assert follow([])[0] == []
    assert follow(rows("0000", "0000"))[0] == []
    assert follow(rows("0000", "0110", "0000"))[0] == [(1, 1, 1, 0)]
    assert follow([np.zeros((0, 0), int)] * 2)[0] == []


def test_one_pixel_objects_that_move_by_their_size():
    frames = [np.zeros((5, 5), int) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame[2, 1 + number] = 7 - number
        frame[0, 0] = 1
    assert follow(frames)[0] == [(1, 0, 2, 0), (2, 0, 2, 0)]
    assert len(follow(frames, max_distance=0.5)[0]) == 4


def test_equal_labels_of_distant_objects_are_not_linked():
    assert len(follow(rows("110000000000", "000000000011"))[0]) == 2


def test_frames_are_taken_one_by_one_and_numbered_from_the_first():
    frames = rows("0110", "0220")
    tracking = track(iter(frames), first_frame=50)
    assert tracking.lineage == Lineage(((1, 50, 51, 0),))
    masks = [(number, tracking.relabel(number, frames[number - 50])) for number in (50, 51)]
    assert check_result(masks, tracking.lineage) == []


def test_large_labels_of_any_integer_type():
    for dtype in (np.uint64, np.int64, np.uint8):
        frame = np.array([[0, np.iinfo(dtype).max // 2, 0]], dtype)
        assert track([frame]).relabel(0, frame).tolist() == [[0, 1, 0]]


def test_other_images_than_those_that_were_tracked_are_an_error():
    tracking = track(rows("0110"), first_frame=3)
    with pytest.raises(LabelError, match=r"frame 3 holds the label 2, which it did not .*the same"):
        tracking.relabel(3, rows("0120")[0])
    with pytest.raises(LabelError, match=r"frame 4 was not tracked, only 3 to 3 were; give these"):
        tracking.relabel(4, rows("0110")[0])


def test_frames_must_be_alike_and_of_two_dimensions():
    with pytest.raises(ShapeError, match=r"frame 1 has shape \(4, 3\); .*here \(4, 4\); "):
        track(rows("0110", "011"))
    with pytest.raises(ShapeError, match=r"frame 0 has shape \(2, 4, 4\); .*slice by slice"):
        track([np.zeros((2, 4, 4), int)])


@pytest.mark.parametrize("image", [np.zeros((3, 3)), np.full((3, 3), -1), np.eye(3, dtype=bool)])
def test_labels_must_be_whole_numbers(image):
    with pytest.raises(LabelError, match=r"frame 1 is of type .*need whole numbers from 0"):
        track([np.zeros((3, 3), int), image])


def test_more_tracks_than_have_a_number_are_an_error():
    frame = np.arange(1, 257 * 256 + 1).reshape(257, 256)
    with pytest.raises(LabelError, match=r"1 frames make 65792 tracks; at most 65535 .*remove sma"):
        track([frame])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_distance": 0}, "max_distance is 0; need a positive number of cell diameters"),
        ({"max_distance": float("nan")}, "max_distance is nan; need"),
        ({"max_gap": -1}, "max_gap is -1; need 0 frames or more"),
        ({"min_daughter_frames": 0}, "min_daughter_frames is 0; need 1 frames or more"),
        ({"min_daughter_overlap": 1.5}, r"min_daughter_overlap is 1\.5; choose one of 0\.\.\.1"),
        ({"min_sister_ratio": -0.1}, r"min_sister_ratio is -0\.1; choose one of 0\.\.\.1"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(SettingError, match=message):
        TrackSettings(**options)


@st.composite
def sequences(draw):
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 6)))
    frame = hnp.arrays(np.int32, shape, elements=st.integers(0, 4))
    return draw(st.lists(frame, min_size=1, max_size=7))


@given(
    sequences(),
    st.builds(
        TrackSettings,
        max_distance=st.floats(0.1, 3),
        max_gap=st.integers(0, 4),
        min_daughter_overlap=st.floats(0, 1),
        min_sister_ratio=st.floats(0, 1),
        min_daughter_frames=st.integers(1, 4),
    ),
)
@settings(max_examples=150, deadline=None)
def test_any_frames_give_a_valid_result_of_the_same_objects(frames, options):
    tracking = track(frames, options)
    masks = [tracking.relabel(number, frame) for number, frame in enumerate(frames)]
    assert check_result(enumerate(masks), tracking.lineage) == []
    for frame, mask in zip(frames, masks, strict=True):
        pairs = {(int(a), int(b)) for a, b in zip(frame.ravel(), mask.ravel(), strict=True)}
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
        assert all((a == 0) == (b == 0) for a, b in pairs)


@given(sequences(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_tracks_do_not_depend_on_the_size_of_labels(frames, random):
    values = sorted(random.sample(range(1, 60000), 4))
    renamed = [np.array([0, *values])[frame] for frame in frames]
    assert track(renamed).lineage == track(frames).lineage


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "num_frames", "tra", "lnk"),
    [("DIC-C2DH-HeLa", 50, 0.975, 0.96), ("PhC-C2DH-U373", 40, 0.998, 0.99)],
)
def test_real_cells_are_followed(real_data, name, num_frames, tra, lnk):
    (sequence,) = find_sequences(real_data / name)
    random = np.random.default_rng(0)
    frames = []
    for annotation in sequence.silver.segmentation[:num_frames]:
        labels = read_labels(annotation.path)
        order = np.concatenate([[0], 1 + random.permutation(int(labels.max()))])
        frames.append(order[labels][::2, ::2])
    tracking = track(frames)
    masks = [tracking.relabel(number, frame) for number, frame in enumerate(frames)]
    assert check_result(enumerate(masks), tracking.lineage) == []
    markers = (read_labels(sequence.gold.markers[n])[::2, ::2] for n in range(num_frames))
    scores = tracking_scores(
        zip(markers, masks, strict=True), read_lineage(sequence.gold.lineage), tracking.lineage
    )
    assert scores.tra >= tra
    assert scores.lnk is not None
    assert scores.lnk >= lnk

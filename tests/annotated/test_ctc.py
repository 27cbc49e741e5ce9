from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from ulens.annotated.ctc import (
    find_result,
    find_sequences,
    find_truth,
    read_labels,
    read_lineage,
    write_lineage,
    write_result,
)
from ulens.errors import FileError, LabelError, OutputError, ShapeError
from ulens.tracking.lineage import Lineage, check_result

NUMBERS = st.integers(-2, 7).map(str) | st.sampled_from(
    ["9" * 5000, "1" * 10, "+1", "1_0", "", "٣"]
)
ROWS = st.lists(NUMBERS, min_size=3, max_size=5).map(" ".join) | st.text(max_size=9)
LINEAGE = Lineage(((1, 0, 3, 0), (12, 4, 9, 1), (3, 4, 4, 1)))


@pytest.fixture
def put(tmp_path):
    """Write empty label images below the folder, by name."""

    def write(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, np.zeros((4, 5), np.uint16))
        return tmp_path

    return write


def test_lineage_is_read_as_it_was_written(tmp_path):
    write_lineage(tmp_path / "res_track.txt", LINEAGE)
    assert (tmp_path / "res_track.txt").read_bytes() == b"1 0 3 0\n3 4 4 1\n12 4 9 1\n"
    assert sorted(read_lineage(tmp_path / "res_track.txt").tracks) == sorted(LINEAGE.tracks)


def test_empty_lineage_is_read_as_it_was_written(tmp_path):
    write_lineage(tmp_path / "res_track.txt", Lineage(()))
    assert read_lineage(tmp_path / "res_track.txt") == Lineage(())


def test_tabs_blank_lines_and_byte_order_marks_are_read(tmp_path):
    path = tmp_path / "man_track.txt"
    path.write_bytes(b"\xef\xbb\xbf1\t0\t3\t0\r\n\r\n 3  4 4 1 \r\n")
    assert read_lineage(path).tracks == ((1, 0, 3, 0), (3, 4, 4, 1))


@pytest.mark.parametrize("row", ["1 2 3", "1 2 3 0 5", "1 2 3 x", "1 2 3.5 0", "1 2 1000000000 0"])
def test_rows_that_are_not_four_numbers_are_named(tmp_path, row):
    path = tmp_path / "res_track.txt"
    path.write_text(f"1 0 0 0\n{row}\n")
    with pytest.raises(FileError, match=rf"res_track.txt has '{row}' in line 2; need four whole"):
        read_lineage(path)


@settings(max_examples=100, deadline=None)
@given(content=st.lists(ROWS, max_size=4).map("\n".join).map(str.encode) | st.binary(max_size=40))
def test_any_text_is_a_lineage_or_refused_in_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("tracks") / "res_track.txt"
    path.write_bytes(content)
    try:
        lineage = read_lineage(path)
    except (FileError, LabelError) as error:
        assert str(path) in str(error)  # noqa: PT017
        assert len(str(error)) < 1000  # noqa: PT017
    else:
        write_lineage(path, lineage)
        assert sorted(read_lineage(path).tracks) == sorted(lineage.tracks)


def test_broken_rule_names_the_file(tmp_path):
    path = tmp_path / "res_track.txt"
    path.write_text("1 3 0 0\n")
    with pytest.raises(LabelError, match=r"res_track.txt: row '1 3 0 0' .* ends before it starts"):
        read_lineage(path)


def test_missing_lineage_is_an_error(tmp_path):
    with pytest.raises(FileError, match=r"res_track.txt cannot be read .* rows 'label start end"):
        read_lineage(tmp_path / "res_track.txt")


def test_lineage_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be written .* choose another folder"):
        write_lineage(tmp_path / "missing" / "res_track.txt", LINEAGE)


RESULT = Lineage(((1, 0, 1, 0), (65535, 2, 2, 1)))
MASKS = [np.array([[0, label]] * 3) for label in (1, 1, 65535)]


def test_result_is_read_as_it_was_written(tmp_path):
    write_result(tmp_path / "new" / "01_RES", enumerate(MASKS), RESULT)
    result = find_result(tmp_path / "new" / "01_RES")
    assert [path.name for path in result.masks.values()] == [f"mask00{i}.tif" for i in range(3)]
    for path, mask in zip(result.masks.values(), MASKS, strict=True):
        assert read_labels(path).dtype == np.uint16
        assert (read_labels(path) == mask).all()
    assert read_lineage(result.lineage) == RESULT


def test_result_has_the_digits_of_its_images_and_replaces_an_old_one(tmp_path):
    for _ in range(2):
        write_result(tmp_path, ((i, mask) for i, mask in enumerate(MASKS)), RESULT, num_digits=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mask0000.tif",
        "mask0001.tif",
        "mask0002.tif",
        "res_track.txt",
    ]


def test_stacks_are_written_as_stacks(tmp_path):
    stack = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2
    write_result(tmp_path, [(0, stack)], Lineage(((1, 0, 0, 0),)))
    assert (read_labels(tmp_path / "mask000.tif") == stack).all()


def test_invalid_result_gets_no_tracks(tmp_path):
    write_result(tmp_path, enumerate(MASKS), RESULT)
    with pytest.raises(LabelError, match=r"no valid result:\n- row '65535 2 2 1' .* no object in"):
        write_result(tmp_path, enumerate([*MASKS[:2], MASKS[0] * 0]), RESULT)
    assert find_result(tmp_path).lineage is None


def test_masks_of_an_earlier_result_are_an_error(tmp_path):
    write_result(tmp_path, enumerate(MASKS), RESULT)
    with pytest.raises(OutputError, match=r"holds masks of frame 2 from an earlier .*; delete"):
        write_result(tmp_path, enumerate(MASKS[:2]), Lineage(((1, 0, 1, 0),)))


@pytest.mark.parametrize("mask", [np.full((2, 2), 65536), np.full((2, 2), -1), np.ones((2, 2))])
def test_labels_that_16_bits_cannot_hold_are_an_error(tmp_path, mask):
    with pytest.raises(LabelError, match=r"mask000.tif are .*the file holds whole numbers of 0"):
        write_result(tmp_path, [(0, mask)], RESULT)


def test_result_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file cannot be written .* choose another folder"):
        write_result(tmp_path / "file", enumerate(MASKS), RESULT)
    (tmp_path / "01_RES" / "mask001.tif").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"mask001.tif cannot be written .* choose another"):
        write_result(tmp_path / "01_RES", enumerate(MASKS), RESULT)


def test_data_set_is_recognized(put):
    folder = put(
        "01/t000.tif",
        "01/t001.tif",
        "01/other.tif",
        "01_GT/SEG/man_seg001.tif",
        "01_GT/TRA/man_track000.tif",
        "01_ST/SEG/man_seg000.tif",
        "02/t0000.tif",
        "03_GT/SEG/man_seg000.tif",
    )
    first, second = find_sequences(folder)
    assert (first.name, second.name) == ("01", "02")
    assert first.frames == {0: folder / "01/t000.tif", 1: folder / "01/t001.tif"}
    assert first.gold.segmentation == [(1, None, folder / "01_GT/SEG/man_seg001.tif")]
    assert first.gold.markers == {0: folder / "01_GT/TRA/man_track000.tif"}
    assert first.gold.lineage is None
    assert [each.frame for each in first.silver.segmentation] == [0]
    assert second.frames == {0: folder / "02/t0000.tif"}
    assert second.gold.segmentation == []


def test_other_folders_are_no_data_set(put):
    assert find_sequences(put("images/t000.tif", "t000.tif")) == []
    assert find_sequences(put() / "missing") == []


def test_slices_and_four_digits_are_read_from_names(put):
    folder = put(
        "SEG/man_seg_002_012.tif", "SEG/man_seg_002_003.tif", "SEG/man_seg1000.tif", "SEG/x.tif"
    )
    found = [(each.frame, each.z) for each in find_truth(folder).segmentation]
    assert found == [(2, 3), (2, 12), (1000, None)]


def test_result_lists_masks_in_order_of_their_numbers(put):
    folder = put("mask0999.tif", "mask1000.tif", "mask0001.tif", "raw0001.tif")
    assert list(find_result(folder).masks) == [1, 999, 1000]
    assert find_result(folder).lineage is None
    write_lineage(folder / "res_track.txt", LINEAGE)
    assert find_result(folder).lineage == folder / "res_track.txt"


def test_two_files_of_one_number_are_an_error(put):
    folder = put("mask001.tif", "mask0001.tif")
    with pytest.raises(FileError, match=r"mask0001.tif and .*mask001.tif carry one number; keep"):
        find_result(folder)
    folder = put("SEG/man_seg001.tif", "SEG/man_seg0001.tif")
    with pytest.raises(FileError, match="carry one number"):
        find_truth(folder)


def test_labels_must_be_whole_numbers_of_one_stack(tmp_path):
    tifffile.imwrite(tmp_path / "f.tif", np.zeros((4, 5), np.float32))
    with pytest.raises(FileError, match=r"f.tif holds float32 pixels; labels are whole numbers"):
        read_labels(tmp_path / "f.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(ShapeError, match=r"c.tif has the axes CYX \(3, 4, 5\); need one \(Y, X\)"):
        read_labels(tmp_path / "c.tif")
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((2, 4, 5), np.uint16))
    assert read_labels(tmp_path / "z.tif").shape == (2, 4, 5)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DIC-C2DH-HeLa", SimpleNamespace(sequence="01", frames=84, gold=9, silver=84)),
        ("PhC-C2DH-U373", SimpleNamespace(sequence="02", frames=60, gold=13, silver=60)),
    ],
)
def test_real_truth_is_found_and_agrees_with_its_tracks(real_data, name, expected):
    (sequence,) = find_sequences(real_data / name)
    assert sequence.name == expected.sequence
    assert len(sequence.frames) == len(sequence.gold.markers) == expected.frames
    assert len(sequence.gold.segmentation) == expected.gold
    assert len(sequence.silver.segmentation) == expected.silver
    masks = ((frame, read_labels(path)) for frame, path in sequence.gold.markers.items())
    assert check_result(masks, read_lineage(sequence.gold.lineage)) == []

"""Data sets of the Cell Tracking Challenge become samples."""

import numpy as np
import pytest
import tifffile

from ulens.annotated.samples import read_annotated
from ulens.errors import DataError, FileError, LabelError, PairingError, SettingError, ShapeError

LEFT, RIGHT = np.s_[2:8, 2:8], np.s_[2:8, 12:18]
KNOWN = np.s_[4:6, 14:16]


def cells(**ids):
    """(16, 24): cells of the given ids at LEFT and RIGHT, a small marker inside RIGHT."""
    label = np.zeros((16, 24), np.uint16)
    for place, number in ids.items():
        label[{"left": LEFT, "right": RIGHT, "marker": KNOWN}[place]] = number
    return label


def put(folder, files):
    """Write arrays as TIFF files by their names."""
    for name, array in files.items():
        path = folder / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, array, photometric="minisblack", metadata=None)
    return folder


@pytest.fixture
def data_set(tmp_path):
    """Sequence 01: frame 0 silver, 1 gold with one cell of two, 2 both gold, 3 without truth."""
    frames = {f"01/t{k:03d}": np.full((16, 24), k, np.uint8) for k in range(4)}
    return put(
        tmp_path / "DIC",
        frames
        | {
            "01_ST/SEG/man_seg000": cells(left=5, right=9),
            "01_ST/SEG/man_seg001": cells(left=5, right=9),
            "01_GT/SEG/man_seg001": cells(left=3),
            "01_GT/SEG/man_seg002": cells(left=3, right=300),
            "01_GT/TRA/man_track001": cells(left=5, marker=9),
        },
    )


def test_gold_counts_before_silver_and_the_rest_is_ignored(data_set):
    annotated = read_annotated(data_set)
    assert annotated.labels_are == "instances"
    assert annotated.class_values == (0, 1)
    assert annotated.unpaired == []
    names = [sample.name for sample in annotated.samples]
    assert names == ["01/t000", "01/t001", "01/t002"]
    silver, partial, gold = annotated.samples
    np.testing.assert_array_equal(silver.label, cells(left=1, right=2))
    np.testing.assert_array_equal(partial.label, cells(left=1) - 1 * (cells(right=1) > 0))
    np.testing.assert_array_equal(gold.label, cells(left=1, right=2))
    assert all(sample.label.dtype == np.int32 for sample in annotated.samples)
    assert [sample.is_silver for sample in annotated.samples] == [True, False, False]
    assert {sample.sequence for sample in annotated.samples} == {"01"}
    np.testing.assert_array_equal(gold.image, np.full((1, 16, 24), 2, np.uint8))


def test_the_reading_tells_what_was_found(data_set):
    assert read_annotated(data_set).reading == (
        "Cell Tracking Challenge, sequence 01: 2 frames with gold truth, 1 with silver alone; "
        "1 cell without outline ignored (1 in 01/t001); 1 frame without truth left out"
    )
    put(
        data_set,
        {
            "02/t0000": cells(),
            "02_GT/SEG/man_seg0000": cells(left=1),
            "02_GT/TRA/man_track0000": cells(left=1, marker=2),
        },
    )
    assert read_annotated(data_set).reading == (
        "Cell Tracking Challenge, sequences 01, 02: 3 frames with gold truth, 1 with silver alone; "
        "2 cells without outline ignored (1 in 01/t001, 1 in 02/t0000); 1 frame without truth left "
        "out"
    )


def test_the_reading_names_the_frames_that_ignore_most(tmp_path):
    for k in range(8):
        markers = cells(left=1, marker=2)
        markers[14, ::4] = np.arange(6) + 10 if k == 7 else 0
        put(
            tmp_path,
            {
                f"01/t{k:03d}": cells(),
                f"01_ST/SEG/man_seg{k:03d}": cells(left=1),
                f"01_GT/TRA/man_track{k:03d}": markers,
            },
        )
    assert read_annotated(tmp_path).reading == (
        "Cell Tracking Challenge, sequence 01: 0 frames with gold truth, 8 with silver alone; "
        "14 cells without outline ignored (7 in 01/t007, 1 in 01/t000, 1 in 01/t001, "
        "1 in 01/t002, 1 in 01/t003, 1 in 01/t004, 2 in 2 more)"
    )


def test_a_sequence_is_read_with_the_truth_beside_it(data_set, monkeypatch):
    put(data_set, {"02/t000": cells(), "02_GT/SEG/man_seg000": cells(left=1)})
    names = [sample.name for sample in read_annotated(data_set / "02").samples]
    assert names == ["02/t000"]
    monkeypatch.chdir(data_set / "01")
    names = [sample.name for sample in read_annotated(".").samples]
    assert names == ["01/t000", "01/t001", "01/t002"]


def test_two_folders_are_paired_as_ever(data_set):
    annotated = read_annotated(data_set / "01", data_set / "01_GT" / "SEG")
    assert [sample.name for sample in annotated.samples] == ["t001", "t002"]
    assert annotated.samples[0].sequence is None
    assert annotated.samples[0].label.min() == 0


def test_a_single_cell_in_pieces_is_one_instance(tmp_path):
    put(tmp_path, {"01/t000": cells(), "01_GT/SEG/man_seg000": cells(left=4, right=4)})
    assert read_annotated(tmp_path).samples[0].label.max() == 1


def test_sequences_of_different_sizes_are_read(data_set):
    put(data_set, {"02/t000": cells()[:12], "02_GT/SEG/man_seg000": cells(left=1)[:12]})
    shapes = [sample.label.shape for sample in read_annotated(data_set).samples]
    assert shapes == [(16, 24)] * 3 + [(12, 24)]


def test_truth_of_missing_frames_is_unpaired(data_set):
    put(data_set, {"01_GT/SEG/man_seg007": cells(left=1), "01_ST/SEG/man_seg007": cells(left=1)})
    annotated = read_annotated(data_set)
    assert len(annotated.samples) == 3
    assert annotated.unpaired == [
        data_set / "01_GT/SEG/man_seg007.tif",
        data_set / "01_ST/SEG/man_seg007.tif",
    ]
    assert read_annotated(data_set, frames="0-3").unpaired == []


@pytest.fixture
def two_sequences(tmp_path):
    """Frames 0-3 and 10 of sequence 01 and 5-6 of 02, with gold truth; frame 3 of 01 without."""
    for sequence, numbers in (("01", (0, 1, 2, 3, 10)), ("02", (5, 6))):
        for k in numbers:
            put(tmp_path, {f"{sequence}/t{k:03d}": cells()})
            if (sequence, k) != ("01", 3):
                put(tmp_path, {f"{sequence}_GT/SEG/man_seg{k:03d}": cells(left=1)})
    return tmp_path


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("01:0-1", "01/t000 01/t001"),
        ("02:6, 01:2", "01/t002 02/t006"),
        ("01:2-10,02:5,6", "01/t002 01/t010 02/t005 02/t006"),
        ("01:0;02:5", "01/t000 02/t005"),
        ("01:0,0-1,3", "01/t000 01/t001"),
    ],
)
def test_frames_are_chosen_by_the_numbers_in_their_names(two_sequences, frames, expected):
    annotated = read_annotated(two_sequences, frames=frames)
    assert [sample.name for sample in annotated.samples] == expected.split()


def test_of_one_sequence_numbers_are_enough(two_sequences):
    for frames in ("2-10", "01:2-10"):
        samples = read_annotated(two_sequences / "01", frames=frames).samples
        assert [sample.name for sample in samples] == ["01/t002", "01/t010"]


THERE_ARE = r"there is sequence 01 with frames 0-10; sequence 02 with frames 5-6"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("0-2", rf"'0-2' is no selection of frames; write .* such as 01:0-9,12; {THERE_ARE}"),
        ("01:2-1", rf"'01:2-1' is no selection of frames; .*{THERE_ARE}"),
        ("01:", r"'01:' is no selection of frames"),
        ("1:0-2", r"'1:0-2' is no selection of frames"),
        ("03:0", rf"'03:0' asks for sequence 03; {THERE_ARE}"),
        ("01:0-11", rf"'01:0-11' asks for frame 11 of 01; {THERE_ARE}"),
        ("01:0,02:4", rf"'01:0,02:4' asks for frame 4 of 02; {THERE_ARE}"),
        ("01:4-9", r"'01:4-9' asks for frame 9 of 01"),
        (
            "01:3",
            r"frames '01:3' have neither gold nor silver truth; there is truth of sequence "
            r"01, frames 0, 1, 2, 10; sequence 02, frames 5, 6",
        ),
    ],
)
def test_frames_that_are_not_there_are_refused(two_sequences, frames, message):
    with pytest.raises(SettingError, match=message):
        read_annotated(two_sequences, frames=frames)


def test_a_data_set_without_truth_is_refused(tmp_path):
    put(tmp_path, {"01/t000": cells(), "01_GT/TRA/man_track000": cells(left=1)})
    with pytest.raises(PairingError, match=r"\(01\) without truth; training needs 01_GT/SEG or 01"):
        read_annotated(tmp_path)


def test_frames_without_their_truth_are_refused(tmp_path):
    put(tmp_path, {"01/t000": cells(), "01_GT/SEG/man_seg001": cells(left=1)})
    with pytest.raises(
        SettingError, match=r"the frames have neither .*; there is truth of no frame"
    ):
        read_annotated(tmp_path)


def test_truth_without_any_cell_is_refused(tmp_path):
    put(tmp_path, {"01/t000": cells(), "01_GT/SEG/man_seg000": cells()})
    with pytest.raises(LabelError, match="holds only the value 0"):
        read_annotated(tmp_path)


def test_volumes_are_refused(tmp_path):
    put(tmp_path / "a", {"01/t000": cells(), "01_GT/SEG/man_seg_000_003": cells(left=1)})
    with pytest.raises(DataError, match=r"truth of sequence 01 in .*a is 3-D; ulens is for 2-D im"):
        read_annotated(tmp_path / "a")
    stack = np.stack([cells(left=1)] * 3)
    put(tmp_path / "b", {"01/t000": stack, "01_GT/SEG/man_seg000": stack})
    with pytest.raises(DataError, match=r"t000.tif holds 3 planes: it is 3-D; ulens is for 2-D"):
        read_annotated(tmp_path / "b")


@pytest.mark.parametrize("kind", ["GT/SEG/man_seg000", "ST/SEG/man_seg000", "GT/TRA/man_track000"])
def test_labels_of_another_size_are_refused(tmp_path, kind):
    put(tmp_path, {"01/t000": cells(), "01_GT/SEG/man_seg000": cells(left=1)})
    put(tmp_path, {f"01_{kind}": cells(left=1)[:12]})
    with pytest.raises(ShapeError, match=rf"t000.tif is 16×24 pixels, its label .*{kind[7:]}.* 12"):
        read_annotated(tmp_path)


def test_damaged_labels_are_named(data_set):
    (data_set / "01_ST/SEG/man_seg001.tif").write_bytes(b"II*\0")
    with pytest.raises(FileError, match=r"man_seg001.tif cannot be read"):
        read_annotated(data_set)


def test_settings_that_do_not_fit_are_refused(data_set):
    with pytest.raises(SettingError, match="labels_are is 'classes', but truth of the Cell"):
        read_annotated(data_set, labels_are="classes")
    with pytest.raises(SettingError, match="ignore is 7, but truth of the Cell Tracking"):
        read_annotated(data_set, ignore=7)
    assert len(read_annotated(data_set, labels_are="instances").samples) == 3


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "frames", "found"),
    [
        ("DIC-C2DH-HeLa", None, "9 frames with gold truth, 75 with silver alone; 80 cells"),
        ("DIC-C2DH-HeLa", "01:0-49", "7 frames with gold truth, 43 with silver alone; 12 cells"),
        (
            "PhC-C2DH-U373",
            None,
            "13 frames with gold truth, 47 with silver alone; 2 cells without outline ignored "
            "(1 in 02/t026, 1 in 02/t051)",
        ),
        ("PhC-C2DH-U373/02", "0-39", "8 frames with gold truth, 32 with silver alone; 1 cell "),
        ("Fluo-N2DH-SIM+", None, "12 frames with gold truth, 0 with silver alone"),
    ],
)
def test_real_data_sets_are_read(real_data, name, frames, found):
    annotated = read_annotated(real_data / name, frames=frames)
    assert found in annotated.reading
    assert annotated.spacing_um is not None


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "frame", "num_gold", "num_ignored", "share"),
    [
        ("DIC-C2DH-HeLa", 5, 10, 0, (0, 0)),
        ("DIC-C2DH-HeLa", 67, 3, 15, (0.5, 0.65)),
        ("PhC-C2DH-U373", 22, 5, 0, (0, 0)),
        ("PhC-C2DH-U373", 26, 5, 1, (0.005, 0.01)),
        ("PhC-C2DH-U373", 51, 6, 1, (0.005, 0.01)),
    ],
)
def test_real_gold_frames_ignore_what_they_leave_out(
    real_data, name, frame, num_gold, num_ignored, share
):
    annotated = read_annotated(real_data / name, frames=str(frame))
    label = annotated.samples[0].label
    assert label.max() == num_gold
    told = f"{num_ignored} cell{'s' if num_ignored > 1 else ''} without outline ignored"
    assert (told in annotated.reading) == (num_ignored > 0)
    assert share[0] <= (label == -1).mean() <= share[1]
    sequence = annotated.samples[0].sequence
    truth = real_data / name / f"{sequence}_GT"
    gold = tifffile.imread(truth / f"SEG/man_seg{frame:03d}.tif")
    markers = tifffile.imread(truth / f"TRA/man_track{frame:03d}.tif")
    np.testing.assert_array_equal(label > 0, gold > 0)
    on_background = [
        number for number in np.unique(markers)[1:] if (label[markers == number] == 0).mean() > 0.5
    ]
    assert on_background == []

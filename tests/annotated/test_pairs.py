"""Images find their labels in every layout that data sets come in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulens.annotated.pairs import find_pairs
from ulens.errors import FileError, PairingError
from ulens.io.reading import Reading


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(images: Path, labels: Path | None = None) -> list[tuple[str, str]]:
    return [(pair.image.name, pair.label.name) for pair in find_pairs(images, labels).pairs]


def test_equal_stems_in_two_folders(tmp_path):
    touch(tmp_path, "a/2.tif", "a/10.tif", "b/2.png", "b/10.png")
    assert found(tmp_path / "a", tmp_path / "b") == [("2.tif", "2.png"), ("10.tif", "10.png")]


@pytest.mark.parametrize("suffix", ["_mask", "_masks", "_label", "_labels", "_seg", "_cp_masks"])
def test_suffixes(tmp_path, suffix):
    touch(tmp_path, "a/x.tif", "a/y.tif", f"b/x{suffix}.png", f"b/y{suffix}.png")
    expected = [("x.tif", f"x{suffix}.png"), ("y.tif", f"y{suffix}.png")]
    assert found(tmp_path / "a", tmp_path / "b") == expected
    together = touch(tmp_path / "c", "x.tif", "y.tif", f"x{suffix}.png", f"y{suffix}.png")
    assert found(together) == expected
    assert found(together, together) == expected


@pytest.mark.parametrize("image_folder", ["image", "images", "Images"])
@pytest.mark.parametrize("label_folder", ["label", "labels", "mask", "masks", "Labels"])
def test_sibling_folders(tmp_path, image_folder, label_folder):
    touch(tmp_path, f"{image_folder}/1.png", f"{label_folder}/1.png")
    assert found(tmp_path) == [("1.png", "1.png")]
    assert found(tmp_path / image_folder) == [("1.png", "1.png")]
    label = find_pairs(tmp_path / image_folder / "1.png").pairs[0].label
    assert label == tmp_path / label_folder / "1.png"


def test_sibling_of_the_working_folder(tmp_path, monkeypatch):
    touch(tmp_path, "images/1.png", "labels/1.png")
    monkeypatch.chdir(tmp_path / "images")
    assert found(Path()) == [("1.png", "1.png")]


def test_equal_numbers(tmp_path):
    touch(tmp_path, "a/t002.tif", "a/t010.tif", "b/man_seg2.tif", "b/man_seg10.tif")
    expected = [("t002.tif", "man_seg2.tif"), ("t010.tif", "man_seg10.tif")]
    assert found(tmp_path / "a", tmp_path / "b") == expected


def test_image_and_label_with_numbers_in_one_folder(tmp_path):
    touch(tmp_path, "image_001.png", "label_001.png", "image_002.png", "label_002.png")
    expected = [("image_001.png", "label_001.png"), ("image_002.png", "label_002.png")]
    assert found(tmp_path) == expected


def test_one_stack_and_one_label_stack(tmp_path):
    touch(tmp_path, "a/volume.tif", "b/truth.tif")
    expected = [("volume.tif", "truth.tif")]
    assert found(tmp_path / "a" / "volume.tif", tmp_path / "b" / "truth.tif") == expected
    assert found(tmp_path / "a", tmp_path / "b") == expected


def test_the_isbi_files_in_one_folder(tmp_path):
    touch(tmp_path, "train-volume.tif", "train-labels.tif", "test-volume.tif")
    pairing = find_pairs(tmp_path)
    assert found(tmp_path) == [("train-volume.tif", "train-labels.tif")]
    assert [path.name for path in pairing.unpaired] == ["test-volume.tif"]


@pytest.mark.parametrize(
    ("image", "label"), [("1.bmp", "1.png"), ("1.jpg", "1.tif"), ("1.tif", "1.png")]
)
def test_two_formats_in_one_folder(tmp_path, image, label):
    touch(tmp_path, image, label)
    assert found(tmp_path) == [(image, label)]


def test_ome_tiff_names(tmp_path):
    touch(tmp_path, "a/x.ome.tif", "b/x.png")
    touch(tmp_path, "a/y.ome.tif", "b/y.png")
    assert found(tmp_path / "a", tmp_path / "b")[0] == ("x.ome.tif", "x.png")


def test_one_image_finds_its_label_beside_it(tmp_path):
    touch(tmp_path, "x.tif", "x_mask.tif", "y.tif", "y_mask.tif")
    pairing = find_pairs(tmp_path / "y.tif")
    assert [pair.label.name for pair in pairing.pairs] == ["y_mask.tif"]
    assert pairing.unpaired == []


def test_one_image_with_a_folder_of_labels_does_not_report_the_others(tmp_path):
    touch(tmp_path, "a/x.tif", "b/x.tif", "b/y.tif")
    pairing = find_pairs(tmp_path / "a" / "x.tif", tmp_path / "b")
    assert [pair.label.name for pair in pairing.pairs] == ["x.tif"]
    assert pairing.unpaired == []


def test_unpaired_files_of_both_kinds_are_reported(tmp_path):
    touch(tmp_path, "a/1.png", "a/2.png", "b/2.png", "b/3.png")
    pairing = find_pairs(tmp_path / "a", tmp_path / "b")
    assert pairing.unpaired == [tmp_path / "a" / "1.png", tmp_path / "b" / "3.png"]


def test_equal_stems_win_over_words_in_names(tmp_path):
    touch(tmp_path, "a/x.png", "a/raw_x.png", "b/x.png", "b/raw_x.png")
    assert found(tmp_path / "a", tmp_path / "b") == [
        ("raw_x.png", "raw_x.png"),
        ("x.png", "x.png"),
    ]


def test_a_paired_image_takes_no_second_label(tmp_path):
    touch(tmp_path, "a/x.png", "b/x.png", "b/x_mask.png")
    pairing = find_pairs(tmp_path / "a", tmp_path / "b")
    assert [pair.label.name for pair in pairing.pairs] == ["x.png"]
    assert [path.name for path in pairing.unpaired] == ["x_mask.png"]


def test_no_pairs_lists_what_was_seen_and_tried(tmp_path):
    touch(tmp_path, "a/cat.png", "a/cow.png", "b/dog.png")
    message = (
        r"saw cat\.png, cow\.png as images in .*a and dog\.png as label images in .*b; tried "
        r"equal names.*_mask, _masks, _label, _labels or _seg, equal numbers.*image or images with "
        r"label, labels, mask or masks; rename the files"
    )
    with pytest.raises(PairingError, match=message):
        find_pairs(tmp_path / "a", tmp_path / "b")


def test_no_labels_anywhere(tmp_path):
    touch(tmp_path, "images/cat.png", "images/cow.png")
    with pytest.raises(
        PairingError, match="nothing as label images there and in folders beside it"
    ):
        find_pairs(tmp_path / "images")
    with pytest.raises(PairingError, match=r"no image has a label image"):
        find_pairs(tmp_path / "images" / "cat.png")


def test_no_label_for_one_image(tmp_path):
    touch(tmp_path, "cat.png", "cow.png", "cow_mask.png")
    with pytest.raises(PairingError, match=r"no label image found for .*cat\.png.*give the label"):
        find_pairs(tmp_path / "cat.png")


def test_label_that_fits_two_images_is_refused(tmp_path):
    touch(tmp_path, "a/x.png", "a/x.tif", "b/x_mask.png")
    with pytest.raises(PairingError, match=r"label .*x_mask\.png fits 2 images: x\.png, x\.tif"):
        find_pairs(tmp_path / "a", tmp_path / "b")


def test_image_that_fits_two_labels_is_refused(tmp_path):
    touch(tmp_path, "a/x.png", "b/x_mask.png", "b/x_seg.png")
    with pytest.raises(PairingError, match=r"image .*x\.png fits 2 labels: x_mask\.png, x_seg"):
        find_pairs(tmp_path / "a", tmp_path / "b")


def test_two_label_folders_are_refused(tmp_path):
    touch(tmp_path, "images/x.png", "labels/x.png", "masks/x.png")
    with pytest.raises(PairingError, match=r"several folders .*images, labels, masks; say which"):
        find_pairs(tmp_path)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(FileError, match="gone does not exist"):
        find_pairs(tmp_path / "gone")
    touch(tmp_path, "a/x.png", "b/notes.txt")
    with pytest.raises(FileError, match=r"no images in .*holds notes\.txt"):
        find_pairs(tmp_path / "a", tmp_path / "b")


@given(st.sets(st.integers(0, 999), min_size=1, max_size=8))
def test_every_image_gets_the_label_of_its_number(tmp_path_factory, numbers):
    folder = tmp_path_factory.mktemp("pairs")
    for number in numbers:
        touch(folder, f"a/scan{number:03d}.png", f"b/truth-{number}.png")
    pairs = find_pairs(folder / "a", folder / "b").pairs
    assert len(pairs) == len(numbers)
    for pair in pairs:
        assert int(pair.image.stem.removeprefix("scan")) == int(
            pair.label.stem.removeprefix("truth-")
        )


@pytest.mark.real
@pytest.mark.parametrize(
    ("images", "num_pairs"),
    [("isbi2012/train", 20), ("dsb2018", 41), ("dsb2018/images", 41), ("wbc", 100)],
)
def test_real_data_sets_pair_fully(real_data, images, num_pairs):
    pairing = find_pairs(real_data / images)
    assert len(pairing.pairs) == num_pairs
    assert pairing.unpaired == []
    assert all(pair.image.stem == pair.label.stem for pair in pairing.pairs)


@pytest.mark.real
def test_real_labels_are_the_png_files_of_wbc(real_data):
    assert all(pair.label.suffix == ".png" for pair in find_pairs(real_data / "wbc").pairs)


@pytest.mark.real
def test_real_frames_of_the_cell_tracking_challenge(real_data):
    folder = real_data / "DIC-C2DH-HeLa"
    pairing = find_pairs(folder / "01", folder / "01_GT" / "SEG")
    assert len(pairing.pairs) == 9
    assert len(pairing.unpaired) == 75
    assert found(folder / "01", folder / "01_GT" / "SEG")[0] == ("t002.tif", "man_seg002.tif")


def test_probabilities_belong_to_the_segmentation_beside_them(tmp_path):
    touch(tmp_path, "a/t01.tif", "a/t01_probabilities.tif", "b/man_seg01.tif")
    pairing = find_pairs(tmp_path / "a", tmp_path / "b")
    assert [(pair.image.name, pair.label.name) for pair in pairing.pairs] == [
        ("t01.tif", "man_seg01.tif")
    ]
    assert pairing.unpaired == []
    touch(tmp_path, "c/vol.tif", "c/vol_probabilities.tif", "d/truth.tif")
    assert found(tmp_path / "c", tmp_path / "d") == [("vol.tif", "truth.tif")]


def test_probabilities_alone_are_a_prediction(tmp_path):
    touch(tmp_path, "a/x_probabilities.tif", "b/truth.tif")
    assert found(tmp_path / "a", tmp_path / "b") == [("x_probabilities.tif", "truth.tif")]


@pytest.mark.parametrize("suffix", [".zip", ".roi", ".geojson", ".json", ".ZIP"])
def test_outlines_are_labels(tmp_path, suffix):
    touch(tmp_path, "a/x.tif", "a/y.tif", f"b/x{suffix}", f"b/y_RoiSet{suffix}")
    expected = [("x.tif", f"x{suffix}"), ("y.tif", f"y_RoiSet{suffix}")]
    assert found(tmp_path / "a", tmp_path / "b") == expected
    assert found(tmp_path / "a" / "x.tif", tmp_path / "b" / f"x{suffix}") == expected[:1]
    beside = touch(tmp_path / "c", "x.tif", "y.tif", f"x{suffix}", f"y_RoiSet{suffix}")
    assert found(beside) == found(beside, beside) == expected
    assert found(beside / "y.tif") == expected[1:]


def test_outlines_in_sibling_folders(tmp_path):
    touch(tmp_path, "images/1.png", "labels/1.geojson")
    assert found(tmp_path) == found(tmp_path / "images") == [("1.png", "1.geojson")]


def test_label_images_go_before_outlines(tmp_path):
    touch(tmp_path, "a/x.tif", "b/x.tif", "b/x.zip")
    assert found(tmp_path / "a", tmp_path / "b") == [("x.tif", "x.tif")]
    assert found(touch(tmp_path / "c", "x.tif", "x_mask.png", "x.json")) == [
        ("x.tif", "x_mask.png")
    ]


def test_other_zip_and_json_files_among_images_are_no_labels(tmp_path):
    touch(tmp_path, "x.tif", "y.tif", "x.zip", "settings.json", "download.zip")
    pairing = find_pairs(tmp_path)
    assert [pair.label.name for pair in pairing.pairs] == ["x.zip"]
    assert [path.name for path in pairing.unpaired] == ["y.tif"]


@pytest.mark.parametrize("suffix", [".nd2", ".czi", ".lif"])
def test_beside_a_file_of_a_microscope_the_other_is_the_label(tmp_path, suffix):
    touch(tmp_path, f"a{suffix}", "a.tif", f"b{suffix.upper()}", "b.png")
    assert found(tmp_path) == [(f"a{suffix}", "a.tif"), (f"b{suffix.upper()}", "b.png")]


def joined(images: Path, labels: Path | None = None, axes: str | None = None):
    """The pairs with all files of each image, and what is told."""
    pairing = find_pairs(images, labels, reading=Reading(axes=axes))
    names = [
        ([file.name for file in pairing.found.files(pair.image)], pair.label.name)
        for pair in pairing.pairs
    ]
    return names, pairing


@pytest.mark.parametrize(
    "label", ["{}", "{}_mask", "{}_ch00", "{}_ch01", "{}_ch00_mask", "mask_{}", "{}_ch01_label"]
)
@pytest.mark.parametrize("stems", [["a"], ["cell_1", "cell_2"], ["x-1", "x-2", "y-10"]])
def test_channels_beside_each_other_have_one_label(tmp_path, label, stems):
    touch(tmp_path / "images", *(f"{stem}_ch0{i}.tif" for stem in stems for i in (0, 1)))
    touch(tmp_path / "labels", *(f"{label.format(stem)}.png" for stem in stems))
    names, pairing = joined(tmp_path)
    expected = [
        ([f"{stem}_ch00.tif", f"{stem}_ch01.tif"], f"{label.format(stem)}.png") for stem in stems
    ]
    assert names == expected
    assert pairing.unpaired == []
    assert "taken for channels of one image" in pairing.notes[0]


@pytest.mark.parametrize("pattern", ["{}_c{}", "{}_ch{}", "{}_w{}", "C{1}-{0}"])
def test_files_with_a_label_each_are_images_of_their_own(tmp_path, pattern):
    stems = [pattern.format(stem, i) for stem in "ab" for i in (1, 2)]
    touch(tmp_path / "images", *(f"{stem}.tif" for stem in stems))
    touch(tmp_path / "labels", *(f"{stem}_mask.png" for stem in stems))
    names, pairing = joined(tmp_path)
    assert sorted(names) == sorted(([f"{stem}.tif"], f"{stem}_mask.png") for stem in stems)
    (note,) = pairing.notes
    assert note.endswith("have a label each")


def test_axes_without_c_pair_each_channel_alone(tmp_path):
    touch(tmp_path / "images", "a_ch00.tif", "a_ch01.tif")
    touch(tmp_path / "labels", "a_ch00.tif")
    names, pairing = joined(tmp_path, axes="YX")
    assert names == [(["a_ch00.tif"], "a_ch00.tif")]
    assert [path.name for path in pairing.unpaired] == ["a_ch01.tif"]


def test_channels_with_two_labels_by_two_names_are_told(tmp_path):
    touch(tmp_path / "images", "a_ch00.tif", "a_ch01.tif")
    touch(tmp_path / "labels", "a.png", "a_ch00.png")
    with pytest.raises(PairingError, match=r"a_ch00\.tif, with the channels beside it, fits 2"):
        joined(tmp_path)


def test_predictions_are_never_joined(tmp_path):
    touch(tmp_path / "a", "x_ch00.tif", "x_ch01.tif")
    touch(tmp_path / "b", "x_ch00.tif", "x_ch01.tif")
    assert found(tmp_path / "a", tmp_path / "b") == [("x_ch00.tif",) * 2, ("x_ch01.tif",) * 2]

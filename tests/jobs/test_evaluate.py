import json

import numpy as np
import pytest
from imageio.v3 import imread

import cases
from ulens.errors import (
    DataError,
    LabelError,
    OutputError,
    PairingError,
    SettingError,
    ShapeError,
)
from ulens.image import Image
from ulens.io.rois import write_rois
from ulens.io.tiff import write_tiff
from ulens.jobs.evaluate import evaluate
from ulens.metrics.membrane import isbi2012

CELLS = np.full((12, 16), 255, np.uint8)
CELLS[:, 7] = CELLS[5] = 0


@pytest.fixture
def folders(tmp_path):
    """Two empty folders, for truth and prediction."""
    for name in ("truth", "predicted"):
        (tmp_path / name).mkdir()
    return tmp_path / "truth", tmp_path / "predicted"


def fill(folder, images, axes="YX"):
    for name, pixels in images.items():
        write_tiff(folder / f"{name}.tif", Image(data=pixels, axes=axes))


def fill_with_membranes(folders, num_images=2):
    """Write truth and masks, and graded probabilities of class 1; return the latter."""
    truth, predicted = folders
    rng = np.random.default_rng(0)
    foregrounds = []
    for i in range(num_images):
        noise = rng.uniform(-0.2, 0.2, CELLS.shape)
        foregrounds.append(np.where(CELLS, 0.7 + noise, 0.3 + noise).astype(np.float32))
        both = np.stack([1 - foregrounds[i], foregrounds[i]])
        fill(truth, {f"s{i}": CELLS})
        fill(predicted, {f"s{i}": (foregrounds[i] > 0.5).astype(np.uint8)})
        fill(predicted, {f"s{i}_probabilities": both}, axes="CYX")
    return foregrounds


def test_probabilities_beside_masks_give_the_membrane_measures(folders):
    foregrounds = fill_with_membranes(folders)
    found = evaluate(*folders)
    expected = isbi2012([CELLS, CELLS], foregrounds)
    assert set(found.scores) == {"isbi2012", "semantic"}
    assert found.scores["isbi2012"]["v_rand"] == expected.v_rand
    assert found.scores["isbi2012"]["v_rand_threshold"] == expected.v_rand_threshold
    assert found.scores["isbi2012"]["warping_error"] == expected.warping_error
    assert found.per_image["s1"]["isbi2012"]["v_info"] == expected.v_info_per_slice[1]
    assert found.notes == [
        "truth: 2 label images hold {0, 255}: two classes, 255 = foreground",
        "instances not computed: the truth holds classes; ask for it to compare their connected "
        "regions",
    ]


def test_masks_alone_are_scored_with_a_warning(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": CELLS // 255})
    found = evaluate(*folders)
    assert found.scores["isbi2012"]["v_rand"] == 1.0
    assert any("from masks, which leave no threshold" in note for note in found.notes)


def test_probabilities_that_only_some_images_have_are_not_used(folders):
    fill_with_membranes(folders)
    (folders[1] / "s1_probabilities.tif").unlink()
    assert any("from masks" in note for note in evaluate(*folders).notes)


def test_a_prediction_may_itself_hold_probabilities(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": np.where(CELLS, 0.8, 0.25).astype(np.float32)})
    found = evaluate(*folders)
    assert found.scores["semantic"]["mean_iou"] == 1.0
    assert found.scores["isbi2012"]["v_rand_threshold"] == pytest.approx(0.3)


def test_a_stack_is_scored_slice_by_slice(tmp_path):
    stack = np.stack([CELLS, CELLS, CELLS])
    foreground = np.where(stack, 0.9, 0.15).astype(np.float32)
    both = np.stack([1 - foreground, foreground], axis=1)
    fill(tmp_path, {"labels": stack, "volume": stack}, axes="TYX")
    fill(tmp_path, {"volume_probabilities": both}, axes="TCYX")
    found = evaluate(tmp_path / "labels.tif", tmp_path / "volume.tif")
    assert found.num_images == 3
    assert found.scores["isbi2012"]["v_rand"] == 1.0
    assert found.scores["isbi2012"]["v_rand_threshold"] == pytest.approx(0.2)
    assert list(found.per_image) == ["labels_t000", "labels_t001", "labels_t002"]


def test_classes_are_pooled_over_images(folders):
    fill(folders[0], {"a": np.array([[0, 128, 255, 255]], np.uint8)})
    fill(folders[0], {"b": np.array([[0, 0, 0, 128]], np.uint8)})
    fill(folders[1], {"a": np.array([[0, 128, 255, 0]], np.uint8)})
    fill(folders[1], {"b": np.array([[0, 0, 0, 128]], np.uint8)})
    found = evaluate(*folders)
    assert set(found.scores) == {"semantic"}
    assert found.scores["semantic"]["iou_class_0"] == 4 / 5
    assert found.scores["semantic"]["iou_class_255"] == 1 / 2
    assert found.scores["semantic"]["dice_class_128"] == 1.0
    assert found.per_image["b"]["semantic"]["mean_iou"] == 1.0
    assert "isbi2012 not computed: the truth must hold two classes, membrane and cell interior" in (
        found.notes
    )


@pytest.mark.parametrize(
    "predicted",
    [
        [[0, 0, 255, 255]],  # the truth's values
        [[0, 0, 1, 1]],  # class indices
        [[1, 1, 2, 2]],  # two other values, the lower one background
        [[0, 0, 5, 9]],  # ids, which all are foreground
    ],
)
def test_two_classes_are_recognized_in_every_coding(folders, predicted):
    fill(folders[0], {"a": np.array([[0, 0, 255, 255]], np.uint8)})
    fill(folders[1], {"a": np.array(predicted, np.uint8)})
    assert evaluate(*folders, measures=["semantic"]).scores["semantic"]["mean_iou"] == 1.0


def test_instances_are_matched(folders):
    labels = cases.three_in_a_row()
    fill(folders[0], {"a": labels.astype(np.uint16), "b": cases.two_touching_discs()})
    found_two = np.where((labels == 0) | (labels == 3), 0, labels + 4)
    fill(folders[1], {"a": found_two, "b": cases.two_touching_discs()})
    found = evaluate(*folders)
    assert set(found.scores) == {"instances"}
    assert found.scores["instances"]["AP@0.50"] == pytest.approx((2 / 3 + 1) / 2)
    assert found.scores["instances"]["num_missed@0.50"] == 1
    assert found.per_image["a"]["instances"]["AP@0.50"] == pytest.approx(2 / 3)
    assert any(note.startswith("semantic not computed") for note in found.notes)


def test_instances_can_be_compared_as_foreground(folders):
    labels = {"a": cases.three_in_a_row(), "b": cases.two_touching_discs()}
    fill(folders[0], labels)
    fill(folders[1], {name: (label > 0).astype(np.uint8) for name, label in labels.items()})
    found = evaluate(*folders, measures=["semantic"])
    assert found.scores["semantic"]["mean_iou"] == 1.0


def test_masks_can_be_compared_as_instances(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": CELLS})
    found = evaluate(*folders, measures=["instances"])
    assert found.scores["instances"]["num_matched@0.50"] == 4
    assert any("connected regions count as objects" in note for note in found.notes)


def test_frames_count_the_truth(folders):
    for i in range(5):
        fill(folders[0], {f"s{i}": np.roll(CELLS, i, axis=1)})
    fill(folders[1], {"s3": np.roll(CELLS, 3, axis=1), "s4": CELLS})
    found = evaluate(*folders, frames="3", measures=["semantic"])
    assert list(found.per_image) == ["s3"]
    assert found.scores["semantic"]["mean_iou"] == 1.0


def test_ignored_pixels_are_left_out(folders):
    truth = CELLS.copy()
    truth[:2] = 77
    predicted = CELLS.copy()
    predicted[:2] = 0
    fill(folders[0], {"a": truth})
    fill(folders[1], {"a": predicted})
    found = evaluate(*folders, ignore=77)
    assert found.scores["semantic"]["mean_iou"] == 1.0
    assert found.scores["isbi2012"]["pixel_error"] == 0.0


def test_files_without_partner_are_named(folders):
    fill(folders[0], {"a": CELLS, "b": CELLS})
    fill(folders[1], {"a": CELLS, "c": CELLS})
    notes = evaluate(*folders).notes
    assert "left out, 1 of 2 truth files have no prediction: b.tif" in notes
    assert "left out, no truth for c.tif" in notes


def test_a_slice_without_cells_keeps_the_other_measures(folders):
    fill(folders[0], {"a": CELLS, "b": 0 * CELLS})
    fill(folders[1], {"a": CELLS, "b": 0 * CELLS})
    found = evaluate(*folders)
    assert set(found.scores) == {"semantic"}
    assert "isbi2012 not computed: the truth of b holds no cell interior" in found.notes


def test_truth_and_prediction_without_any_object_agree(folders):
    fill(folders[0], {"a": 0 * CELLS})
    fill(folders[1], {"a": 0 * CELLS})
    assert evaluate(*folders, measures=["instances"]).scores["instances"]["AP"] == 1.0


def test_an_object_where_there_is_none_is_counted(folders):
    fill(folders[0], {"a": 0 * CELLS})
    fill(folders[1], {"a": cases.one_pixel().repeat(2, 0)[:12].repeat(2, 1)[:, :16]})
    assert evaluate(*folders).scores["semantic"]["iou_class_1"] == 0.0


def test_json_holds_all_fields(folders):
    fill_with_membranes(folders)
    found = evaluate(*folders)
    read = json.loads(found.to_json())
    assert read["scores"] == found.scores
    assert read["per_image"] == found.per_image
    assert read["notes"] == found.notes
    assert read["num_images"] == 2


def test_sizes_that_differ_name_both_files(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": CELLS[:, :9]})
    with pytest.raises(ShapeError, match=r"a\.tif is 12×16 pixels, its prediction .* 12×9"):
        evaluate(*folders)


def test_probabilities_of_another_size_are_named(folders):
    fill_with_membranes(folders, num_images=1)
    fill(folders[1], {"s0_probabilities": np.zeros((2, 12, 9), np.float32)}, axes="CYX")
    with pytest.raises(ShapeError, match=r"its prediction .*s0_probabilities\.tif 12×9"):
        evaluate(*folders)


def test_numbers_of_planes_that_differ_are_named(tmp_path):
    fill(tmp_path, {"labels": np.stack([CELLS] * 3)}, axes="TYX")
    fill(tmp_path, {"volume": np.stack([CELLS] * 2)}, axes="TYX")
    with pytest.raises(ShapeError, match=r"labels\.tif has 3 planes .*volume\.tif 2 \(axes TYX"):
        evaluate(tmp_path / "labels.tif", tmp_path / "volume.tif")


def test_values_beyond_probabilities_are_named(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": np.full(CELLS.shape, 2.5, np.float32)})
    with pytest.raises(DataError, match=r"a\.tif holds values from 2\.5 to 2\.5; probabilities"):
        evaluate(*folders)


def test_classes_that_the_truth_lacks_are_named(folders):
    fill(folders[0], {"a": np.array([[0, 128, 255, 255]], np.uint8)})
    fill(folders[1], {"a": np.array([[0, 128, 77, 255]], np.uint8)})
    with pytest.raises(LabelError, match=r"a\.tif holds the value 77, which is no class of the tr"):
        evaluate(*folders)


def test_color_label_images_are_named(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": np.stack([CELLS, CELLS, 0 * CELLS])}, axes="CYX")
    with pytest.raises(LabelError, match=r"a\.tif is a color image with 3 different channels"):
        evaluate(*folders)


def test_a_measure_that_the_files_do_not_allow_is_an_error_when_asked_for(folders):
    labels = cases.three_in_a_row()
    fill(folders[0], {"a": labels})
    fill(folders[1], {"a": labels})
    with pytest.raises(DataError, match="isbi2012 cannot be computed: the truth must hold two cl"):
        evaluate(*folders, measures=["isbi2012"], labels_are="instances")


def test_unknown_measures_are_named(folders):
    fill(folders[0], {"a": CELLS})
    fill(folders[1], {"a": CELLS})
    with pytest.raises(SettingError, match="'dice' is unknown; choose of isbi2012, semantic, inst"):
        evaluate(*folders, measures=["dice"])


def test_scores_are_written_to_a_new_file_alone(folders, tmp_path):
    for folder in folders:
        fill(folder, {"a": CELLS})
    found = evaluate(*folders, json=tmp_path / "scores.json")
    assert (tmp_path / "scores.json").read_text(encoding="utf-8") == found.to_json()
    with pytest.raises(OutputError, match=r"scores\.json exists; choose another name$"):
        evaluate(*folders, json=tmp_path / "scores.json")


def test_frames_without_prediction_are_named(folders):
    fill(folders[0], {"a": CELLS, "b": CELLS})
    fill(folders[1], {"a": CELLS})
    with pytest.raises(PairingError, match=r"frames '1' select b\.tif, which have no prediction"):
        evaluate(*folders, frames="1")


@pytest.mark.real
def test_the_truth_of_real_membranes_scores_one(real_data, tmp_path):
    labels = sorted((real_data / "isbi2012" / "train" / "label").iterdir())[:2]
    for file in labels:
        foreground = (imread(file) / 255 * 0.8 + 0.1).astype(np.float32)
        fill(tmp_path, {file.stem: foreground})
    found = evaluate(labels[0].parent, tmp_path, frames="0-1")
    assert found.scores["isbi2012"]["v_rand"] == pytest.approx(1, abs=1e-3)
    assert found.scores["isbi2012"]["pixel_error"] == 0.0
    assert found.scores["semantic"]["mean_iou"] == 1.0


@pytest.mark.parametrize("measure", ["semantic", "instances"])
@pytest.mark.parametrize("ids", [(5, 9), (70, 9), (1, 255)])
def test_the_same_cells_with_other_ids_score_one(folders, ids, measure):
    labels = cases.two_touching_discs()
    fill(folders[0], {"a": labels.astype(np.uint16)})
    fill(folders[1], {"a": cases.renumbered(labels, ids).astype(np.uint16)})
    found = evaluate(*folders, measures=[measure])
    assert found.notes[0] == (
        "truth: 1 label image holds 2 ids: instances, since truth and predictions hold other values"
    )
    assert found.scores[measure].get("AP", 1) == found.scores[measure].get("mean_iou", 1) == 1


def test_two_cells_alone_do_not_tell(folders):
    for folder in folders:
        fill(folder, {"a": cases.two_touching_discs().astype(np.uint16)})
    with pytest.raises(LabelError, match=r"truth such as .* may be classes or inst.*--labels-"):
        evaluate(*folders)
    assert evaluate(*folders, labels_are="instances").scores["instances"]["AP"] == 1
    assert evaluate(*folders, labels_are="classes").scores["semantic"]["mean_iou"] == 1


@pytest.mark.parametrize("predicted", [(20, 220), (0, 255), (1, 2)])
def test_one_reading_of_a_mask_holds_for_all_measures(folders, predicted):
    mask = np.sign(cases.cells(0))
    fill(folders[0], {"a": (255 * mask).astype(np.uint8)})
    fill(folders[1], {"a": np.array(predicted, np.uint8)[mask]})
    found = evaluate(*folders, measures=["isbi2012", "semantic", "instances"])
    assert found.scores["isbi2012"]["v_rand"] == found.scores["semantic"]["mean_iou"] == 1
    assert found.scores["instances"]["AP"] == 1


def test_ids_count_as_foreground_and_as_objects_of_a_mask(folders):
    labels = cases.two_touching_discs()
    fill(folders[0], {"a": np.sign(labels).astype(np.uint8)})
    fill(folders[1], {"a": cases.renumbered(labels, (20, 220)).astype(np.uint8)})
    found = evaluate(*folders, measures=["semantic", "instances"])
    assert found.scores["semantic"]["mean_iou"] == 1
    assert found.scores["instances"]["num_extra@0.50"] == 1  # half of the region


def test_maps_and_images_given_as_predictions_are_refused(folders):
    labels = cases.cells(0)
    fill(folders[0], {"a": (255 * np.sign(labels)).astype(np.uint8)})
    for grey in (cases.probabilities(labels), cases.picture(labels, 0)):
        fill(folders[1], {"a": grey})
        with pytest.raises(LabelError, match=r"predictions such as .*a\.tif hold .* grey values"):
            evaluate(*folders)


def test_soft_edges_of_predictions_are_cut_and_said(folders):
    fill(folders[0], {"a": (255 * np.sign(cases.cells(0))).astype(np.uint8)})
    fill(folders[1], {"a": cases.through_jpeg(255 * np.sign(cases.cells(0)), 90)})
    found = evaluate(*folders)
    assert found.scores["semantic"]["mean_iou"] == 1
    assert any("predictions: 1 label image holds {0, 255}" in note for note in found.notes)


def test_a_folder_against_itself_is_said_in_words_of_evaluation(folders):
    fill(folders[0], {"a": CELLS})
    for path in (folders[0], folders[0] / "a.tif"):
        with pytest.raises(PairingError, match=r"truth and predictions are both .*with itself"):
            evaluate(path, path)


def test_truth_and_prediction_are_called_so_when_none_fit(folders):
    fill(folders[0], {"cat": CELLS, "cow": CELLS})
    fill(folders[1], {"dog": CELLS})
    message = r"no prediction has a truth: saw dog\.tif as predictions in .*cow\.tif as truths in"
    with pytest.raises(PairingError, match=message):
        evaluate(*folders)


def test_pairs_by_numbers_are_noted(folders):
    fill(folders[0], {"truth1": CELLS, "truth2": CELLS})
    fill(folders[1], {"mine2": CELLS, "mine1": CELLS})
    assert evaluate(*folders).notes[0].startswith("names differ, so files were paired by the numb")


def test_a_bad_file_does_not_keep_the_others_from_being_scored(folders, ulens):
    fill(folders[0], {"a": CELLS, "b": CELLS, "c": CELLS})
    fill(folders[1], {"a": CELLS, "b": CELLS[:5]})
    (folders[1] / "c.tif").write_bytes(b"II*\0 not an image")
    found = evaluate(*folders)
    assert found.num_images == 1
    assert found.scores["semantic"]["mean_iou"] == 1
    assert len(found.errors) == 2
    assert "b.tif is 12×16 pixels" in found.errors[0]
    status, out, err = ulens("evaluate", *folders)
    assert status == 1
    assert "semantic mean_iou" in out
    assert "2 files could not be compared, the scores are of all others" in err
    assert "c.tif is truncated" in err
    fill(folders[1], {"a": CELLS[:5]})
    with pytest.raises(DataError, match=r"none of 3 files could be compared:\n- .*a\.tif is 12×16"):
        evaluate(*folders)


def test_panoptic_quality_and_counts_are_shown(folders):
    truth, predicted = folders
    fill(truth, {"a": cases.three_in_a_row().astype(np.uint16)})
    two = np.where(cases.three_in_a_row() < 3, cases.three_in_a_row(), 0)
    fill(predicted, {"a": two.astype(np.uint16)})
    scores = evaluate(*folders, labels_are="instances").scores["instances"]
    assert scores["SQ"] == 1
    assert scores["PQ"] == scores["RQ"] == pytest.approx(2 / (2 + 1 / 2))
    assert scores["count_agreement"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("frames", [None, "0,2"])
def test_outlines_are_a_truth_of_instances(folders, frames):
    truth, predicted = folders
    stack = np.stack([cases.three_in_a_row()] * 2)
    fill(predicted, {"a": stack.astype(np.uint16)}, axes="TYX")
    fill(predicted, {"b": cases.one_pixel().astype(np.uint16)})
    write_rois(truth / "a.zip", stack, axes="TYX")
    write_rois(truth / "b.geojson", cases.one_pixel())
    write_rois(truth / "c.zip", cases.one_pixel())
    found = evaluate(*folders, frames=frames)
    assert found.num_images == (3 if frames is None else 2)
    assert found.scores["instances"]["AP"] == 1


def cells_and_layers():
    """Twelve cells with ids, and of the same places a map of three classes in stripes."""
    y, x = np.ogrid[:60, :80]
    is_cell = (y % 20 < 15) & (x % 20 < 15)
    ids = np.where(is_cell, y // 20 * 4 + x // 20 + 1, 0).astype(np.uint16)
    layers = np.where(is_cell, (y + x) % 20 // 5 % 3 + 1, 0).astype(np.uint16)
    return ids, layers


def test_predictions_that_look_like_what_the_truth_is_not_are_told(folders):
    ids, layers = cells_and_layers()
    for predicted, is_doubtful in ((ids, False), (layers, True), (ids.clip(0, 1), False)):
        fill(folders[0], {"0": ids, "1": ids})
        fill(folders[1], {"0": predicted, "1": predicted})
        notes = evaluate(*folders).notes
        told = [note for note in notes if "they look like classes" in note]
        assert len(told) == is_doubtful
        assert all("read as instances, as the truth was" in note for note in told)
    fill(folders[1], {"0": layers, "1": layers})
    notes = evaluate(*folders, labels_are="instances").notes
    assert not any("they look like" in note for note in notes)

import json
import shutil

import numpy as np
import pytest
import tifffile

from ulens.annotated.ctc import write_lineage
from ulens.errors import DataError, FileError, LabelError, SettingError, ShapeError
from ulens.jobs.evaluate import evaluate
from ulens.tracking.lineage import Lineage

SIZE = (12, 16)
TRACKS = Lineage(((1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1)))
MEASURES = ["SEG", "DET", "TRA", "LNK", "OP_CSB", "OP_CTB"]


def draw(**labels):
    """Draw 4 × 4 px objects: x position by label."""
    image = np.zeros(SIZE, np.uint16)
    for label, x in labels.items():
        image[4:8, x : x + 4] = int(label[1:])
    return image


FRAMES = [draw(_1=2), draw(_1=3), draw(_2=1, _3=8)]


def write(folder, prefix, images):
    folder.mkdir(parents=True, exist_ok=True)
    for frame, image in images.items():
        tifffile.imwrite(folder / f"{prefix}{frame:03d}.tif", image)


@pytest.fixture
def folders(tmp_path):
    """Truth of three frames with a division, gold in the last, and a perfect result."""
    truth, result = tmp_path / "01_GT", tmp_path / "01_RES"
    write(truth / "SEG", "man_seg", {2: FRAMES[2]})
    write(truth / "TRA", "man_track", dict(enumerate(FRAMES)))
    write_lineage(truth / "TRA" / "man_track.txt", TRACKS)
    write(result, "mask", dict(enumerate(FRAMES)))
    write_lineage(result / "res_track.txt", TRACKS)
    return truth, result


def test_perfect_result_scores_one_everywhere(folders):
    found = evaluate(*folders)
    scores = found.scores["ctc"]
    assert list(scores)[:6] == MEASURES
    assert [scores[name] for name in MEASURES] == [1.0] * 6
    assert (scores["num_seg_objects"], scores["num_objects"], scores["num_links"]) == (2, 4, 3)
    assert [scores[name] for name in ("NS", "FN", "FP", "ED", "EA", "EC")] == [0] * 6
    assert found.num_images == 3
    assert found.per_image == {"man_seg002": {"ctc": {"SEG": 1.0}}}
    assert found.notes == []
    assert json.loads(found.to_json())["scores"]["ctc"]["SEG"] == 1.0


def test_ctc_can_be_asked_for(folders):
    assert evaluate(*folders, measures=["ctc"]) == evaluate(*folders)


def test_errors_lower_the_scores(folders):
    write(folders[1], "mask", {2: draw(_2=1, _3=9)})
    write_lineage(folders[1] / "res_track.txt", Lineage(((1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 0))))
    scores = evaluate(*folders).scores["ctc"]
    assert scores["SEG"] == (1 + 12 / 20) / 2
    assert scores["EA"] == 1
    assert scores["TRA"] == 1 - 1.5 / 44.5
    assert scores["OP_CTB"] == (scores["SEG"] + scores["TRA"]) / 2


def test_without_markers_there_is_only_seg(folders):
    shutil.rmtree(folders[0] / "TRA")
    found = evaluate(*folders)
    assert set(found.scores["ctc"]) == {"SEG", "num_seg_objects"}
    assert found.notes == [
        f"DET, TRA, LNK not computed: {folders[0]} has no TRA/man_track*.tif of these frames"
    ]


def test_without_segmentations_there_is_no_seg(folders):
    shutil.rmtree(folders[0] / "SEG")
    found = evaluate(*folders)
    assert list(found.scores["ctc"])[:3] == ["DET", "TRA", "LNK"]
    assert found.notes == [
        f"SEG not computed: {folders[0]} has no SEG/man_seg*.tif of these frames"
    ]


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("01_RES/res_track.txt", "01_RES has no res_track.txt"),
        ("01_GT/TRA/man_track.txt", "the truth has no TRA/man_track.txt"),
    ],
)
def test_without_tracks_there_is_no_tra(folders, missing, reason):
    (folders[0].parent / missing).unlink()
    found = evaluate(*folders)
    assert [name for name in found.scores["ctc"] if name in MEASURES] == ["SEG", "DET", "OP_CSB"]
    assert found.notes[0].startswith("TRA, LNK not computed: ")
    assert found.notes[0].endswith(reason)


def test_masks_that_disagree_with_the_tracks_give_no_tra(folders):
    write(folders[1], "mask", {1: draw(_9=3), 2: draw(_7=1, _8=8)})
    found = evaluate(*folders)
    assert "TRA" not in found.scores["ctc"]
    (note,) = found.notes
    assert "res_track.txt and the masks disagree: label 7 is in the mask of frame 2" in note
    assert note.endswith("and 3 more")


def test_invalid_tracks_of_the_result_give_no_tra(folders):
    (folders[1] / "res_track.txt").write_text("1 2 0 0\n")
    found = evaluate(*folders)
    assert found.scores["ctc"]["DET"] == 1.0
    assert "res_track.txt: row '1 2 0 0'" in found.notes[0]


def test_invalid_tracks_of_the_truth_are_an_error(folders):
    (folders[0] / "TRA" / "man_track.txt").write_text("1 2 0 0\n")
    with pytest.raises(LabelError, match=r"man_track.txt: row '1 2 0 0'"):
        evaluate(*folders)


def test_frames_can_be_chosen(folders):
    (folders[1] / "mask000.tif").unlink()
    write_lineage(folders[1] / "res_track.txt", Lineage(((1, 1, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1))))
    found = evaluate(*folders, frames="1-2")
    assert found.num_images == 2
    assert found.scores["ctc"]["TRA"] == 1.0
    assert found.scores["ctc"]["num_links"] == 2


def draw_film(seed, num_frames=8):
    """Cells that move, divide, vanish and come back, with tracks; drawn in 5 of 8 places."""
    generator = np.random.default_rng(seed)
    images, rows, next_label = [], {}, 1
    present = {}
    for frame in range(num_frames):
        image = np.zeros((12, 50), np.uint16)
        chosen = sorted(generator.choice(8, 5, replace=False).tolist())
        before, present = present, {}
        for place in chosen:
            old = before.get(place)
            if old is None or generator.random() < 0.2:
                rows[next_label] = [frame, frame, old or 0]
                present[place], next_label = next_label, next_label + 1
            else:
                present[place] = old
                rows[old][1] = frame
            image[3:8, 6 * place + 1 : 6 * place + 6] = present[place]
        images.append(image)
    return images, Lineage(tuple((label, *row) for label, row in rows.items()))


def cut_film(images, lineage, first, last):
    """Cut a film as one would for the challenge's own program: numbers start at 0 again."""
    rows = [
        (label, max(start, first) - first, min(end, last) - first, parent)
        for label, start, end, parent in lineage.tracks
        if start <= last and end >= first
    ]
    known = {label for label, *_ in rows}
    kept = tuple((*row, parent if parent in known else 0) for *row, parent in rows)
    return images[first : last + 1], Lineage(kept)


@pytest.mark.parametrize("seed", range(8))
def test_a_range_of_frames_scores_as_a_film_cut_to_it(tmp_path, seed):
    films = draw_film(seed), draw_film(seed + 1000)

    def scores(name, truth, result, frames):
        folders = tmp_path / name / "01_GT", tmp_path / name / "01_RES"
        write(folders[0] / "TRA", "man_track", dict(enumerate(truth[0])))
        write(folders[0] / "SEG", "man_seg", dict(enumerate(truth[0])))
        write(folders[1], "mask", dict(enumerate(result[0])))
        write_lineage(folders[0] / "TRA" / "man_track.txt", truth[1])
        write_lineage(folders[1] / "res_track.txt", result[1])
        return evaluate(*folders, frames=frames).scores["ctc"]

    first, last = sorted(np.random.default_rng(seed).choice(8, 2, replace=False).tolist())
    whole = scores("whole", *films, f"{first}-{last}")
    assert whole == scores("cut", *(cut_film(*film, first, last) for film in films), None)
    assert whole["EA"] > 0


def test_frames_apart_from_each_other_give_no_tra(folders):
    found = evaluate(*folders, frames="0,2")
    assert "TRA" not in found.scores["ctc"]
    assert found.notes == ["TRA, LNK not computed: the frames are not consecutive"]


def test_frames_without_links_give_no_lnk(folders):
    found = evaluate(*folders, frames="0")
    assert found.scores["ctc"]["TRA"] == 1.0
    assert found.notes[1:] == ["LNK not computed: the truth links no objects of these frames"]


def test_frames_without_truth_are_an_error(folders):
    shutil.rmtree(folders[0] / "TRA")
    with pytest.raises(DataError, match=r"frames '0' select none that .*01_GT annotates; choose"):
        evaluate(*folders, frames="0")
    with pytest.raises(SettingError, match="asks for image 9"):
        evaluate(*folders, frames="9")


def test_slices_of_a_stack_are_scored(tmp_path):
    truth, result = tmp_path / "01_GT", tmp_path / "01_RES"
    write(truth / "SEG", "man_seg_000_", {1: FRAMES[2]})
    write(result, "mask", {0: np.stack([FRAMES[0], FRAMES[2]])})
    assert evaluate(truth, result).scores["ctc"]["SEG"] == 1.0
    write(result, "mask", {0: FRAMES[2][None]})
    assert evaluate(truth, result).scores["ctc"]["SEG"] == 1.0
    write(truth / "SEG", "man_seg_000_", {5: FRAMES[2]})
    write(result, "mask", {0: np.stack([FRAMES[0], FRAMES[2]])})
    with pytest.raises(ShapeError, match=r"man_seg_000_005.tif is 12×16, .*mask000.tif 2×12×16"):
        evaluate(truth, result)


def test_field_of_interest_goes_by_the_name_of_the_data_set(tmp_path, folders):
    data_set = tmp_path / "Fluo-N2DL-HeLa"
    frame, extra = np.zeros((2, 64, 64), np.uint16)
    frame[30:34, 30:34] = extra[30:34, 30:34] = 1
    extra[2:6, 2:6] = 2
    for folder in (data_set, tmp_path / "other"):
        write(folder / "01_GT" / "TRA", "man_track", {0: frame})
        write(folder / "01_RES", "mask", {0: extra})
    found = evaluate(data_set / "01_GT", data_set / "01_RES")
    assert found.scores["ctc"]["FP"] == 0
    assert found.notes[1].startswith("TRA, LNK")
    assert found.notes[2] == (
        "1 objects of the result lie outside the field of interest of Fluo-N2DL-HeLa, wholly "
        "within 25 px of the border, and were left out; leave them out of what you submit too"
    )
    assert found.notes[3].startswith("the field of interest was chosen by the folder's name; ")
    assert "num_outside_field" not in found.scores["ctc"]
    other = evaluate(tmp_path / "other" / "01_GT", tmp_path / "other" / "01_RES")
    assert other.scores["ctc"]["FP"] == 1


@pytest.mark.parametrize(("border_px", "num_false"), [(0, 1), (25, 0)])
def test_the_field_of_interest_may_be_told(tmp_path, border_px, num_false):
    frame, extra = np.zeros((2, 64, 64), np.uint16)
    frame[30:34, 30:34] = extra[30:34, 30:34] = 1
    extra[2:6, 2:6] = 2
    folders = tmp_path / "Fluo-N2DL-HeLa" / "01_GT", tmp_path / "01_RES"
    write(folders[0] / "TRA", "man_track", {0: frame})
    write(folders[1], "mask", {0: extra})
    found = evaluate(*folders, field_of_interest_px=border_px)
    assert found.scores["ctc"]["FP"] == num_false
    told = [note for note in found.notes if "field of interest" in note]
    assert len(told) == 1 - num_false
    assert not any("Fluo-N2DL-HeLa" in note for note in told)


def test_other_truth_has_no_field_of_interest(folders):
    with pytest.raises(
        SettingError, match=r"field_of_interest_px is 5, but .* is no folder of the"
    ):
        evaluate(folders[0] / "SEG", folders[1], field_of_interest_px=5)


def test_missing_masks_are_an_error(folders):
    (folders[1] / "mask001.tif").unlink()
    with pytest.raises(DataError, match=r"has no mask of frame 1, which .* or choose others with"):
        evaluate(*folders)


def test_folder_without_masks_is_an_error(folders, tmp_path):
    with pytest.raises(FileError, match=r"has no masks; .* named mask000.tif .* holds man_track"):
        evaluate(folders[0], folders[0] / "TRA")
    with pytest.raises(FileError, match="the folder holds nothing"):
        evaluate(folders[0], tmp_path / "missing")


def test_sizes_must_agree(folders):
    write(folders[1], "mask", {2: np.zeros((3, 4), np.uint16)})
    with pytest.raises(ShapeError, match=r"man_seg002.tif is 12×16, .*mask002.tif 3×4; both need"):
        evaluate(*folders)


def test_all_bad_files_are_named_at_once(folders):
    truth, result = folders
    (result / "mask000.tif").write_bytes(b"II*\0")
    write(result, "mask", {1: np.zeros((5, 5), np.uint16)})
    (truth / "TRA" / "man_track002.tif").write_bytes((result / "mask002.tif").read_bytes()[:150])
    with pytest.raises(DataError, match=r"3 problems in the files of 4 annotations") as caught:
        evaluate(*folders)
    text = str(caught.value)
    assert len(text.splitlines()) == 4
    for name in ("mask000.tif", "mask001.tif 5×5", "man_track002.tif"):
        assert name in text
    assert "a score without a frame would be another score" in text


def test_other_measures_and_ignore_are_refused(folders):
    with pytest.raises(DataError, match=r"instances cannot be computed: .* give one of its folder"):
        evaluate(*folders, measures=["instances", "ctc"])
    with pytest.raises(SettingError, match=r"ignore is 7, but .* every value is an object; leave"):
        evaluate(*folders, ignore=7)


def test_plain_label_images_have_no_ctc(folders):
    with pytest.raises(DataError, match=r"ctc cannot be computed: the truth must be a folder such"):
        evaluate(folders[0] / "SEG", folders[1], measures=["ctc"])
    found = evaluate(folders[0] / "SEG", folders[1], labels_are="instances")
    assert "ctc" not in found.scores


@pytest.mark.real
def test_silver_truth_scores_high_against_gold(real_data, tmp_path):
    data_set = real_data / "DIC-C2DH-HeLa"
    for file in sorted((data_set / "01_ST" / "SEG").glob("*.tif")):
        shutil.copy(file, tmp_path / file.name.replace("man_seg", "mask"))
    found = evaluate(data_set / "01_GT", tmp_path)
    scores = found.scores["ctc"]
    assert 0.8 < scores["SEG"] < 1
    assert 0.9 < scores["DET"] < 1
    assert (scores["num_seg_objects"], scores["num_objects"]) == (98, 1120)
    assert len(found.per_image) == 9
    assert any("no res_track.txt" in note for note in found.notes)

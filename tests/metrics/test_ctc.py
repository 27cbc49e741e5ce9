"""SEG, DET, TRA and LNK: hand-made graphs, the official test sets, and py-ctcmetrics."""

import time
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from ctc_metrics.scripts.evaluate import evaluate_sequence

from ulens.annotated.ctc import read_lineage, write_lineage
from ulens.errors import DataError, ShapeError
from ulens.metrics.ctc import detection_scores, op_csb, op_ctb, seg_scores, tracking_scores
from ulens.tracking.lineage import Lineage, Track, check_result

# which counts of corrections each kind of error must raise
PERTURBATIONS = {
    "none": set(),
    "merge": {"NS", "ED", "EA"},
    "split": {"FP"},
    "drop": {"FN", "ED", "EA"},
    "add": {"FP"},
    "swap": {"ED", "EA"},
    "break division": {"EA", "EC"},
    "all": {"NS", "FN", "FP", "ED", "EA", "EC"},
}


def row(*labels):
    return np.array([labels])


def pairs(reference, result):
    return list(zip(map(np.atleast_2d, reference), map(np.atleast_2d, result), strict=True))


# ---- hand-made cases


def test_half_of_a_reference_object_is_no_match():
    assert seg_scores([(row(1, 1, 0), row(5, 0, 0))]).seg == 0
    assert seg_scores([(row(1, 1, 1), row(5, 5, 0))]).seg == 2 / 3


def test_large_result_object_matches_with_a_low_jaccard_index():
    found = seg_scores([(row(1, 1, 0, 0, 0, 0), row(9, 9, 9, 9, 9, 9))])
    assert found.seg == 2 / 6
    assert (found.num_objects, found.num_matched) == (1, 1)


def test_seg_is_the_mean_over_objects_not_over_images_and_ignores_false_positives():
    images = [
        (row(1, 2, 3, 0), row(1, 2, 3, 4)),
        (row(1, 0, 0, 0), row(0, 5, 5, 5)),
        (row(0, 0, 0, 0), row(0, 5, 5, 5)),
    ]
    found = seg_scores(images)
    assert found.seg == 3 / 4
    assert (found.num_objects, found.num_matched, found.num_outside_field) == (4, 3, 0)
    assert found.per_pair == (1.0, 0.0, None)


def test_stack_is_scored_as_one_volume():
    volume = np.array([[[1, 0]], [[1, 0]]])
    assert seg_scores([(volume, volume * 7)]).seg == 1.0


def test_detection_counts_splits_misses_and_extras():
    found = detection_scores([(row(1, 2, 3, 0, 4), row(8, 8, 8, 5, 0))])
    assert (found.num_splits, found.num_missed, found.num_extra) == (2, 1, 1)
    assert found.det == 1 - (5 * 2 + 10 + 1) / 40


def test_detection_does_not_fall_below_zero():
    assert detection_scores([(row(1, 0, 0), row(0, 2, 3))]).det == 0


def test_result_objects_outside_the_field_of_interest_do_not_count():
    reference = np.zeros((5, 5), int)
    reference[2, 2] = 1
    result = reference.copy()
    result[0, 0] = 2
    assert detection_scores([(reference, result)]).num_extra == 1
    found = detection_scores([(reference, result)], field_of_interest_px=1)
    assert (found.num_extra, found.num_outside_field) == (0, 1)
    for measure in (seg_scores, detection_scores):
        found = measure([(reference, result)] * 3, field_of_interest_px=1)
        assert found.num_outside_field == 3


def test_reference_objects_in_the_border_are_kept():
    reference, result = np.zeros((2, 5, 5), int)
    reference[0, 2] = result[0, 2] = result[1, 2] = 1
    assert detection_scores([(reference, result)], field_of_interest_px=1).det == 1.0


def test_perfect_division():
    images = [(row(1, 1, 0), row(4, 4, 0)), (row(2, 0, 3), row(5, 0, 6))]
    reference = Lineage(((1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1)))
    result = Lineage(((4, 0, 0, 0), (5, 1, 1, 4), (6, 1, 1, 4)))
    found = tracking_scores(images, reference, result)
    assert (found.tra, found.lnk, found.detection.det) == (1.0, 1.0, 1.0)
    assert found.links.num_links == 2


def test_daughter_that_keeps_the_label_of_its_mother_is_a_wrong_link():
    images = [(row(1, 1, 0), row(4, 4, 0)), (row(2, 0, 3), row(4, 0, 6))]
    reference = Lineage(((1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1)))
    found = tracking_scores(images, reference, Lineage(((4, 0, 1, 0), (6, 1, 1, 0))))
    assert (found.links.num_wrong, found.links.num_missing) == (1, 1)
    assert found.lnk == 1 - (1.5 + 1) / 3
    assert found.tra == 1 - (1.5 + 1) / (3 * 10 + 2 * 1.5)


def test_swapped_labels_are_redundant_and_missing_links():
    images = pairs([(1, 2), (1, 2)], [(1, 2), (2, 1)])
    tracks = Lineage(((1, 0, 1, 0), (2, 0, 1, 0)))
    links = tracking_scores(images, tracks, tracks).links
    assert (links.num_links, links.num_redundant, links.num_missing) == (2, 2, 2)


def test_link_over_a_gap_is_found():
    images = pairs([(1, 1), (0, 0), (2, 2)], [(7, 7), (0, 0), (8, 8)])
    reference = Lineage(((1, 0, 0, 0), (2, 2, 2, 1)))
    assert tracking_scores(images, reference, Lineage(((7, 0, 0, 0), (8, 2, 2, 7)))).lnk == 1
    assert tracking_scores(images, reference, Lineage(((7, 0, 0, 0), (8, 2, 2, 0)))).lnk == 0


def test_links_of_objects_that_match_several_do_not_count_as_redundant():
    images = pairs([(1, 2), (1, 2)], [(9, 9), (9, 9)])
    reference = Lineage(((1, 0, 1, 0), (2, 0, 1, 0)))
    links = tracking_scores(images, reference, Lineage(((9, 0, 1, 0),))).links
    assert (links.num_redundant, links.num_missing) == (0, 2)


def test_links_to_objects_that_match_none_do_not_count_as_redundant():
    images = pairs([(1, 1, 0), (1, 1, 0)], [(1, 1, 0), (0, 0, 1)])
    tracks = Lineage(((1, 0, 1, 0),))
    links = tracking_scores(images, tracks, tracks).links
    assert (links.num_redundant, links.num_missing) == (0, 1)


def test_links_from_frames_before_the_first_do_not_count():
    reference = Lineage(((1, 0, 4, 0), (2, 5, 6, 1)))
    images = pairs([(2, 2), (2, 2)], [(2, 2), (2, 2)])
    found = tracking_scores(images, reference, reference, first_frame=5)
    assert found.links.num_links == 1
    assert found.tra == 1.0


def test_links_to_frames_after_the_last_do_not_count():
    tracks = Lineage(((1, 0, 1, 0), (2, 2, 3, 1)))
    found = tracking_scores(pairs([(1, 0), (1, 0)], [(1, 0), (1, 0)]), tracks, tracks)
    assert found.links.num_links == 1
    assert found.tra == 1.0


def test_without_links_there_is_no_lnk():
    tracks = Lineage(((1, 0, 0, 0),))
    found = tracking_scores([(row(1, 0), row(1, 0))], tracks, tracks)
    assert found.lnk is None
    assert found.tra == 1.0


def test_empty_result_scores_zero():
    tracks = Lineage(((1, 0, 1, 0),))
    images = pairs([(1, 0), (1, 0)], [(0, 0), (0, 0)])
    found = tracking_scores(images, tracks, Lineage(()))
    assert (found.tra, found.lnk, found.detection.det) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("measure", [seg_scores, detection_scores])
def test_reference_without_objects_is_an_error(measure):
    with pytest.raises(DataError, match=r"no reference objects in 1 images; .* at least one"):
        measure([(row(0, 0), row(1, 0))])


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="must have one shape"):
        seg_scores([(row(1, 0), row(1))])


def test_overall_performances():
    assert op_csb(0.5, 1.0) == op_ctb(0.5, 1.0) == 0.75


@pytest.mark.slow
def test_a_hundred_frames_take_less_than_ten_seconds():
    rng = np.random.default_rng(0)
    grid = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((51, 51), int)).astype(np.uint16)
    frames = [np.where(rng.random(grid.shape) < 0.9, grid, 0) for _ in range(100)]
    tracks = Lineage(tuple(Track(label, 0, 99, 0) for label in range(1, 101)))
    start = time.perf_counter()
    found = tracking_scores(
        [(frame, frame) for frame in frames], tracks, tracks, field_of_interest_px=25
    )
    assert time.perf_counter() - start < 10
    assert found.links.num_links == 9900


# ---- the official test sets, whose files have names of their own


@pytest.mark.real
def test_official_seg(real_data):
    folder = real_data / "ctc-eval-reference" / "testing_dataset"
    files = sorted((folder / "01_GT" / "SEG").glob("man_seg*.tif"))
    masks = [folder / "01_RES" / file.name.replace("man_seg", "mask") for file in files]
    images = (map(tifffile.imread, both) for both in zip(files, masks, strict=True))
    assert f"{seg_scores(images).seg:.6f}" == "0.232874"


@pytest.mark.real
def test_official_det_tra_and_counts(real_data):
    folder = real_data / "ctc-eval-reference" / "testing_dataset"
    reference = sorted((folder / "03_GT" / "TRA").glob("man_track*.tif"))
    result = sorted((folder / "03_RES").glob("mask*.tif"))
    found = tracking_scores(
        (map(tifffile.imread, both) for both in zip(reference, result, strict=True)),
        read_lineage(folder / "03_GT" / "TRA" / "man_track.txt"),
        read_lineage(folder / "03_RES" / "res_track.txt"),
    )
    expected = read_log(folder / "03_RES" / "TRA_log.txt")
    assert f"{found.detection.det:.6f}" == "0.688000"
    assert f"{found.tra:.6f}" == expected.pop("TRA measure") == "0.622980"
    assert expected == {
        "Splitting Operations": found.detection.num_splits,
        "False Negative Vertices": found.detection.num_missed,
        "False Positive Vertices": found.detection.num_extra,
        "Redundant Edges To Be Deleted": found.links.num_redundant,
        "Edges To Be Added": found.links.num_missing,
        "Edges with Wrong Semantics": found.links.num_wrong,
    }


def read_log(path):
    """Return the number of lines under each heading of an official log, and the measure."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("-"):
            heading = line.strip("-").split(" (Penalty")[0]
            found[heading] = 0
        elif " measure: " in line:
            found.update([line.split(": ")])
        elif not line.startswith("="):
            found[heading] += 1
    return found


# ---- py-ctcmetrics on perturbed copies of real truth


@pytest.fixture(scope="module")
def hela(real_data):
    """Markers of DIC-C2DH-HeLa, frames 18 to 37 with three divisions; and parents by label."""
    folder = real_data / "DIC-C2DH-HeLa" / "01_GT" / "TRA"
    first, last = 18, 37
    masks = np.stack(
        [
            tifffile.imread(folder / f"man_track{i:03d}.tif")[::2, ::2]
            for i in range(first, last + 1)
        ]
    )
    tracks = read_lineage(folder / "man_track.txt").tracks
    return masks, {track.label: track.parent for track in tracks}


def rebuild(masks, parents):
    """Return masks and tracks that agree: a label that comes back gets a track of its own.

    Parameters
    ----------
    parents : wanted parent by label; kept where one of its tracks ends before the child starts
    """
    masks, runs = masks.copy(), {}
    free = int(max(masks.max(), *parents)) + 1
    for label in np.unique(masks[masks > 0]).tolist():
        present = np.flatnonzero((masks == label).any(axis=(1, 2))).tolist()
        breaks = [i + 1 for i, (a, b) in enumerate(pairwise(present)) if b > a + 1]
        for start, stop in pairwise([0, *breaks, len(present)]):
            first, last = present[start], present[stop - 1]
            own = free if start else label
            free += bool(start)
            here = masks[first : last + 1]
            here[here == label] = own
            runs.setdefault(label, []).append((own, first, last))
    tracks = []
    for label, own_runs in runs.items():
        before = [own for own, _, last in runs.get(parents.get(label), ()) if last < own_runs[0][1]]
        parent = before[-1] if before else 0
        for own, first, last in own_runs:
            tracks.append((own, first, last, parent))
            parent = own
    return masks, Lineage(tuple(tracks))


def perturb(masks, parents, kind):
    """Return a result with errors of one kind, or of all."""
    masks, parents = masks.copy(), dict(parents)
    new = int(masks.max()) + 1
    always = [each for each in np.unique(masks[0]) if each and (masks == each).any((1, 2)).all()]
    inside = [each for each in np.unique(masks).tolist() if each]
    children = [each for each in inside if parents.get(each) in inside]
    if kind in ("swap", "all"):
        later = masks[9:]
        first, second = later == always[0], later == always[1]
        later[first], later[second] = always[1], always[0]
    if kind in ("merge", "all"):
        some = masks[4:8]
        some[some == always[2]] = always[3]
    if kind in ("split", "all"):
        for mask in masks[2:6]:
            y, x = np.nonzero(mask == always[4])
            right = x > np.median(x)
            mask[y[right], x[right]] = new
    if kind in ("drop", "all"):
        masks[7][masks[7] == always[5]] = 0
        masks[15:][masks[15:] == always[6]] = 0
    if kind in ("add", "all"):
        masks[3:6, :4, :4] = new + 1
    if kind in ("break division", "all"):
        parents[children[0]] = 0
        masks[masks == children[-1]] = parents[children[-1]]
    return rebuild(masks, parents)


def write_sequence(folder, prefix, masks):
    folder.mkdir(parents=True)
    for i, mask in enumerate(masks):
        tifffile.imwrite(folder / f"{prefix}{i:03d}.tif", mask)


@pytest.mark.real
@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_agrees_with_py_ctcmetrics(hela, tmp_path, kind):
    truth, reference = rebuild(*hela)
    masks, result = perturb(*hela, kind)
    assert check_result(enumerate(masks), result) == []
    write_sequence(tmp_path / "01_GT" / "SEG", "man_seg", truth)
    write_sequence(tmp_path / "01_GT" / "TRA", "man_track", truth)
    write_sequence(tmp_path / "01_RES", "mask", masks)
    write_lineage(tmp_path / "01_GT" / "TRA" / "man_track.txt", reference)
    write_lineage(tmp_path / "01_RES" / "res_track.txt", result)
    expected = evaluate_sequence(
        str(tmp_path / "01_RES"),
        str(tmp_path / "01_GT"),
        metrics=["Valid", "SEG", "DET", "TRA", "LNK"],
        threads=1,
    )
    images = list(zip(truth, masks, strict=True))
    found, seg = tracking_scores(images, reference, result), seg_scores(images).seg
    scores = (seg, found.detection.det, found.tra, found.lnk)
    assert scores == pytest.approx([expected[name] for name in ("SEG", "DET", "TRA", "LNK")])
    assert expected["Valid"] == 1
    counts = {
        "NS": found.detection.num_splits,
        "FN": found.detection.num_missed,
        "FP": found.detection.num_extra,
        "ED": found.links.num_redundant,
        "EA": found.links.num_missing,
        "EC": found.links.num_wrong,
    }
    assert counts == {name: expected[f"AOGM_{name}"] for name in counts}
    assert {name for name, count in counts.items() if count} == PERTURBATIONS[kind]

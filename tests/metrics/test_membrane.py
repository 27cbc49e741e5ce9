import json

import numpy as np
import pytest
from imageio.v3 import imread

from ulens.errors import DataError, LabelError, ShapeError
from ulens.metrics.membrane import (
    isbi2012,
    pixel_score_at,
    prepare_slices,
    rand_error_at,
    thresholds,
    warping_error_at,
)

TWO_CELLS = np.array([[255, 255, 0, 255, 255]] * 3, np.uint8)
MERGED = np.array([[1, 1, 1, 1, 1]] * 3, np.float32)
PERFECT = (TWO_CELLS / 255).astype(np.float32)


def test_thresholds_add_up_as_doubles():
    assert len(thresholds(11)) == 11
    assert thresholds(11)[3] == 0.1 + 0.1 + 0.1
    assert thresholds(11)[-1] == 0.9999999999999999
    assert thresholds(10)[-1] == 0.8999999999999999


def test_a_perfect_binary_proposal_is_judged_at_threshold_zero():
    scores = isbi2012([TWO_CELLS, TWO_CELLS], [PERFECT, PERFECT])
    assert scores.binary_proposal
    assert (scores.v_rand, scores.rand_error, scores.pixel_error) == (1.0, 0.0, 0.0)
    assert scores.v_info == pytest.approx(1.0)
    assert scores.warping_error == 0.0
    assert scores.v_rand_threshold == scores.warping_error_threshold == 0.0


def test_a_graded_proposal_is_judged_at_its_best_threshold():
    proposal = np.where(TWO_CELLS, np.float32(0.75), np.float32(0.45))
    scores = isbi2012([TWO_CELLS], [proposal])
    assert not scores.binary_proposal
    assert scores.v_rand == 1.0
    assert scores.v_rand_threshold == scores.v_info_threshold == 0.5
    assert scores.rand_error_threshold == scores.pixel_error_threshold == 0.5
    assert scores.warping_error_threshold == 0.5


def test_thinned_scores_are_means_over_slices():
    scores = isbi2012(np.stack([TWO_CELLS, TWO_CELLS]), np.stack([PERFECT, MERGED]))
    # merged: two cells of 6 px in one of 12, precision (2 * 0.5 ** 2) / 1, recall 1
    assert scores.v_rand_per_slice == (1.0, pytest.approx(2 / 3))
    assert scores.v_rand == pytest.approx((1 + 2 / 3) / 2)
    assert scores.v_rand_precision == pytest.approx(0.75)
    assert scores.v_rand_recall == 1.0
    assert scores.v_info_per_slice == pytest.approx((1.0, 0.0))
    assert scores.v_info == pytest.approx(0.5)


def test_one_threshold_serves_all_slices():
    # each slice alone would be perfect, at 0.2 and at 0.6; no threshold opens both
    low = np.where(TWO_CELLS, np.float32(0.35), np.float32(0.15))
    high = np.where(TWO_CELLS, np.float32(0.95), np.float32(0.55))
    assert isbi2012([TWO_CELLS], [low]).v_rand == isbi2012([TWO_CELLS], [high]).v_rand == 1.0
    assert isbi2012([TWO_CELLS] * 2, [low, high]).v_rand == pytest.approx((1 + 2 / 3) / 2)


def test_rand_error_pools_pairs_of_pixels_over_slices():
    single_cell = np.full((3, 4), 255, np.uint8)
    slices = prepare_slices([TWO_CELLS, single_cell], [MERGED, np.ones((3, 4), np.float32)])
    # pairs in both, n² S_AB: 2 * 6² and 12²; in the truth the same; in the proposal 12² and 12²
    in_both, in_truth, in_proposal = 72 + 144, 72 + 144, 144 + 144
    expected = 1 - 2 * in_both / (in_truth + in_proposal)
    assert rand_error_at(slices, 0.5) == pytest.approx(expected)


def test_rand_error_weighs_slices_by_their_pairs_of_pixels():
    truth = [TWO_CELLS, np.ones((1, 4), int), np.array([[1, 1, 0, 1]])]
    proposal = [MERGED, np.array([[1.0, 0, 1, 1]]), np.array([[1.0, 1, 1, 0]])]
    found = rand_error_at(prepare_slices(truth, proposal), 0.5)
    # pairs that share a segment in both, in the truth, in the proposal; unfound pixels stand alone
    in_both, in_truth, in_proposal = (72 + 6 + 5), (72 + 16 + 5), (144 + 6 + 5)
    assert found == pytest.approx(1 - 2 * in_both / (in_truth + in_proposal))


def test_rand_error_does_not_thin():
    thick = np.array([[1, 0, 0, 0, 1]] * 3, np.float32)
    slices = prepare_slices([TWO_CELLS], [thick])
    # of each cell's 6 px, 3 are found and 3 stand alone
    in_both = in_proposal = 2 * 3**2 + 6
    assert rand_error_at(slices, 0) == pytest.approx(1 - 2 * in_both / (in_proposal + 2 * 6**2))
    assert isbi2012([TWO_CELLS], [thick]).v_rand == 1.0


def test_pixel_score_pools_pixels_over_slices():
    slices = prepare_slices([TWO_CELLS, TWO_CELLS], [MERGED, PERFECT])
    score = pixel_score_at(slices, 0.5)
    assert (score.precision, score.recall) == (24 / 27, 1.0)
    assert isbi2012([TWO_CELLS] * 2, [MERGED, PERFECT]).pixel_error == pytest.approx(1 - score.f)


def test_pixel_score_of_an_all_black_proposal():
    score = pixel_score_at(prepare_slices([TWO_CELLS], [0 * PERFECT]), 0.5)
    assert (score.precision, score.recall) == (1.0, 0.0)


def test_warping_error_is_per_pixel_of_the_stack():
    gap = PERFECT.copy()
    gap[1, 2] = 1
    slices = prepare_slices([TWO_CELLS, TWO_CELLS], [gap, PERFECT])
    assert warping_error_at(slices, 0) == 1 / 30


def test_thresholds_compare_float32_values_as_doubles():
    # float32(0.2) lies just above the double 0.2, so the pixel is white at 0.2
    slices = prepare_slices([TWO_CELLS], [np.full((3, 5), 51 / 255)])
    assert pixel_score_at(slices, 0.2).recall == 1.0


def test_every_measure_is_taken_at_its_own_best_threshold():
    generator = np.random.default_rng(2)
    walls = np.ones((2, 9, 9), int)
    walls[:, 4], walls[0, :, 4] = 0, 0
    proposal = np.clip(walls * 0.4 + 0.35 + generator.normal(0, 0.2, walls.shape), 0, 1)
    found, slices = isbi2012(walls, proposal), prepare_slices(walls, proposal)
    best_at = set()
    for name in ("rand", "info"):
        scores = [[getattr(each.thinned(t), name)() for each in slices] for t in thresholds(11)]
        means = np.mean([[each.f for each in row] for row in scores], axis=1)
        best = int(np.argmax(means))
        best_at.add(best)
        assert getattr(found, f"v_{name}_threshold") == thresholds(11)[best]
        assert getattr(found, f"v_{name}") == means[best]
        assert getattr(found, f"v_{name}_per_slice") == tuple(each.f for each in scores[best])
        for part in ("precision", "recall"):
            values = [getattr(each, part) for each in scores[best]]
            assert getattr(found, f"v_{name}_{part}") == np.mean(values)
    for name, num, error in (
        ("rand", 11, rand_error_at),
        ("pixel", 11, lambda *at: 1 - pixel_score_at(*at).f),
        ("warping", 10, warping_error_at),
    ):
        errors = [error(slices, t) for t in thresholds(num)]
        best_at.add(int(np.argmin(errors)))
        assert getattr(found, f"{name}_error") == min(errors) < max(errors)
        assert getattr(found, f"{name}_error_threshold") == thresholds(num)[int(np.argmin(errors))]
    assert len(best_at) > 2


def test_the_warping_error_alone_is_not_taken_at_the_highest_threshold():
    scores = isbi2012([TWO_CELLS], [np.where(TWO_CELLS, np.float32(1), np.float32(0.95))])
    assert scores.v_rand_threshold == scores.v_info_threshold == thresholds(11)[10]
    assert scores.rand_error_threshold == scores.pixel_error_threshold == thresholds(11)[10]
    assert (scores.v_rand, scores.rand_error, scores.pixel_error) == (1, 0, 0)
    assert scores.warping_error > 0 == scores.warping_error_threshold


def test_no_threshold_is_above_the_whitest_pixel():
    graded = PERFECT.copy()
    graded[0, 0] = 0.5
    assert isbi2012([np.ones_like(TWO_CELLS)], [graded]).v_rand < 1  # which all black would be


def test_one_graded_slice_makes_thresholds_count():
    graded = np.where(TWO_CELLS, np.float32(0.75), np.float32(0.45))
    assert not isbi2012([TWO_CELLS] * 2, [graded, PERFECT]).binary_proposal
    assert isbi2012([TWO_CELLS] * 2, [PERFECT, graded]).v_rand_threshold == 0.5


def test_pixels_of_a_truth_without_cells_are_all_found():
    score = pixel_score_at(prepare_slices([0 * TWO_CELLS], [MERGED]), 0.5)
    assert (score.precision, score.recall) == (0.0, 1.0)


def test_ignored_pixels_change_no_measure():
    truth = np.pad(TWO_CELLS.astype(int), ((0, 0), (0, 2)), constant_values=-1)
    proposal = np.pad(MERGED, ((0, 0), (0, 2)), constant_values=1)
    assert isbi2012([truth], [proposal]) == isbi2012([TWO_CELLS], [MERGED])


def test_numbers_of_slices_that_differ_are_named():
    with pytest.raises(ShapeError, match="truth has 2 slices, the proposal 1; give one proposal"):
        isbi2012([TWO_CELLS, TWO_CELLS], [PERFECT])
    with pytest.raises(ShapeError, match="truth has 0 slices"):
        isbi2012([], [])


def test_sizes_that_differ_are_named():
    with pytest.raises(ShapeError, match=r"slice 0: truth is \(3, 5\), the proposal \(3, 4\)"):
        isbi2012([TWO_CELLS], [PERFECT[:, :4]])


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.01, 255.0])
def test_proposals_that_are_no_probabilities_are_named(wrong):
    with pytest.raises(DataError, match=r"slice 0: the proposal runs from .* in \[0, 1\]"):
        isbi2012([TWO_CELLS], [np.full((3, 5), wrong)])


def test_a_slice_without_cells_is_named():
    with pytest.raises(LabelError, match="no cell interior"):
        isbi2012([0 * TWO_CELLS], [PERFECT])


@pytest.mark.real
def test_all_values_of_the_official_code_are_reproduced(real_data):
    folder = real_data / "isbi-metrics-reference"
    cases = json.loads((folder / "expected.json").read_text())
    assert len(cases) == 33
    for case in cases:
        truth = imread(folder / case["labels"])
        proposal = imread(folder / case["proposals"]).astype(np.float32) / np.float32(255)
        for expected in case["by_threshold"]:
            assert_reproduced(case["case"], truth, proposal, expected)
        if "max_vrand_thin" in case:
            scores = isbi2012([truth], [proposal])
            assert scores.v_rand == pytest.approx(case["max_vrand_thin"], abs=1e-6)
            assert scores.v_info == pytest.approx(case["max_vinfo_thin"], abs=1e-6)
            assert 1 - scores.pixel_error == pytest.approx(case["max_pixel_fscore"], abs=1e-6)


def assert_reproduced(case, truth, proposal, expected):
    slices = prepare_slices([truth], [proposal])
    threshold = expected["t"]
    rand, info = slices[0].thinned(threshold).rand(), slices[0].thinned(threshold).info()
    pixel = pixel_score_at(slices, threshold)
    measured = {
        "t": threshold,
        "vrand_thin": rand.f,
        "vrand_thin_precision": rand.precision,
        "vrand_thin_recall": rand.recall,
        "vinfo_thin": info.f,
        "frand_fscore_nothin": 1 - rand_error_at(slices, threshold),
        "pixel_fscore": pixel.f,
        "pixel_precision": pixel.precision,
        "pixel_recall": pixel.recall,
    }
    if case.endswith(("_allwhite", "_allblack")):  # 0/0 in the official code
        measured["vinfo_thin"] = expected["vinfo_thin"]
    assert measured == pytest.approx(expected, abs=1e-6), (case, threshold)

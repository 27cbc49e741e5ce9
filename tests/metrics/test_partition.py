import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ulens.errors import LabelError
from ulens.metrics.partition import FScore, share_segments


def test_f_is_the_harmonic_mean():
    assert FScore(precision=0.5, recall=1.0).f == pytest.approx(2 / 3)
    assert FScore(precision=0.0, recall=0.0).f == 0.0


def test_equal_partitions_score_one_whatever_their_numbers():
    shared = share_segments(np.array([[1, 1, 0, 2]]), np.array([[7, 7, 7, 3]]))
    assert shared.rand().f == 1.0
    assert shared.info().f == pytest.approx(1.0)


def test_merging_two_cells_lowers_precision_alone():
    shared = share_segments(np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 1]]))
    assert shared.rand() == FScore(precision=0.5, recall=1.0)
    assert shared.info() == FScore(precision=0.0, recall=1.0)


def test_splitting_a_cell_lowers_recall_alone():
    shared = share_segments(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 2, 2]]))
    assert shared.rand() == FScore(precision=1.0, recall=0.5)
    assert shared.info() == FScore(precision=1.0, recall=0.0)


def test_every_unassigned_pixel_is_a_segment_of_its_own():
    # Four pixels of truth in two cells; the proposal finds three and leaves one to the membrane.
    shared = share_segments(np.array([[1, 1, 2, 2, 0]]), np.array([[1, 1, 2, 0, 2]]))
    in_both = 0.5**2 + 0.25**2 + 0.25 / 4
    assert shared.rand_sums() == (in_both, 0.5**2 + 0.5**2, in_both)
    assert shared.rand() == FScore(precision=1.0, recall=0.75)
    truth_entropy, proposal_entropy = math.log(2), 1.5 * math.log(2)
    assert shared.info().precision == pytest.approx(1.0)
    assert shared.info().recall == pytest.approx(truth_entropy / proposal_entropy)


def test_one_cell_found_as_one_cell_scores_one():
    shared = share_segments(np.array([[1, 1]]), np.array([[1, 1]]))
    assert shared.info() == FScore(precision=1.0, recall=1.0)


def test_a_truth_without_cells_is_named():
    with pytest.raises(LabelError, match=r"no cell interior .* leave this slice out"):
        share_segments(np.zeros((2, 2), int), np.ones((2, 2), int))


CELLS = arrays(np.int32, (3, 5), elements=st.sampled_from([0, 1, 1, 2, 5]))


def entropy(*labels):
    _, counts = np.unique(np.stack(labels), axis=1, return_counts=True)
    share = counts / counts.sum()
    return -(share * np.log(share)).sum()


@given(CELLS.filter(np.any), CELLS)
def test_scores_are_those_of_the_definition(truth, proposal):
    """Over all pairs of pixels in true cells; each of the proposed membrane stands alone."""
    shared = share_segments(truth, proposal)
    proposal = np.where(proposal == 0, -1 - np.arange(truth.size).reshape(truth.shape), proposal)
    true, guess = truth[truth > 0], proposal[truth > 0]
    assert shared.num_pixels == true.size
    together, guessed = true[:, None] == true, guess[:, None] == guess
    assert shared.rand_sums() == pytest.approx(
        ((together & guessed).mean(), together.mean(), guessed.mean())
    )
    rand = shared.rand()
    assert rand.precision == pytest.approx((together & guessed).sum() / guessed.sum())
    assert rand.recall == pytest.approx((together & guessed).sum() / together.sum())
    info, mutual = shared.info(), entropy(true) + entropy(guess) - entropy(true, guess)
    for found, whole in ((info.precision, entropy(true)), (info.recall, entropy(guess))):
        assert found == pytest.approx(mutual / whole if whole > 1e-9 else 1, abs=1e-6)


@pytest.mark.parametrize("num_pixels", range(2, 30))
def test_one_cell_holds_no_information_however_it_is_divided(num_pixels):
    one, parts = np.ones((1, num_pixels), int), 1 + np.arange(num_pixels)[None] % 3
    assert share_segments(one, parts).info() == FScore(precision=1.0, recall=0.0)
    assert share_segments(parts, one).info() == FScore(precision=0.0, recall=1.0)

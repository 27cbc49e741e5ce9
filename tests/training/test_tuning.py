"""Each half is decoded as the other half wants it."""

from dataclasses import replace

import numpy as np
import pytest

from ulens.annotated.blocks import Block, divide, find_block
from ulens.annotated.samples import Sample
from ulens.encodings.table import ENCODINGS
from ulens.training.tuning import decode_across, decode_with, join_halves, tune_thresholds
from ulens.training.validate import Prediction, score

START = {"threshold": 0.7, "reach_threshold": 0.1}


def cells(faint, number=20):
    """A row of squares; beside each is a faint column, where `faint`, that is no part of it."""
    truth = np.zeros((20, 20 * number), np.int32)
    foreground = np.zeros(truth.shape, np.float32)
    for k in range(number):
        left = 20 * k + 4
        truth[5:15, left : left + 10] = k + 1
        foreground[5:15, left : left + 10] = 0.95
        foreground[5:15, left + 10] = 0.25 if faint[k] else 0
        foreground[5:15, left + 9] = 0.95 if faint[k] else 0.25
    maps = np.stack([1 - foreground, foreground])
    sample = Sample(name="cells", image=np.zeros((1, *truth.shape)), label=truth)
    labels = ENCODINGS["boundary"].decode(maps, **START)
    return Prediction(sample=sample, maps=maps, labels=labels)


def test_an_image_is_decoded_as_the_other_image_wants_it():
    faint, plain = cells([True] * 20), cells([False] * 20)
    wants = [tune_thresholds([each], "boundary", START) for each in (faint, plain)]
    assert wants[0]["reach_threshold"] == 0.3
    assert wants[1]["reach_threshold"] == 0.1
    decode = ENCODINGS["boundary"].decode
    for pair in ((faint, plain), (plain, faint)):
        found = decode_across(pair, "boundary", START)
        for each, other in zip(found, pair[::-1], strict=True):
            want = wants[0] if other is faint else wants[1]
            np.testing.assert_array_equal(each.labels, decode(each.maps, **want))


def test_of_one_image_each_half_is_decoded_as_the_other_wants_it():
    only = cells([True] * 10 + [False] * 10)
    (found,) = decode_across([only], "boundary", START)
    # as it wants itself each half were perfect
    decode = ENCODINGS["boundary"].decode
    first, last = (decode(only.maps, **{**START, "reach_threshold": t}) for t in (0.1, 0.3))
    assert (found.labels[:, :200] > 0).tolist() == (first[:, :200] > 0).tolist()
    assert (found.labels[:, 200:] > 0).tolist() == (last[:, 200:] > 0).tolist()
    assert len(np.unique(found.labels)) == 21
    assert score([found], "instances")["mean AP"] < 0.95


def test_halves_that_agree_are_decoded_as_all_together():
    for only in (cells([True] * 20), cells([False] * 20)):
        (found,) = decode_across([only], "boundary", START)
        decoding = tune_thresholds([only], "boundary", START)
        (tuned,) = decode_with([only], "boundary", decoding)
        np.testing.assert_array_equal(found.labels, tuned.labels)


def test_a_half_without_objects_has_no_say():
    only = cells([False] * 20)
    only.sample.label[:, 200:] = 0
    # by itself the last half would want a threshold so high that nothing is found anywhere
    parts = [only.sample.label[:, :200], only.sample.label[:, 200:]]
    assert [bool((part > 0).any()) for part in parts] == [True, False]
    block = find_block([only.sample.label], 0.5)
    assert (block.axis, block.start) == (1, 200)
    alone = replace(only, sample=divide(only.sample, block, "instances")[1])
    assert tune_thresholds([alone], "boundary", START) != START
    (found,) = decode_across([only], "boundary", START)
    np.testing.assert_array_equal(
        found.labels[:, :200] > 0, ENCODINGS["boundary"].decode(only.maps, **START)[:, :200] > 0
    )


def test_objects_of_both_halves_keep_numbers_of_their_own():
    only = cells([True] * 10 + [False] * 10)
    first, last = np.zeros_like(only.labels), np.zeros_like(only.labels)
    first[2:5, 2:5], last[2:5, 302:305], last[12:15, 302:305] = 1, 1, 2
    joined = join_halves(first, last, Block(1, 200), "instances")
    assert len(np.unique(joined)) == 4
    assert (joined > 0).sum() == 27


def test_of_membranes_the_halves_are_put_side_by_side():
    label = np.ones((40, 82), np.int32)
    label[:, [20, 61]] = 0
    foreground = np.where(label == 0, 0.1, 0.95).astype(np.float32)
    foreground[:, 20] = 0.45  # a weak membrane: at 0.3 it would be lost
    foreground[5, 70] = 0.45  # found at 0.3, but not at what the first half wants
    maps = np.stack([1 - foreground, foreground])
    sample = Sample(name="a", image=np.zeros((1, 40, 82)), label=label)
    only = Prediction(sample=sample, maps=maps, labels=(foreground > 0.3).astype(np.int32))
    (found,) = decode_across([only], "membrane", {"threshold": 0.3})
    assert found.labels[:, 20].all()
    assert not found.labels[:, 61].any()
    assert found.labels[5, 70] == 0


def test_what_has_no_thresholds_stays():
    only = cells([True] * 20)
    assert decode_across([only], "classes", {}) == [only]


@pytest.mark.parametrize("number", [2, 3, 5])
def test_every_image_comes_back_in_its_place(number):
    several = [
        replace(each, sample=replace(each.sample, name=str(k)))
        for k, each in enumerate([cells([True] * 4, 4)] * number)
    ]
    found = decode_across(several, "boundary", START)
    assert [each.sample.name for each in found] == [str(k) for k in range(number)]

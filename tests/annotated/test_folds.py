"""What folds hold out: each annotation once, by the rules of the holdout."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ulens.annotated.folds import split_folds, undivided
from ulens.annotated.holdout import leave_gap
from ulens.annotated.samples import Sample
from ulens.errors import DataError, SettingError


def samples(number, shape=(20, 60), stack=None):
    generator = np.random.default_rng(number)
    return [
        Sample(
            name=f"{stack or 'image'} {k:02d}",
            image=generator.integers(0, 255, (1, *shape), np.uint8),
            label=generator.integers(0, 2, shape).astype(np.int32),
            stack=stack,
        )
        for k in range(number)
    ]


def names(samples):
    return [sample.name for sample in samples]


@pytest.mark.parametrize(("number", "folds"), [(4, 4), (20, 5), (23, 5), (3, 3), (7, 2)])
def test_whole_images_are_held_out_once_each_and_spread(number, folds):
    originals = samples(number)
    splits = split_folds(originals, folds, "classes")
    assert Counter(n for s in splits for n in names(s.held_out)) == Counter(names(originals))
    for split in splits:
        assert set(names(split.training)) == set(names(originals)) - set(names(split.held_out))
        assert len(split.held_out) in (number // folds, -(-number // folds))
        assert not split.chosen.not_independent
    assert names(splits[0].held_out)[:2] == [f"image {k:02d}" for k in range(0, number, folds)][:2]
    whole = undivided(splits)
    assert (names(whole.training), whole.held_out) == (names(originals), [])
    assert f"{folds} folds" in whole.description
    assert "all images" in whole.description


@pytest.mark.parametrize("folds", [2, 3, 5, 12])
def test_of_a_stack_runs_of_planes_with_a_gap_on_both_sides(folds):
    originals = samples(24, stack="a.tif")
    splits = split_folds(originals, folds, "classes")
    assert [name for split in splits for name in names(split.held_out)] == names(originals)
    for split in splits:
        numbers = [int(name[-2:]) for name in names(split.held_out)]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        beside = {f"a.tif {k:02d}" for k in (numbers[0] - 1, numbers[-1] + 1) if 0 <= k < 24}
        assert set(split.chosen.between) == beside
        assert not beside & set(names(split.training))
    assert "the plane beside a run is left out" in undivided(splits).description


def test_of_many_stacks_whole_ones():
    originals = [s for k in range(5) for s in samples(4, stack=f"{k}.tif")]
    for split in split_folds(originals, 5, "classes"):
        assert len({name.split()[0] for name in names(split.held_out)}) == 1
        assert not split.chosen.between
        assert len(split.training) == 16


@pytest.mark.parametrize("labels_are", ["classes", "instances"])
@pytest.mark.parametrize(("number", "folds"), [(1, 2), (1, 5), (2, 3), (3, 4)])
def test_of_few_images_parts_that_hold_each_pixel_once(number, folds, labels_are):
    originals = samples(number, shape=(20, 200))
    if labels_are == "instances":  # of 4×7 px, a pixel apart
        y, x = np.ogrid[:20, :200]
        tiles = (y // 5 * 25 + x // 8 + 1) * ((y % 5 < 4) & (x % 8 < 7))
        originals = [replace(sample, label=tiles.astype(np.int32)) for sample in originals]
    splits = [
        leave_gap(split, (4, 4), labels_are=labels_are)
        for split in split_folds(originals, folds, labels_are)
    ]
    for k in range(number):
        scored = sum((split.held_out[k].label >= 0).astype(int) for split in splits)
        assert (scored == 1).all()
    for split in splits:
        assert not split.chosen.not_independent
        for held_out, training in zip(split.held_out, split.training, strict=True):
            lines = np.flatnonzero((held_out.label >= 0).any(0))
            near = training.label[:, max(0, lines[0] - 4) : lines[-1] + 5]
            assert (near == -1).all()
            assert not ((held_out.label >= 0) & (training.label >= 0)).any()
    assert "4 px beside it" in undivided(splits).description


def test_parts_without_room_for_a_gap_are_not_independent():
    splits = split_folds(samples(1), 3, "classes")
    wide = [leave_gap(split, (40, 40), labels_are="classes") for split in splits]
    assert "no room for a gap" in undivided(wide).chosen.not_independent


def test_only_unseen_images_are_held_out_and_seen_ones_alone_are_no_evidence():
    originals = samples(10)
    seen = [sample.image_hash for sample in originals[:4]]
    splits = split_folds(originals, 3, "classes", seen=seen)
    held_out = {name for split in splits for name in names(split.held_out)}
    assert held_out == set(names(originals[4:]))
    assert all(set(names(originals[:4])) <= set(names(split.training)) for split in splits)
    assert "6 of 10 images" in undivided(splits).description
    every = [sample.image_hash for sample in originals]
    splits = split_folds(originals, 3, "classes", seen=every)
    assert "has seen all of these images" in undivided(splits).chosen.not_independent


def test_more_folds_than_images_are_refused():
    with pytest.raises(SettingError, match=r"folds is 7, but 6 images can be held out.*give 6 at"):
        split_folds(samples(6), 7, "classes")
    with pytest.raises(DataError, match="too small to be divided"):
        split_folds(samples(1, shape=(1, 3)), 5, "classes")


def test_images_without_annotation_take_no_part():
    originals = samples(5)
    bare = replace(originals[2], label=np.full((20, 60), -1, np.int32))
    splits = split_folds([*originals[:2], bare, *originals[3:]], 4, "classes")
    assert all(bare.name not in names((*s.held_out, *s.training)) for s in splits)

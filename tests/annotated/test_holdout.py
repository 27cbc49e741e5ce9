from dataclasses import replace

import numpy as np
import pytest

from ulens.annotated.blocks import Block
from ulens.annotated.holdout import HeldOut, leave_gap, split_as, split_samples
from ulens.annotated.samples import Sample
from ulens.annotated.seen import hash_image
from ulens.errors import DataError


def samples(number, shape=(20, 50)):
    generator = np.random.default_rng(0)
    return [
        Sample(
            name=f"image {k}",
            image=generator.integers(0, 255, (1, *shape), np.uint8),
            label=generator.integers(0, 2, shape).astype(np.int32),
        )
        for k in range(number)
    ]


@pytest.mark.parametrize(("number", "held_out"), [(4, 1), (6, 1), (15, 1), (20, 2), (35, 3)])
def test_one_image_in_ten_is_held_out(number, held_out):
    split = split_samples(samples(number), labels_are="classes")
    names = {sample.name for sample in split.held_out}
    assert len(split.held_out) == held_out
    assert len(split.training) == number - held_out
    assert not names & {sample.name for sample in split.training}
    assert all(name in split.description for name in names)
    # each in the middle of its part of the row
    positions = [int(sample.name.split()[1]) for sample in split.held_out]
    places = [position * held_out / number - part for part, position in enumerate(positions)]
    assert places == pytest.approx([0.5] * held_out, abs=0.1)


def test_what_was_held_out_stays_and_of_new_images_one_in_ten_is_added():
    every = samples(25)
    new = [sample.name for sample in every[15:]]
    split = split_as(every, HeldOut(names=["image 3"]), new=new, labels_are="classes")
    assert [sample.name for sample in split.held_out] == ["image 3", "image 15"]
    assert len(split.training) == 23
    assert split.whole == every
    assert not split.chosen.blocks


def test_blocks_stay_and_whole_images_are_added_to_them():
    every = samples(10)
    before = split_samples(every[:2], labels_are="classes")
    split = split_as(every, before.chosen, new=["image 9"], labels_are="classes")
    assert split.chosen.blocks == {"image 0": Block(1, 40), "image 1": Block(1, 40)}
    assert [sample.name for sample in split.held_out] == ["image 0", "image 1", "image 9"]
    assert len(split.training) == 9
    assert split.description == (
        "held out for the score: 1 of 10 images (image 9) and the last 20% of image 0, image 1"
    )


def test_of_many_held_out_images_a_few_are_named():
    split = split_samples(samples(100), labels_are="classes")
    assert len(split.held_out) == 10
    assert split.description.endswith("image 55 and 4 more)")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_from_few_images_blocks_are_held_out_and_nothing_is_on_both_sides(number):
    originals = samples(number)
    split = split_samples(originals, labels_are="classes")
    for original, training, held_out in zip(originals, split.training, split.held_out, strict=True):
        seen, scored = training.label >= 0, held_out.label >= 0
        assert (seen ^ scored).all()
        assert scored.mean() == pytest.approx(0.2)
        assert scored[:, 40:].all()
        assert np.array_equal(np.where(seen, training.label, held_out.label), original.label)
    of = "the image" if number == 1 else f"each of the {number} images"
    assert split.description == f"held out for the score: the last 20% of {of}"


def test_an_instance_goes_whole_to_one_side():
    label = np.zeros((20, 50), np.int32)
    label[2:8, 34:42], label[10:16, 39:47], label[2:5, 2:5] = 1, 2, 3
    sample = Sample(name="cells", image=np.zeros((1, 20, 50)), label=label)
    split = split_samples([sample], labels_are="instances")
    assert set(np.unique(split.training[0].label)) == {-1, 0, 1, 3}
    assert set(np.unique(split.held_out[0].label)) == {-1, 0, 2}
    assert (split.held_out[0].label == 2).sum() == 48


def test_an_instance_in_the_middle_of_the_first_line_held_out_is_held_out():
    label = np.zeros((20, 50), np.int32)
    label[2:5, 45:48], label[10:16, 40], label[2:5, 2:5] = 1, 2, 3
    sample = Sample(name="cells", image=np.zeros((1, 20, 50)), label=label)
    split = split_samples([sample], labels_are="instances")
    assert split.chosen.blocks == {"cells": Block(1, 40)}
    assert set(np.unique(split.held_out[0].label)) == {-1, 0, 1, 2}
    assert set(np.unique(split.training[0].label)) == {-1, 0, 3}


def test_an_image_without_instances_is_divided_too():
    sample = Sample(name="empty", image=np.zeros((1, 20, 50)), label=np.zeros((20, 50), np.int32))
    split = split_samples([sample], labels_are="instances")
    assert (split.held_out[0].label[:, 40:] == 0).all()
    assert (split.training[0].label[:, :40] == 0).all()


def annotate(sample, rows):
    """Leave annotations in these rows alone."""
    label = np.full_like(sample.label, -1)
    label[rows] = sample.label[rows]
    return replace(sample, label=label)


@pytest.mark.parametrize("number", [1, 3])
def test_blocks_divide_what_is_annotated(number):
    partly = [annotate(each, slice(0, 10)) for each in samples(number, shape=(50, 20))]
    split = split_samples(partly, labels_are="classes")
    assert len(split.training) == len(split.held_out) == number
    for training, held_out in zip(split.training, split.held_out, strict=True):
        assert (training.label[:8] >= 0).all()
        assert (held_out.label[8:10] >= 0).all()
        assert (held_out.label >= 0).mean() == pytest.approx(0.04)


def test_images_without_annotation_are_not_held_out():
    ten = samples(10)
    for k in range(1, 10):
        ten[k] = annotate(ten[k], slice(0, 0)) if k >= 6 else ten[k]
    split = split_samples(ten, labels_are="classes")
    assert len(split.held_out) == 1
    assert (split.held_out[0].label >= 0).all()
    assert len(split.training) == 5


def test_an_image_too_small_to_be_divided_is_refused():
    with pytest.raises(DataError, match="image 0 is too small to be divided"):
        split_samples(samples(1, shape=(1, 1)), labels_are="classes")


def frames(*counts):
    """Return samples of sequences 01, 02 … with so many frames; every seventh has gold truth."""
    return [
        replace(
            sample, name=f"{number:02d}/t{k:03d}", sequence=f"{number:02d}", is_silver=k % 7 > 0
        )
        for number, count in enumerate(counts, start=1)
        for k, sample in enumerate(samples(count))
    ]


@pytest.mark.parametrize(
    ("counts", "held_out", "between"),
    [
        ((6,), ["01/t005"], ["01/t004"]),
        ((20,), ["01/t018", "01/t019"], ["01/t017"]),
        ((29,), ["01/t027", "01/t028"], ["01/t026"]),
        ((20, 10, 9), ["01/t018", "01/t019", "02/t009"], ["01/t017", "02/t008"]),
        ((5, 6), ["02/t005"], ["02/t004"]),
        ((6, 5), ["01/t005"], ["01/t004"]),
        ((5, 6, 7, 8), [f"03/t{k:03d}" for k in range(7)], []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("are_planes", [False, True])
def test_the_last_planes_and_frames_are_held_out_and_the_one_before_left_out(
    counts, held_out, between, are_planes
):
    originals = frames(*counts)
    if are_planes:
        originals = [replace(each, sequence=None, stack=each.sequence) for each in originals]
    split = split_samples(originals, labels_are="instances")
    assert [sample.name for sample in split.held_out] == held_out
    assert list(split.chosen.between) == between
    names = [sample.name for sample in originals if sample.name not in (*held_out, *between)]
    assert [sample.name for sample in split.training] == names
    assert split.whole == originals
    assert all(name in split.description for name in [*held_out[:5], *between])
    assert split.chosen.not_independent == ""


def test_silver_truth_in_the_score_is_told():
    gold_and_silver = split_samples(frames(30), labels_are="instances")
    assert gold_and_silver.description == (
        "held out for the score: 3 of 30 images (01/t027, 01/t028, 01/t029); 2 of them with silver "
        "truth alone; beside them, left out until then: 01/t026"
    )
    gold = [replace(sample, is_silver=False) for sample in frames(30)]
    assert "silver" not in split_samples(gold, labels_are="instances").description


def test_few_frames_are_divided_like_images():
    split = split_samples(frames(2, 1), labels_are="classes")
    assert len(split.training) == len(split.held_out) == 3


def hashes(samples):
    return {hash_image(sample.image) for sample in samples}


def test_only_images_that_were_never_seen_are_held_out():
    originals = samples(20)
    seen = [k for k in range(20) if k not in (3, 7, 11, 12)]
    split = split_samples(originals, labels_are="classes", seen=hashes(originals[k] for k in seen))
    assert [sample.name for sample in split.held_out] == ["image 11"]
    assert len(split.training) == 19
    assert split.chosen.not_independent == ""


def test_of_few_images_that_were_never_seen_blocks_are_held_out():
    originals = samples(6)
    split = split_samples(originals, labels_are="classes", seen=hashes(originals[:4]))
    assert [sample.name for sample in split.held_out] == ["image 4", "image 5"]
    assert list(split.chosen.blocks) == ["image 4", "image 5"]
    assert len(split.training) == 6


@pytest.mark.parametrize(
    ("number", "seen", "reason"),
    [(6, True, "has seen all of these images"), (2, True, "has seen all of these images"),
     (6, None, "does not tell which images it has seen")],
)  # fmt: skip
def test_a_score_on_what_was_seen_is_called_not_independent(number, seen, reason):
    originals = samples(number)
    split = split_samples(originals, labels_are="classes", seen=hashes(originals) if seen else None)
    plain = split_samples(originals, labels_are="classes")
    assert split.chosen.names == plain.chosen.names
    assert reason in split.chosen.not_independent


@pytest.mark.parametrize(("num_unseen", "is_blocks"), [(6, False), (2, True)])
def test_planes_beside_those_that_were_seen_are_not_independent(num_unseen, is_blocks):
    stack = [replace(each, stack="a.tif") for each in samples(12)]
    split = split_samples(stack, labels_are="classes", seen=hashes(stack[num_unseen:]))
    assert bool(split.chosen.blocks) == is_blocks
    assert "planes beside" in split.chosen.not_independent
    others = split_samples(stack, labels_are="classes", seen=hashes(stack[:num_unseen]))
    assert others.chosen.not_independent == ""


def test_planes_of_a_short_stack_are_divided_at_one_place():
    stack = [replace(each, stack="a.tif") for each in samples(3)]
    stack[1] = annotate(stack[1], slice(0, 20))
    stack[1].label[:, 30:] = -1
    split = split_samples(stack, labels_are="classes")
    assert len(set(split.chosen.blocks.values())) == 1
    assert split.chosen.not_independent == ""


def test_a_gap_as_wide_as_the_network_sees_is_left_beside_a_block():
    (sample,) = samples(1, shape=(20, 100))
    split = leave_gap(split_samples([sample], labels_are="classes"), (7, 15), labels_are="classes")
    trained, scored = split.training[0].label >= 0, split.held_out[0].label >= 0
    assert trained[:, :65].all()
    assert scored[:, 80:].all()
    assert not (trained | scored)[:, 65:80].any()
    assert "with a gap of 15 px before it" in split.description
    assert split.chosen.not_independent == ""
    again = split_as([sample], HeldOut.from_json(split.chosen.to_json()), labels_are="classes")
    assert np.array_equal(again.training[0].label, split.training[0].label)
    assert np.array_equal(split.whole[0].label, sample.label)


def test_the_gap_begins_where_scored_instances_do_and_takes_whole_ones():
    label = np.zeros((20, 100), np.int32)
    label[2:8, 70:95], label[10:16, 50:60], label[2:16, 20:30], label[10:16, 64:72] = 1, 2, 3, 4
    sample = Sample(name="cells", image=np.zeros((1, 20, 100)), label=label)
    split = leave_gap(
        split_samples([sample], labels_are="instances"), (15, 15), labels_are="instances"
    )
    training, scored = split.training[0].label, split.held_out[0].label
    assert set(np.unique(scored)) == {-1, 0, 1}
    assert (scored == 1).sum() == (label == 1).sum()
    assert set(np.unique(training)) == {-1, 0, 3}
    first, last = np.flatnonzero((scored >= 0).any(0)).min(), np.flatnonzero((training >= 0).any(0))
    assert (first, last.max()) == (70, 54)


@pytest.mark.parametrize("reach", [41, 200])
def test_without_room_for_a_gap_there_is_none_and_the_score_is_not_independent(reach):
    originals = samples(1, shape=(20, 100))
    plain = split_samples(originals, labels_are="classes")
    split = leave_gap(plain, (reach, reach), labels_are="classes")
    assert np.array_equal(split.training[0].label, plain.training[0].label)
    reason = split.chosen.not_independent
    assert f"the network looks {reach} px far, and image 0 leaves no room" in reason
    assert leave_gap(plain, (38, 38), labels_are="classes").chosen.not_independent == ""


def test_no_gap_is_left_where_it_would_take_the_objects():
    label = np.zeros((20, 100), np.int32)
    label[2:8, 66:76], label[2:8, 84:90] = 1, 2
    sample = Sample(name="cells", image=np.zeros((1, 20, 100)), label=label)
    split = split_samples([sample], labels_are="instances")
    assert "no room" in leave_gap(split, (20, 20), labels_are="instances").chosen.not_independent


def test_whole_images_need_no_gap():
    split = split_samples(samples(6), labels_are="classes")
    assert leave_gap(split, (99, 99), labels_are="classes") is split


def test_what_older_versions_held_out_is_read():
    old = HeldOut.from_json({"held_out": ["a"], "held_out_blocks": {"a": [1, 30]}})
    assert old.blocks == {"a": Block(1, 30, 0)}
    assert (list(old.between), old.not_independent) == ([], "")

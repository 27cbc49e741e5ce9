import numpy as np
import pytest

from ulens.data.holdout import split_samples
from ulens.io.annotations import Sample


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


@pytest.mark.parametrize(("number", "held_out"), [(6, 1), (15, 1), (20, 2), (35, 3)])
def test_one_image_in_ten_is_held_out(number, held_out):
    split = split_samples(samples(number), labels_are="classes")
    names = {sample.name for sample in split.held_out}
    assert len(split.held_out) == held_out
    assert len(split.training) == number - held_out
    assert not names & {sample.name for sample in split.training}
    assert all(name in split.description for name in names)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_from_few_images_blocks_are_held_out_and_nothing_is_on_both_sides(number):
    originals = samples(number)
    split = split_samples(originals, labels_are="classes")
    for original, training, held_out in zip(originals, split.training, split.held_out, strict=True):
        seen, scored = training.label >= 0, held_out.label >= 0
        assert (seen ^ scored).all()
        assert scored.mean() == pytest.approx(0.2)
        assert scored[:, 40:].all()
        assert np.array_equal(np.where(seen, training.label, held_out.label), original.label)


def test_an_instance_goes_whole_to_one_side():
    label = np.zeros((20, 50), np.int32)
    label[2:8, 34:42], label[10:16, 39:47], label[2:5, 2:5] = 1, 2, 3
    sample = Sample(name="cells", image=np.zeros((1, 20, 50)), label=label)
    split = split_samples([sample], labels_are="instances")
    assert set(np.unique(split.training[0].label)) == {-1, 0, 1, 3}
    assert set(np.unique(split.held_out[0].label)) == {-1, 0, 2}
    assert (split.held_out[0].label == 2).sum() == 48

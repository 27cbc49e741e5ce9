"""What scores rest on, and that their intervals are those of what is scored."""

from dataclasses import replace

import numpy as np
import pytest

from ulens.annotated.samples import Sample
from ulens.labels.overlap import contingency, iou_matrix
from ulens.metrics.instance import IOU_THRESHOLDS, count_by_part, count_matches, instance_scores
from ulens.training.evidence import Evidence, cut_tiles, gather_evidence, ingredients
from ulens.training.validate import Prediction, score_held_out


def prediction(truth, labels, num_classes=2):
    maps = np.stack([labels == k for k in range(num_classes)]).astype(np.float32)
    sample = Sample(name="a", image=np.zeros((1, *truth.shape)), label=truth)
    return Prediction(sample=sample, maps=maps, labels=labels)


def squares(found, size=80):
    """Sixteen squares of which those numbered are found."""
    truth = np.zeros((size, size), np.int32)
    for k in range(16):
        y, x = 20 * (k // 4) + 4, 20 * (k % 4) + 4
        truth[y : y + 10, x : x + 10] = k + 1
    return prediction(truth, np.where(np.isin(truth, [k + 1 for k in found]), truth, 0))


def as_classes(each):
    truth, labels = (each.sample.label > 0) * 1, (each.labels > 0) * 1
    return prediction(truth.astype(np.int32), labels.astype(np.int32))


@pytest.mark.parametrize("labels_are", ["instances", "classes"])
def test_images_objects_and_pixels_are_counted(labels_are):
    several = [squares(range(number)) for number in (4, 8, 12)]
    several[0].sample.label[:, 60:] = -1
    if labels_are == "classes":
        several = [as_classes(each) for each in several]
        several[0].sample.label[:, 60:] = -1
    found = gather_evidence(several, labels_are, score_held_out(several, labels_are))
    assert (found.num_images, found.num_objects) == (3, 12 + 16 + 16)
    assert found.num_pixels == 80 * 60 + 2 * 80 * 80
    assert found.num_tiles == 0
    assert "3 images with 44 objects in 17,600 pixels" in found.in_words()


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("labels_are", ["instances", "classes"])
def test_what_intervals_are_made_of_gives_the_score_itself(labels_are, number):
    several = [squares(range(3 * k + 2)) for k in range(number)]
    # empty corners, where a mean over tiles is not what all objects together give
    several[0].sample.label[:40, :40] = several[0].labels[:40, :40] = 0
    if labels_are == "classes":
        several = [as_classes(each) for each in several]
    scores = score_held_out(several, labels_are)
    tiles = cut_tiles(several[0].sample.label) if number == 1 else None
    made_of = ingredients(several, labels_are, tiles)
    assert set(made_of) >= {"AP@0.5", "mean AP"} or set(made_of) >= {"mean IoU", "Dice"}
    for name in ("AP@0.5", "mean AP", "mean IoU", "Dice"):
        if name in scores:
            units, statistic = made_of[name]
            assert statistic(units.mean(0)[None])[0] == pytest.approx(scores[name])


def test_every_score_has_an_interval_that_holds_it():
    for several in ([squares(range(7))], [squares(range(7)), squares(range(12))]):
        for labels_are in ("instances", "classes"):
            made = several if labels_are == "instances" else [as_classes(each) for each in several]
            scores = score_held_out(made, labels_are)
            found = gather_evidence(made, labels_are, scores)
            headlines = {"AP@0.5", "mean AP", "mean IoU", "Dice"} & set(scores)
            assert headlines <= set(found.intervals) <= set(scores)
            for name, (low, high) in found.intervals.items():
                assert 0 <= low <= scores[name] <= high <= 1


def test_of_one_image_the_tiles_of_the_annotated_part_count():
    only = squares(range(7))
    only.sample.label[:, 40:] = -1
    found = gather_evidence([only], "instances", score_held_out([only], "instances"))
    assert (found.num_images, found.num_objects) == (1, 8)
    assert found.num_tiles == 18  # 6 by 3 squares of 13 px
    assert "do not tell how images differ" in found.in_words()
    low, high = found.intervals["AP@0.5"]
    assert 0.05 < high - low < 1


def test_more_tiles_found_alike_tell_more():
    widths = []
    for found in (range(0, 16, 2), range(15)):
        only = squares(found)
        low, high = gather_evidence(
            [only], "instances", score_held_out([only], "instances")
        ).intervals["AP@0.5"]
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 0
    # where all tiles are alike they do not tell how far the score may be off
    perfect = squares(range(16))
    found = gather_evidence([perfect], "instances", score_held_out([perfect], "instances"))
    assert found.intervals == {}
    assert found.in_words().endswith("too little for an interval")


def test_without_any_object_the_score_says_nothing_of_objects():
    none = prediction(np.zeros((40, 40), np.int32), np.zeros((40, 40), np.int32))
    found = gather_evidence([none], "instances", score_held_out([none], "instances"))
    assert found.in_words().endswith("they do not tell how well objects are found")


def test_a_single_pixel_has_no_interval():
    tiny = prediction(np.ones((1, 1), np.int32), np.ones((1, 1), np.int32))
    found = gather_evidence([tiny], "instances", score_held_out([tiny], "instances"))
    assert found.intervals == {}
    assert "too little for an interval" in found.in_words()


def test_counts_of_parts_add_up_to_those_of_the_image():
    generator = np.random.default_rng(0)
    truth, labels = squares(range(16)).sample.label, np.roll(squares(range(10)).labels, 3, axis=1)
    part = generator.integers(0, 5, truth.shape)
    counts = count_by_part(truth, labels, part)
    whole = count_matches(iou_matrix(contingency(truth, labels)))
    for place, threshold in enumerate(IOU_THRESHOLDS):
        at = whole[threshold]
        assert counts[:, place].sum(0).tolist() == [at.num_matched, at.num_missed, at.num_extra]
    assert counts[:, 0, 0].sum() == 10 == instance_scores([truth], [labels]).counts[0.5].num_matched


def test_it_is_read_as_it_was_written():
    found = Evidence(
        num_images=1, num_objects=3, num_pixels=9, num_tiles=4, intervals={"Dice": (0.5, 0.75)}
    )
    assert Evidence.from_json(found.to_json()) == found
    assert Evidence.from_json({**found.to_json(), "intervals": {"Dice": [0.5, 0.75]}}) == found
    assert replace(found, intervals={}).in_words().endswith("too little for an interval")

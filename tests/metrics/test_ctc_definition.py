"""SEG, DET, TRA and LNK against their definition, on small sequences drawn at random."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from ulens.metrics.ctc import seg_scores, tracking_scores
from ulens.tracking.lineage import Lineage, Track

NUM_FRAMES = 4
BLOBS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3])


def draw_masks(generator):
    """Return (T, X) labels of three blobs; some get a new label, some pixels that of another."""
    labels = np.array([1, 2, 3, 0])
    masks = np.zeros((NUM_FRAMES, BLOBS.size), int)
    for i in range(NUM_FRAMES):
        is_new = generator.random(3) < 0.3
        labels[:3][is_new] = 4 + 3 * i + np.flatnonzero(is_new)
        noise = np.where(generator.random(BLOBS.size) < 0.25, generator.integers(0, 4), BLOBS)
        masks[i] = labels[noise]
    return masks


def draw_tracks(masks, first_frame, generator):
    """Return tracks of all labels, each with a parent at random among those that ended before."""
    tracks = [Track(50, 0, first_frame - 1, 0)]
    for label in np.unique(masks[masks > 0]).tolist():
        frames = first_frame + np.flatnonzero((masks == label).any(axis=1))
        start, end = int(frames[0]), int(frames[-1])
        ended = [each.label for each in tracks if each.end < start]
        tracks.append(Track(label, start, end, int(generator.choice([0, *ended]))))
    return Lineage(tuple(tracks))


def objects_of(masks):
    return {(i, label) for i, mask in enumerate(masks) for label in {*mask.tolist()} - {0}}


def links_of(masks, lineage, first_frame):
    """Return all links between two objects (frame, label); True if from a parent to its child."""
    objects = objects_of(masks)
    links = {((i, label), (i + 1, label)): False for i, label in objects}
    for (i, parent), (j, child) in lineage.parent_links():
        links[(i - first_frame, parent), (j - first_frame, child)] = True
    return {ends: to_child for ends, to_child in links.items() if objects.issuperset(ends)}


def test_all_scores_are_those_of_the_definition():
    generator, totals = np.random.default_rng(0), Counter()
    for _ in range(60):
        truth, guess = draw_masks(generator), draw_masks(generator)
        first_frame = int(generator.integers(1, 4))
        reference, result = (draw_tracks(each, first_frame, generator) for each in (truth, guess))
        images = list(zip(truth[:, None], guess[:, None], strict=True))
        found = tracking_scores(images, reference, result, first_frame=first_frame)

        objects, guessed = objects_of(truth), objects_of(guess)
        matches, jaccard = {}, []  # result objects, each with all that it matches
        for (i, one), (j, other) in product(sorted(objects), sorted(guessed)):
            a, b = truth[i] == one, guess[j] == other
            if i == j and 2 * (a & b).sum() > a.sum():
                matches.setdefault((j, other), []).append((i, one))
                jaccard.append((a & b).sum() / (a | b).sum())
        alone = {each: of[0] for each, of in matches.items() if len(of) == 1}
        wanted = links_of(truth, reference, first_frame)
        given = {
            (alone[source], alone[target]): to_child
            for (source, target), to_child in links_of(guess, result, first_frame).items()
            if source in alone and target in alone
        }
        counts = {
            "num_objects": len(objects),
            "num_splits": len(jaccard) - len(matches),
            "num_missed": len(objects) - len(jaccard),
            "num_extra": len(guessed) - len(matches),
            "num_links": len(wanted),
            "num_redundant": len(given.keys() - wanted.keys()),
            "num_missing": len(wanted.keys() - given.keys()),
            "num_wrong": sum(given[each] != wanted[each] for each in given.keys() & wanted.keys()),
        }
        parts = [found.detection] * 4 + [found.links] * 4
        measured = [getattr(part, name) for part, name in zip(parts, counts, strict=True)]
        assert measured == list(counts.values())
        totals.update(counts)

        seg = seg_scores(images)
        assert seg.num_matched == len(jaccard)
        assert seg.seg == pytest.approx(sum(jaccard) / len(objects))
        _, splits, missed, extra, _, redundant, missing, wrong = counts.values()
        of_objects, of_links = 5 * splits + 10 * missed + extra, redundant + 1.5 * missing + wrong
        all_objects, all_links = 10 * len(objects), 1.5 * len(wanted)
        assert found.detection.det == pytest.approx(max(0, 1 - of_objects / all_objects))
        assert found.lnk == pytest.approx(max(0, 1 - of_links / all_links))
        whole = all_objects + all_links
        assert found.tra == pytest.approx(max(0, 1 - (of_objects + of_links) / whole))
    assert all(total > 9 for total in totals.values()), totals  # every kind of error occurs


def test_links_from_different_frames_to_one_are_never_taken_for_one_another():
    frames = np.array([[[1, 0, 0, 0]], [[2, 0, 0, 0]], [[3, 4, 5, 6]]])
    images = list(zip(frames, frames, strict=True))
    tracks = [(1, 0, 0, 0), (2, 1, 1, 0), (3, 2, 2, 0), (4, 2, 2, 0), (5, 2, 2, 0), (6, 2, 2, 0)]
    over_gap, direct = tracks.copy(), tracks.copy()
    over_gap[4], direct[2] = (5, 2, 2, 1), (3, 2, 2, 2)
    links = tracking_scores(images, Lineage(over_gap), Lineage(direct)).links
    assert (links.num_links, links.num_redundant, links.num_missing) == (1, 1, 1)

"""The splits behind docs/results.md: nothing that is scored was trained on."""

import csv
import importlib.util
import random
from pathlib import Path

import pytest

from ulens.annotated.ctc import find_truth
from ulens.annotated.selection import parse_frames

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "split.py"


@pytest.fixture(scope="module")
def split():
    spec = importlib.util.spec_from_file_location("split", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(chosen):
    return set(parse_frames(chosen, 1000))


@pytest.mark.parametrize("name", ["isbi2012", "hela", "u373", "wbc"])
def test_no_number_is_trained_on_and_scored(split, name):
    entry = split.SPLITS[name]
    assert not numbers(entry["train"]) & numbers(entry["score"])


def test_the_curves_train_on_evenly_spaced_images_of_the_splits(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    curves = importlib.import_module("annotated_frames")
    assert curves.spaced(range(50), 5) == [5, 15, 25, 35, 45]
    assert curves.spaced(range(15), 15) == list(range(15))
    for data in curves.DATA.values():
        assert not set(data.pool) & set(data.scored)
        for count in data.counts:
            assert len(set(curves.spaced(data.pool, count))) == count


def test_the_files_that_are_linked(split):
    links = split.links(split.SPLITS["wbc"])
    assert len(links) == 2 * 100
    assert links["train/images/001.bmp"] == "wbc/001.bmp"
    assert links["score/labels/100.png"] == "wbc/100.png"
    links = split.links(split.SPLITS["dsb2018"])
    assert sum(each.startswith("train/images/") for each in links) == 10
    assert sum(each.startswith("score/images/") for each in links) == 31
    of_kinds = [each for each in links if each.startswith("score-") and "/labels/" in each]
    assert len(of_kinds) == 31
    assert len(split.links(split.SPLITS["u373"])) == 20
    frame = "DIC-C2DH-HeLa/01/t054.tif"
    assert split.links(split.SPLITS["hela"])[frame] == frame


def test_an_older_link_is_replaced_and_a_missing_file_named(split, tmp_path):
    (tmp_path / "image.png").touch()
    for _ in range(2):
        split.link(tmp_path / "work" / "image.png", tmp_path / "image.png")
    assert (tmp_path / "work" / "image.png").resolve() == tmp_path / "image.png"
    with pytest.raises(SystemExit, match=r"absent\.png is missing; set ULENS_DATA"):
        split.link(tmp_path / "work" / "absent.png", tmp_path / "absent.png")


@pytest.mark.real
def test_the_nuclei_are_drawn_as_the_rule_says(split, real_data):
    entry = split.SPLITS["dsb2018"]
    with (real_data / "dsb2018" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    for kind, num in (("fluo", 7), ("color", 3), ("bright", 0)):
        ids = [row["id"] for row in rows if row["kind"] == kind]
        train = entry["train"].get(kind, [])
        assert train == sorted(random.Random(0).sample(ids, num))
        assert entry["score"][kind] == sorted(set(ids) - set(train))


@pytest.mark.real
@pytest.mark.parametrize(("name", "num_train"), [("hela", 7), ("u373", 8)])
def test_the_gold_frames_are_those_that_the_results_name(split, real_data, name, num_train):
    entry = split.SPLITS[name]
    truth = find_truth(real_data / entry["data"] / f"{entry['sequence']}_GT")
    gold = {each.frame for each in truth.segmentation}
    assert len(gold & numbers(entry["train"])) == num_train
    assert sorted(gold & numbers(entry["score"])) == entry["gold_to_score"]

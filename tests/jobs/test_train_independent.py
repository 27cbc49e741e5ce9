"""Whether a score is of images that the network never saw, and that it says so where it is not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tiny_training import changed, squares, tiny_plan, write_folder
from ulens.annotated.samples import read_annotated
from ulens.annotated.seen import hash_image
from ulens.bundle import MODEL, load_bundle
from ulens.cli.terminal import show_training
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.planning import TrainSettings
from ulens.jobs.train import Message, run_training
from ulens.training.begin import images_seen, reach_px

NOT_INDEPENDENT = "has seen all of these images"


def train(folder, out="model", **changes):
    settings = {
        "images": folder / "images", "labels": folder / "labels", "out": folder / out,
        "plan": folder / "plan.json",
    }  # fmt: skip
    return list(run_training(TrainSettings(**{**settings, **changes})))


def hashes(folder):
    samples = read_annotated(folder / "images", folder / "labels").samples
    return {hash_image(sample.image) for sample in samples}


def add_images(folder, seeds):
    for seed in seeds:
        image, label = squares(seed)
        write_tiff(folder / "images" / f"{seed}.tif", Image(data=image, axes="YX"))
        write_tiff(folder / "labels" / f"{seed}.tif", Image(data=label, axes="YX"))


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("parent"), steps=10)
    train(folder)
    return folder


def test_a_model_remembers_all_that_it_has_seen(parent):
    seen = load_bundle(parent / "model").provenance["seen"]
    assert set(seen) == hashes(parent)
    assert len(seen) == 7


def test_trained_further_on_what_it_has_seen_it_says_so_everywhere(parent, tmp_path, capsys):
    folder = write_folder(tmp_path, steps=10)
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model",
        plan=folder / "plan.json", start_from=parent / "model",
    )  # fmt: skip
    assert show_training(run_training(settings))
    out = capsys.readouterr().out
    assert (
        f"the score will not be independent: the model that training starts from {NOT_INDEPENDENT}"
        in out
    )
    assert (
        f"not independent: the model that training starts from {NOT_INDEPENDENT}"
        in out[out.index("done") :]
    )
    entries = json.loads((folder / "model" / MODEL).read_text())["provenance"]
    assert NOT_INDEPENDENT in entries["not_independent"]
    assert (
        f"not independent: the model that training starts from {NOT_INDEPENDENT}"
        in (folder / "model" / "report.html").read_text()
    )


def test_only_new_images_are_held_out_and_the_ancestors_remembered(parent, tmp_path):
    folder = write_folder(tmp_path, steps=10)
    add_images(folder, range(20, 25))
    events = train(folder, start_from=parent / "model")
    bundle = events[-1].bundle
    (held_out,) = bundle.provenance["held_out"]
    assert int(held_out) >= 20
    assert bundle.provenance["not_independent"] == ""
    for name in [f"{k}.tif" for k in range(7)]:
        (folder / "images" / name).unlink()
        (folder / "labels" / name).unlink()
    add_images(folder, range(30, 34))
    again = train(folder, "third", start_from=folder / "model")[-1].bundle
    assert hashes(parent) < set(again.provenance["seen"])
    assert set(again.provenance["seen"]) == hashes(parent) | hashes(folder)
    assert int(again.provenance["held_out"][0]) >= 30


def test_what_was_renamed_and_saved_anew_is_known_again(parent, tmp_path):
    folder = write_folder(tmp_path, steps=10, number=0)
    for seed in range(7):
        image, label = squares(seed)
        color = np.repeat(image[None], 3, axis=0).astype(np.uint16)
        write_tiff(folder / "images" / f"new {seed}.tif", Image(data=color, axes="CYX"))
        write_tiff(folder / "labels" / f"new {seed}.tif", Image(data=label, axes="YX"))
    bundle = train(folder, start_from=parent / "model")[-1].bundle
    assert NOT_INDEPENDENT in bundle.provenance["not_independent"]


def test_a_model_that_does_not_tell_leaves_its_descendants_unable_to(parent, tmp_path):
    folder = write_folder(tmp_path, steps=10)
    train(folder, "old")
    path = folder / "old" / MODEL
    entries = json.loads(path.read_text())
    del entries["provenance"]["seen"]
    path.write_text(json.dumps(entries))
    for start, out in (("old", "child"), ("child", "grandchild")):
        bundle = train(folder, out, start_from=folder / start)[-1].bundle
        assert "does not tell which images" in bundle.provenance["not_independent"]
        assert bundle.provenance["seen"] is None


def test_resumed_it_remembers_ancestors_and_doubts(parent, tmp_path):
    folder = write_folder(tmp_path, steps=10)
    train(folder, start_from=parent / "model")
    bundle = train(folder, plan=None, resume=True, steps=15)[-1].bundle
    assert bundle.provenance["steps"] == 15
    assert NOT_INDEPENDENT in bundle.provenance["not_independent"]
    assert set(bundle.provenance["seen"]) == hashes(parent)


def test_the_model_that_comes_with_ulens_has_seen_none_of_them():
    from ulens.bundle import START

    start = load_bundle(START)
    assert images_seen(start, START) == images_seen(None, None) == []
    assert images_seen(start, START.parent / "copy") is None


def test_a_block_is_held_out_with_a_gap_as_wide_as_the_network_sees(tmp_path):
    folder = write_folder(tmp_path, number=0, steps=20)
    image, label = squares(0, size=120)
    write_tiff(folder / "images" / "0.tif", Image(data=image, axes="YX"))
    write_tiff(folder / "labels" / "0.tif", Image(data=label, axes="YX"))
    assert reach_px(tiny_plan()) == (9, 9)
    assert reach_px(changed(tiny_plan(), zoom=(0.5, 1.0))) == (18, 9)
    events = train(folder)
    provenance = events[-1].bundle.provenance
    assert provenance["held_out_blocks"] == {"0": [0, 96, 9, None]}
    assert provenance["not_independent"] == ""
    assert any("a gap of 9 px" in event.text for event in events if isinstance(event, Message))
    again = train(folder, plan=None, resume=True, steps=25)[-1].bundle
    assert again.provenance["held_out_blocks"] == {"0": [0, 96, 9, None]}


def test_an_image_too_small_for_a_gap_is_scored_and_says_so(tmp_path):
    folder = write_folder(tmp_path, number=1, depth=2, crop=68, steps=10)
    bundle = train(folder)[-1].bundle
    assert "0 leaves no room for a gap" in bundle.provenance["not_independent"]
    assert "0 leaves no room for a gap" in (folder / "model" / "report.html").read_text()


def test_planes_of_a_stack_are_held_out_at_its_end(tmp_path):
    folder = write_folder(tmp_path, number=0, steps=10)
    planes = [squares(seed) for seed in range(8)]
    for kind, number in (("images", 0), ("labels", 1)):
        data = np.stack([plane[number] for plane in planes])
        write_tiff(folder / kind / "a.tif", Image(data=data, axes="ZYX"))
    provenance = train(folder)[-1].bundle.provenance
    assert provenance["held_out"] == ["a_z007"]
    assert provenance["left_between"] == ["a_z006"]


def test_terminal_report_and_model_tell_what_the_score_rests_on(tmp_path, capsys):
    folder = write_folder(tmp_path, number=20, steps=30)
    settings = TrainSettings(
        images=folder / "images", labels=folder / "labels", out=folder / "model",
        plan=folder / "plan.json",
    )  # fmt: skip
    assert show_training(run_training(settings))
    out = capsys.readouterr().out
    bundle = load_bundle(folder / "model")
    entry = bundle.provenance["scores_rest_on"]
    assert (entry["num_images"], entry["num_pixels"]) == (2, 3200)
    assert {"Dice", "mean IoU"} <= set(entry["intervals"]) <= set(bundle.scores)
    low, high = entry["intervals"]["Dice"]
    assert low <= bundle.scores["Dice"] <= high
    assert f"Dice {bundle.scores['Dice']:.4f} ({low:.2f} to {high:.2f})" in out
    report = (folder / "model" / "report.html").read_text()
    for text in (out, report):
        assert f"from 2 images with {entry['num_objects']} objects in 3,200 pixels" in text
    assert f"{low:.3f} to {high:.3f}" in report


def test_a_model_of_an_older_version_tells_its_scores_without_intervals(parent, tmp_path):
    from ulens.training.evidence import name_grounds, name_scores

    bundle = load_bundle(parent / "model")
    old = replace(bundle, provenance={"steps": 3}, scores={"Dice": 0.5})
    assert name_scores(old) == ["Dice 0.5000"]
    assert name_grounds(old) == []

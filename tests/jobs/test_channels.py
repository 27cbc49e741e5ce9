"""Scenes and channels on the commands that read images, and what a model keeps of them."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from brightness import events_of, make_bundle, make_image, notes_of, save_instances_model
from microscope_files import write_lif, write_nd2
from tiny_training import tiny_plan
from ulens import inspect, read_image
from ulens.bundle import load_bundle, save_bundle
from ulens.errors import DataError, SettingError
from ulens.jobs.segment import segment
from ulens.jobs.train import train

BRIGHT = make_image(30, 40)
DULL = np.full_like(BRIGHT, 7)
EXPECTED = np.where(BRIGHT > 100, 255, 0)


@pytest.fixture
def model(tmp_path):
    save_bundle(make_bundle(), tmp_path / "cells.model")
    return tmp_path / "cells.model"


def trained_on(folder, *channels):
    """A model that was trained on these channels."""
    bundle = make_bundle(in_channels=len(channels))
    provenance = {**bundle.provenance, "channels": list(channels)}
    save_bundle(replace(bundle, provenance=provenance), folder)
    return folder


@pytest.fixture
def two(tmp_path):
    """A file of two channels, DAPI and GFP, of which the second is bright."""
    (tmp_path / "images").mkdir()
    return write_nd2(
        tmp_path / "images" / "a.nd2", np.stack([DULL, BRIGHT]), "CYX", names=("DAPI", "GFP")
    )


def labels_in(folder, name="a.tif"):
    return read_image(folder / name if folder.is_dir() else folder).data


@pytest.mark.parametrize("out", ["masks", "masks.tif"])
@pytest.mark.parametrize("channel", [("GFP",), ("2",)])
def test_a_channel_is_segmented(model, two, tmp_path, out, channel):
    segment(model, two, tmp_path / out, channel=channel)
    np.testing.assert_array_equal(labels_in(tmp_path / out), EXPECTED)


@pytest.mark.parametrize("out", ["masks", "masks.tif"])
@pytest.mark.parametrize("learned", ["GFP", "2"])
def test_the_channel_of_the_training_is_taken_again(two, tmp_path, out, learned):
    model = trained_on(tmp_path / "m", learned)
    notes = notes_of(events_of(model, two, tmp_path / out))
    assert any("of 2 channels, 2 (GFP) taken as in the training" in note for note in notes)
    np.testing.assert_array_equal(labels_in(tmp_path / out), EXPECTED)


def test_an_image_of_that_channel_alone_stands_as_it_is(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", BRIGHT)
    notes = notes_of(
        events_of(trained_on(tmp_path / "m", "GFP"), tmp_path / "a.tif", tmp_path / "o")
    )
    assert not any("channel" in note for note in notes)
    np.testing.assert_array_equal(labels_in(tmp_path / "o"), EXPECTED)


def test_channels_of_the_training_are_found_by_name_in_any_order(tmp_path):
    model = trained_on(tmp_path / "m", "GFP", "DAPI")
    path = write_nd2(tmp_path / "a.nd2", np.stack([DULL, BRIGHT]), "CYX", names=("DAPI", "GFP"))
    segment(model, path, tmp_path / "out")
    np.testing.assert_array_equal(labels_in(tmp_path / "out"), EXPECTED)


@pytest.mark.parametrize("out", ["masks", "masks.tif"])
def test_an_image_of_another_channel_alone_is_said(tmp_path, out):
    model = trained_on(tmp_path / "m", "GFP")
    path = write_nd2(tmp_path / "a.nd2", BRIGHT[None], "CYX", names=("DAPI",))
    notes = notes_of(events_of(model, path, tmp_path / out))
    told = "the model was trained on channel GFP; here is 1 channel: 1 (DAPI)"
    assert any(note.endswith(told) for note in notes)


@pytest.mark.parametrize("out", ["masks", "masks.tif"])
def test_another_channel_than_that_of_the_training_is_said(two, tmp_path, out):
    model = trained_on(tmp_path / "m", "DAPI")
    notes = notes_of(events_of(model, two, tmp_path / out, channel=("GFP",)))
    assert "the model was trained on channel DAPI, GFP is asked for" in notes
    np.testing.assert_array_equal(labels_in(tmp_path / out), EXPECTED)


@pytest.mark.parametrize("out", ["masks", "masks.tif"])
def test_too_many_channels_without_a_choice(model, two, tmp_path, out):
    with pytest.raises((DataError, ValueError), match=r"trained on 1; .*--channel"):
        segment(model, two, tmp_path / out)


def test_a_second_run_with_another_channel_is_another_run(model, two, tmp_path):
    segment(model, two, tmp_path / "out", channel=("1",))
    with pytest.raises(Exception, match=r"made otherwise \(other: channel\)"):
        segment(model, two, tmp_path / "out", channel=("2",))


@pytest.mark.parametrize("out", ["masks", "masks.tif"])
def test_a_scene_is_segmented(model, tmp_path, out):
    scenes = {"left": (DULL, "YX", {}, ()), "right": (BRIGHT, "YX", {}, ())}
    path = write_lif(tmp_path / "a.lif", scenes)
    segment(model, path, tmp_path / out, scene="right")
    np.testing.assert_array_equal(labels_in(tmp_path / out), EXPECTED)
    with pytest.raises(DataError, match=r"holds 2 scenes \(1: left \(30×40\); 2: right"):
        segment(model, path, tmp_path / f"other-{out}")


def test_frames_are_tracked_in_a_channel(tmp_path):
    model = save_instances_model(tmp_path / "m")
    for t in range(3):
        write_nd2(tmp_path / f"t{t:03d}.nd2", np.stack([DULL, BRIGHT]), "CYX")
    images = tmp_path / "frames"
    images.mkdir()
    for path in tmp_path.glob("*.nd2"):
        path.rename(images / path.name)
    segment(model, images, tmp_path / "out", track=True, channel=("2",))
    assert (labels_in(tmp_path / "out", "mask000.tif") > 0).any()


def with_channel_files(folder):
    folder.mkdir(exist_ok=True)
    for stem in "ab":
        tifffile.imwrite(folder / f"{stem}_w1DAPI.tif", BRIGHT)
        tifffile.imwrite(folder / f"{stem}_w2GFP.tif", DULL)
    return folder


def test_channels_as_files_are_segmented_together(tmp_path):
    save_bundle(make_bundle(in_channels=2), tmp_path / "m")
    images = with_channel_files(tmp_path / "images")
    notes = notes_of(events_of(tmp_path / "m", images, tmp_path / "out"))
    assert notes[0].startswith("files beside each other are taken for channels of one image")
    assert {path.name for path in (tmp_path / "out").glob("*.tif")} == {
        "a_w1DAPI.tif", "b_w1DAPI.tif",
    }  # fmt: skip
    np.testing.assert_array_equal(labels_in(tmp_path / "out", "b_w1DAPI.tif"), EXPECTED)


def test_a_changed_channel_is_segmented_anew(tmp_path):
    save_bundle(make_bundle(in_channels=2), tmp_path / "m")
    images = with_channel_files(tmp_path / "images")
    list(events_of(tmp_path / "m", images, tmp_path / "out"))
    tifffile.imwrite(images / "b_w2GFP.tif", np.zeros((30, 40), np.uint8), compression="zlib")
    events = list(events_of(tmp_path / "m", images, tmp_path / "out"))
    kept = {event.image.name for event in events if event.is_kept}
    assert kept == {"a_w1DAPI.tif"}


def test_a_model_of_one_channel_segments_each_file(model, tmp_path):
    images = with_channel_files(tmp_path / "images")
    notes = notes_of(events_of(model, images, tmp_path / "out"))
    assert "since the model takes one channel; --channel chooses one" in notes[0]
    assert len(list((tmp_path / "out").glob("*.tif"))) == 4
    segment(model, images, tmp_path / "one", channel=("dapi",))
    assert len(list((tmp_path / "one").glob("*.tif"))) == 2


def annotated(folder, kind):
    """Two images of two channels, the second of which shows what is labelled."""
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for stem in "ab":
        tifffile.imwrite(folder / "labels" / f"{stem}.tif", (BRIGHT > 100).astype(np.uint8))
        if kind == "file":
            write_nd2(
                folder / "images" / f"{stem}.nd2", np.stack([DULL, BRIGHT]), "CYX",
                names=("ch00", "ch01"),
            )  # fmt: skip
        else:
            tifffile.imwrite(folder / "images" / f"{stem}_ch00.tif", DULL)
            tifffile.imwrite(folder / "images" / f"{stem}_ch01.tif", BRIGHT)
    return folder


@pytest.mark.parametrize("kind", ["file", "files"])
def test_training_keeps_the_channel_for_segmentation(tmp_path, kind):
    folder = annotated(tmp_path, kind)
    (tmp_path / "plan.json").write_bytes(tiny_plan(steps=2).to_bytes())
    options = {"labels_are": "classes", "int8": False, "device": "cpu"}
    train(
        folder / "images", folder / "labels", out=tmp_path / "m", plan=tmp_path / "plan.json",
        channel="ch01", **options,
    )  # fmt: skip
    bundle = load_bundle(tmp_path / "m")
    assert bundle.net.in_channels == 1
    assert bundle.provenance["channels"] == ["ch01"]
    assert len(np.unique(bundle.example)) == 2  # the other channel is constant
    notes = notes_of(events_of(tmp_path / "m", folder / "images", tmp_path / "out"))
    assert any("of 2 channels, 2 (ch01) taken as in the training" in note for note in notes)
    assert len(list((tmp_path / "out").glob("*.tif"))) == 2


@pytest.mark.parametrize("kind", ["file", "files"])
def test_inspection_shows_all_channels_or_those_chosen(tmp_path, kind):
    folder = annotated(tmp_path, kind)
    rows = inspect(folder / "images", folder / "labels")
    assert [(row.size, row.num_channels) for row in rows] == [("30×40", 2)] * 2
    rows = inspect(folder / "images", folder / "labels", channel="2")
    assert [(row.size, row.num_channels) for row in rows] == [("30×40", 1)] * 2
    with pytest.raises(SettingError, match="no channel 'Cy5', it has 2 channels"):
        inspect(folder / "images", folder / "labels", channel=("Cy5",))


def test_options_of_the_command_line(tmp_path, ulens):
    folder = annotated(tmp_path, "file")
    images, labels = folder / "images", folder / "labels"
    status, out, _ = ulens("inspect", images, labels, "--channel", "ch01", "--channel", "1")
    assert status == 0
    assert "of 2 channels, 2 (ch01), 1 (ch00) taken as asked for" in " ".join(out.split())
    status, _, stderr = ulens("inspect", images, labels, "--scene", "7")
    assert status == 1
    assert "holds 1 scene" in stderr

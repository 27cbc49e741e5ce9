import base64
import io
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from geff.core_io import read_to_memory
from PIL import Image as PillowImage

from brightness import events_of, make_bundle, notes_of
from ulens import cli
from ulens.annotated.ctc import find_result, read_labels, read_lineage
from ulens.bundle import save_bundle
from ulens.errors import DataError, FileError, OutputError, SettingError, ShapeError
from ulens.image import Image
from ulens.io.files import write_tiff
from ulens.jobs.evaluate_ctc import evaluate_ctc
from ulens.jobs.segment_record import RECORD
from ulens.jobs.tracking import Tracked
from ulens.tracking.lineage import check_result

SIZE = (30, 40)


def save_model(folder, labels_are="instances", spacing_um=None):
    """A model that finds what is brighter than the image's mean."""
    decoding = {} if labels_are == "classes" else {"threshold": 0.5, "min_area_px": 4}
    bundle = make_bundle(labels_are=labels_are, decoding=decoding, spacing_um=spacing_um)
    save_bundle(bundle, folder)
    return folder


@pytest.fixture
def model(tmp_path):
    return save_model(tmp_path / "cells.model")


def draw(*boxes, size=SIZE):
    """Bright boxes (y, x, height, width) on a dark ground, and their labels from 1 on."""
    image, labels = np.full(size, 10, np.uint8), np.zeros(size, np.uint16)
    for label, (y, x, height, width) in enumerate(boxes, start=1):
        image[y : y + height, x : x + width] = 200
        labels[y : y + height, x : x + width] = label
    return image, labels


def movie():
    """Five frames: one cell moves on; another divides between the second and the third."""
    whole, halves = (15, 20, 8, 14), [(15, 18, 8, 6), (15, 28, 8, 6)]
    return [
        draw((2, 3 + frame, 7, 7), *([whole] if frame < 2 else halves))[0] for frame in range(5)
    ]


def write_frames(folder, images, name="t{:03d}.tif", first=0):
    folder.mkdir(parents=True)
    for number, image in enumerate(images, start=first):
        write_tiff(folder / name.format(number), Image(data=image, axes="YX"))
    return folder


def tracking(*arguments, **options):
    return events_of(*arguments, track=True, **options)


def run(*arguments, **options):
    return list(tracking(*arguments, **options))


def read_valid(out):
    """Return the masks by frame and the rows of the tracks of a result that is valid."""
    found = find_result(out)
    lineage = read_lineage(found.lineage)
    masks = {frame: read_labels(path) for frame, path in found.masks.items()}
    assert check_result(masks.items(), lineage) == []
    return masks, [tuple(each) for each in lineage.tracks]


def test_a_division_is_tracked_and_scores_full_marks(model, tmp_path):
    images = write_frames(tmp_path / "data" / "01", movie())
    out = tmp_path / "data" / "01_RES"
    *_, done = run(model, images, out)
    assert done == Tracked(
        num_frames=5,
        num_tracks=4,
        num_divisions=1,
        num_drawn=0,
        page=tmp_path / "data" / "01_RES.html",
    )
    masks, tracks = read_valid(out)
    assert tracks == [(1, 0, 4, 0), (2, 0, 1, 0), (3, 2, 4, 2), (4, 2, 4, 2)]
    assert sorted(path.name for path in out.iterdir()) == [
        RECORD,
        *(f"mask{frame:03d}.tif" for frame in range(5)),
        "res_track.txt",
    ]
    for frame, mask in masks.items():
        assert mask.dtype == np.uint16
        np.testing.assert_array_equal(mask > 0, movie()[frame] > 100)

    truth = tmp_path / "data" / "01_GT" / "TRA"
    write_frames(truth, masks.values(), "man_track{:03d}.tif")
    (truth / "man_track.txt").write_text((out / "res_track.txt").read_text())
    scores = evaluate_ctc(truth.parent, out, frames=None).scores
    assert (scores["DET"], scores["TRA"], scores["LNK"]) == (1, 1, 1)


def test_an_object_that_was_missed_is_drawn_and_told(model, tmp_path):
    frames = movie()
    moving = draw((2, 4, 7, 7))[1] == 1
    frames[1][moving] = 10
    images = write_frames(tmp_path / "data" / "01", frames)
    *_, done = run(model, images, tmp_path / "data" / "01_RES")
    assert (done.num_drawn, done.num_tracks) == (1, 4)
    masks, tracks = read_valid(tmp_path / "data" / "01_RES")
    assert (1, 0, 4, 0) in tracks
    assert "1 outline of objects that were missed" in done.page.read_text()
    np.testing.assert_array_equal(masks[1] == 1, moving)


def test_progress_counts_frames_and_tiles(model, tmp_path):
    images = write_frames(tmp_path / "01", movie())
    *events, done = run(model, images, tmp_path / "out")
    assert isinstance(done, Tracked)
    events = [event for event in events if not event.note]
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert {(event.tile, event.num_tiles, event.num_images) for event in events} == {(1, 1, 5)}


def test_frames_keep_the_numbers_of_the_challenge(model, tmp_path):
    images = write_frames(tmp_path / "01", movie(), "t{:04d}.tif", first=54)
    run(model, images, tmp_path / "out")
    masks, tracks = read_valid(tmp_path / "out")
    assert list(masks) == [54, 55, 56, 57, 58]
    assert tracks[0] == (1, 54, 58, 0)
    assert (tmp_path / "out" / "mask0054.tif").is_file()


def test_other_names_count_from_zero_in_the_order_of_their_numbers(model, tmp_path):
    images = write_frames(tmp_path / "01", movie(), "cell {}.tif", first=8)
    run(model, images, tmp_path / "out")
    masks, _ = read_valid(tmp_path / "out")
    assert list(masks) == [0, 1, 2, 3, 4]
    for mask, image in zip(masks.values(), movie(), strict=True):
        np.testing.assert_array_equal(mask > 0, image > 100)


def test_a_stack_gives_what_its_frames_give(model, tmp_path):
    stack = Image(data=np.stack(movie()), axes="TYX")
    write_tiff(tmp_path / "movie.tif", stack)
    run(model, tmp_path / "movie.tif", tmp_path / "of_stack")
    run(model, write_frames(tmp_path / "01", movie()), tmp_path / "of_frames")
    of_stack, of_frames = read_valid(tmp_path / "of_stack"), read_valid(tmp_path / "of_frames")
    assert of_stack[1] == of_frames[1]
    np.testing.assert_array_equal(list(of_stack[0].values()), list(of_frames[0].values()))


def test_of_an_empty_frame_what_goes_on_behind_it_is_drawn(model, tmp_path):
    images = movie()
    images[1] = np.full(SIZE, 10, np.uint8)
    *_, done = run(model, write_frames(tmp_path / "01", images), tmp_path / "out")
    masks, tracks = read_valid(tmp_path / "out")
    assert (1, 0, 4, 0) in tracks
    np.testing.assert_array_equal(masks[1] == 1, draw((2, 4, 7, 7))[1] == 1)
    assert done.num_drawn == len(np.unique(masks[1])) - 1


def test_where_all_frames_are_empty_so_are_the_masks(model, tmp_path):
    images = write_frames(tmp_path / "01", 3 * [np.full(SIZE, 10, np.uint8)])
    *_, done = run(model, images, tmp_path / "out")
    masks, tracks = read_valid(tmp_path / "out")
    assert (tracks, done.num_drawn) == ([], 0)
    assert not any(mask.any() for mask in masks.values())
    assert done.page.is_file()


def test_objects_outside_the_field_of_interest_are_left_out(model, tmp_path):
    inside, outside = (60, 45, 12, 12), (5, 5, 20, 20)
    image = draw(inside, outside, size=(130, 130))[0]
    of_challenge = write_frames(tmp_path / "DIC-C2DH-HeLa" / "01", [image] * 2)
    others = write_frames(tmp_path / "mine" / "01", [image] * 2)
    first, *_ = run(model, of_challenge, tmp_path / "01_RES")
    assert "50 px in DIC-C2DH-HeLa, by the folder's name; field_of_interest_px" in first.note
    run(model, others, tmp_path / "mine_RES")
    masks, tracks = read_valid(tmp_path / "01_RES")
    assert tracks == [(1, 0, 1, 0)]
    np.testing.assert_array_equal(masks[1], draw(inside, size=(130, 130))[1])
    assert "50 px in DIC-C2DH-HeLa" in (tmp_path / "01_RES.html").read_text()
    assert len(read_valid(tmp_path / "mine_RES")[1]) == 2
    for images, border_px, num_tracks in ((of_challenge, 0, 2), (others, 50, 1)):
        out = tmp_path / f"{border_px}_RES"
        run(model, images, out, field_of_interest_px=border_px)
        assert len(read_valid(out)[1]) == num_tracks
        assert ("field of interest" in out.with_suffix(".html").read_text()) == (border_px > 0)


def test_the_page_shows_a_film_twelve_frames_and_one_chart(model, tmp_path):
    images = write_frames(tmp_path / "01", movie() * 4)
    *_, done = run(model, images, tmp_path / "out")
    page = done.page.read_text()
    shown = [int(number) for number in re.findall(r"<figcaption>frame (\d+): \d+ obj", page)]
    assert len(shown) == 12
    assert (shown[0], shown[-1]) == (0, 19)
    assert page.count("data:image/webp") == 1 + 12
    assert page.count("data:image/png") == 1
    assert "<figcaption>frames 0 to 19</figcaption>" in page
    assert "<dd>20</dd>" in page
    assert "2 – 3" in page


def test_one_frame_makes_no_film(model, tmp_path):
    *_, done = run(model, write_frames(tmp_path / "01", movie()[:1]), tmp_path / "out")
    page = done.page.read_text()
    assert "The film" not in page
    assert "<figcaption>frame 0: 2 objects</figcaption>" in page


def test_the_film_of_a_long_sequence_leaves_frames_out(model, tmp_path):
    stack = np.stack(movie() * 21)
    write_tiff(tmp_path / "movie.tif", Image(data=stack, axes="TYX"))
    *_, done = run(model, tmp_path / "movie.tif", tmp_path / "out")
    page = done.page.read_text()
    assert "<figcaption>96 frames from 0 to 104</figcaption>" in page
    film = re.findall(r"data:image/webp;base64,([^\"]+)", page)[0]
    assert PillowImage.open(io.BytesIO(base64.b64decode(film))).n_frames == 96


def test_a_graph_of_the_tracks(model, tmp_path):
    folder = tmp_path / "01"
    folder.mkdir()
    for i, frame in enumerate(movie(), start=54):
        image = Image(data=frame, axes="YX", spacing_um=(0.5, 0.25))
        write_tiff(folder / f"t{i:03d}.tif", image)
    *_, done = run(model, folder, tmp_path / "out", geff=True)
    assert done.graph == tmp_path / "out.geff"
    graph = read_to_memory(done.graph)
    masks, _ = read_valid(tmp_path / "out")
    nodes = [graph["node_props"][name]["values"].tolist() for name in ("t", "label")]
    expected = [(frame, label) for frame in masks for label in np.unique(masks[frame]) if label]
    assert list(zip(*nodes, strict=True)) == expected
    assert len(graph["edge_ids"]) == 4 + 1 + 2 + 2 * 2
    assert [axis.scale for axis in graph["metadata"].axes] == [None, 0.5, 0.25]


def test_a_graph_is_written_only_when_asked_for_and_kept_without_overwrite(model, tmp_path):
    images, graph = write_frames(tmp_path / "01", movie()), tmp_path / "out.geff"
    *_, done = run(model, images, tmp_path / "out")
    assert done.graph is None
    assert not graph.exists()
    graph.mkdir()
    (graph / "notes.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"out\.geff holds notes\.txt and is no geff, so it is"):
        tracking(model, images, tmp_path / "out", geff=True, overwrite=True)
    assert [path.name for path in graph.iterdir()] == ["notes.txt"]
    shutil.rmtree(graph)
    run(model, images, tmp_path / "out", geff=True, overwrite=True)
    graph.rename(tmp_path / "new.geff")
    with pytest.raises(OutputError, match=r"graph .*new\.geff holds .*; choose another"):
        tracking(model, images, tmp_path / "new", geff=True)


def test_frames_of_another_pixel_size_are_resampled_and_that_is_told_once(tmp_path):
    model = save_model(tmp_path / "m", spacing_um=(0.5, 0.5))
    # large cells, so that the image's mean lies above the blur at their rims
    coarse = [draw((2, 2 + i, 20, 12), (8, 24, 18, 12))[0] for i in range(3)]
    folder = tmp_path / "01"
    folder.mkdir()
    for i, frame in enumerate(coarse):
        fine = np.kron(frame, np.ones((2, 2), np.uint8))
        write_tiff(folder / f"t{i:03d}.tif", Image(data=fine, axes="YX", spacing_um=(0.25, 0.25)))
    *events, done = run(model, folder, tmp_path / "out")
    assert notes_of(events) == [
        "images with 0.25 µm per pixel are resampled by 0.5, to the 0.5 µm at which the model "
        "learned"
    ]
    assert done.num_tracks == 2
    masks, _ = read_valid(tmp_path / "out")
    for mask, frame in zip(masks.values(), coarse, strict=True):
        np.testing.assert_array_equal(mask > 0, np.kron(frame > 100, np.ones((2, 2))))


def test_content_is_kept_without_overwrite(model, tmp_path):
    images = write_frames(tmp_path / "01", movie())
    out, page = tmp_path / "out", tmp_path / "out.html"
    out.mkdir()
    (out / "notes.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"holds notes\.txt; choose another"):
        tracking(model, images, out)
    (out / "notes.txt").unlink()
    page.write_text("precious")
    with pytest.raises(OutputError, match=r"page .*out\.html exists; choose another name"):
        tracking(model, images, out)
    assert page.read_text() == "precious"
    assert list(out.iterdir()) == []


def test_overwrite_removes_the_masks_of_an_older_result_and_nothing_else(model, tmp_path):
    out = tmp_path / "out"
    run(model, write_frames(tmp_path / "01", movie()), out)
    kept = ["notes.txt", "mask.tif", "mask000_old.tif", "t000.tif"]
    for name in kept:
        (out / name).write_text("precious")
    run(model, write_frames(tmp_path / "02", movie()[:2]), out, overwrite=True)
    for name in kept:
        assert (out / name).read_text() == "precious"
    ours = {path.name for path in out.iterdir()} - set(kept)
    assert ours == {"mask000.tif", "mask001.tif", "res_track.txt", RECORD}


@pytest.mark.parametrize("name", ["out/mask0007.tif", "out.html", "out.geff/notes.txt"])
def test_a_result_that_ulens_did_not_make_is_not_replaced(model, tmp_path, name):
    images, out = write_frames(tmp_path / "01", movie()[:2]), tmp_path / "out"
    run(model, images, out, geff=True)
    if name == "out.html":
        (out / RECORD).unlink()
    else:
        (tmp_path / name).write_text("precious")
    with pytest.raises(OutputError, match=rf"cannot be replaced: .*{Path(name).name}.* be lost"):
        tracking(model, images, out, geff=True, overwrite=True)
    assert (tmp_path / name).is_file()


def test_an_older_result_stays_whole_until_the_new_one_is_segmented(model, tmp_path):
    images, out = write_frames(tmp_path / "01", movie()), tmp_path / "out"
    run(model, images, out)
    before = read_valid(out)
    work = tracking(model, images, out, overwrite=True)
    next(work)
    work.close()
    assert read_valid(out)[1] == before[1]


def test_a_model_of_classes_is_refused(tmp_path):
    classes = save_model(tmp_path / "m", "classes")
    images = write_frames(tmp_path / "01", movie())
    with pytest.raises(SettingError, match=r"cannot be tracked: .* finds classes, no single obj"):
        tracking(classes, images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frames_of_two_sizes_are_named(model, tmp_path):
    images = write_frames(tmp_path / "01", [*movie(), movie()[0][:, :32]])
    message = r"t005\.tif is 30×32, t000\.tif 30×40; tracking needs frames of one size; crop"
    with pytest.raises(ShapeError, match=message):
        tracking(model, images, tmp_path / "out")


def test_volumes_are_refused(model, tmp_path):
    write_tiff(tmp_path / "volume.tif", Image(data=np.stack(movie()), axes="ZYX"))
    with pytest.raises(ShapeError, match=r"has the axes ZYX \(5, 30, 40\); tracking needs a fol"):
        tracking(model, tmp_path / "volume.tif", tmp_path / "out")


def test_a_missing_frame_is_named(model, tmp_path):
    images = write_frames(tmp_path / "01", movie())
    (images / "t002.tif").unlink()
    with pytest.raises(DataError, match=r"01 lacks frame 2; tracking needs consecutive frames"):
        tracking(model, images, tmp_path / "out")


def test_two_files_of_one_frame_and_foreign_images_are_named(model, tmp_path):
    images = write_frames(tmp_path / "01", movie()[:1])
    write_tiff(images / "t0000.tif", Image(data=movie()[0], axes="YX"))
    with pytest.raises(DataError, match=r"two files of one frame \(t0000?\.tif, t0000?\.tif\)"):
        tracking(model, images, tmp_path / "out")
    (images / "t0000.tif").rename(images / "overview.tif")
    with pytest.raises(DataError, match=r"named t000 and so on, and also overview\.tif; move"):
        tracking(model, images, tmp_path / "out")


def test_a_broken_frame_is_found_before_any_work(model, tmp_path):
    images = write_frames(tmp_path / "01", movie())
    (images / "t004.tif").write_bytes(b"II*\0 no image")
    with pytest.raises(FileError, match=r"t004\.tif is truncated.*every track would be cut there"):
        tracking(model, images, tmp_path / "out")


def test_all_bad_frames_are_named_before_any_work(model, tmp_path):
    good = movie()
    colors = np.stack([good[0], good[1], good[2]])
    images = write_frames(tmp_path / "01", [good[0][:, :32], *good, *good])
    (images / "t004.tif").write_bytes(b"II*\0 no image")
    write_tiff(images / "t005.tif", Image(data=colors, axes="CYX"))
    write_tiff(images / "t006.tif", Image(data=colors, axes="ZYX"))
    with pytest.raises(DataError, match=r"4 of 11 frames cannot be tracked") as caught:
        tracking(model, images, tmp_path / "out")
    text = str(caught.value)
    for part in ("t004.tif is truncated", "t005.tif has 3 channels", "t006.tif has the axes ZYX"):
        assert part in text
    assert "t000.tif is 30×32, t001.tif 30×40" in text
    assert not (tmp_path / "out").exists()


def test_the_command_tells_of_tracks_divisions_and_files(model, tmp_path, monkeypatch, capsys):
    images = write_frames(tmp_path / "01", movie())
    arguments = ["ulens", "segment", str(model), str(images), "--track", "--geff", "-o"]
    monkeypatch.setattr("sys.argv", [*arguments, str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    printed = capsys.readouterr().out
    assert "tracks 4, divisions 1, frames 5" in printed
    assert f"to look at them: {tmp_path / 'out.html'}" in printed
    assert f"as a graph: {tmp_path / 'out.geff'}" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--track", "--probabilities"), "track came with probabilities, but a result of"),
        (("--geff",), "geff came without track; a graph needs tracks, so add track"),
        (("--field-of-interest-px", "5"), "field_of_interest_px came without track; leave it out"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    model, tmp_path, monkeypatch, capsys, options, message
):
    images = write_frames(tmp_path / "01", movie()[:1])
    out = tmp_path / "new"
    monkeypatch.setattr(
        "sys.argv", ["ulens", "segment", *map(str, (model, images, "-o", out)), *options]
    )
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_missing_package_for_graphs_is_named_before_any_work(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "geff", None)
    images = write_frames(tmp_path / "01", movie()[:1])
    with pytest.raises(SettingError, match="need the package geff"):
        tracking(model, images, tmp_path / "out", geff=True)

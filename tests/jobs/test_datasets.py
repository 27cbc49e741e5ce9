"""The whole way of a data set, from a server on this machine to what to train on."""

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pooch
import pytest

from tiny_training import squares
from ulens.datasets.catalogue import find_dataset, list_datasets
from ulens.datasets.checksums import read_checksums
from ulens.datasets.download import Patience, cached_file
from ulens.errors import DownloadError, FileError, OutputError, SettingError
from ulens.image import Image
from ulens.io.files import read_image, write_tiff
from ulens.jobs.datasets import Note, Ready, Step, Terms, run_fetch, use_copy
from web import Server

QUICK = Patience(pause_s=0.0)


def zipped(folder: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.tif")):
            archive.write(path, path.relative_to(folder))
    return stream.getvalue()


@pytest.fixture(scope="module")
def isbi_zip(tmp_path_factory):
    """An archive like the one of ISBI 2012."""
    folder = tmp_path_factory.mktemp("isbi")
    stacks = [np.stack(each) for each in zip(*map(squares, range(6)), strict=True)]
    for name, stack in zip(("volume", "labels"), stacks, strict=True):
        write_tiff(folder / f"train-{name}.tif", Image(data=stack, axes="ZYX"))
        write_tiff(folder / f"test-{name}.tif", Image(data=stack, axes="ZYX"))
    return zipped(folder)


@pytest.fixture(scope="module")
def challenge_zip(tmp_path_factory):
    """An archive like those of the Cell Tracking Challenge, under a folder of its name."""
    folder = tmp_path_factory.mktemp("ctc")
    place = folder / "PhC-C2DH-U373"
    for kind in ("01", "01_GT/SEG"):
        (place / kind).mkdir(parents=True)
    for k in range(3):
        image, label = squares(k)
        cells = (label > 0).astype(np.uint16)
        write_tiff(place / f"01/t{k:03d}.tif", Image(data=image, axes="YX"))
        write_tiff(place / f"01_GT/SEG/man_seg{k:03d}.tif", Image(data=cells, axes="YX"))
    return zipped(folder)


@pytest.fixture
def server(monkeypatch, isbi_zip):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(isbi_zip) as running:
        yield running


@pytest.fixture
def isbi(server):
    return dataclasses.replace(find_dataset("ISBI2012"), url=server.url)


def test_the_whole_way(server, isbi, isbi_zip, tmp_path):
    server.cuts = [len(isbi_zip) // 2]
    events = list(
        run_fetch(isbi, tmp_path / "em", accept_terms=True, cache=tmp_path / "c", patience=QUICK)
    )
    assert events[0] == Terms(isbi)
    stages = [event.stage for event in events if isinstance(event, Step)]
    assert stages == sorted(stages)
    assert set(stages) == {"downloading", "unpacking"}
    notes = [event.text for event in events if isinstance(event, Note)]
    checksum = hashlib.sha256(isbi_zip).hexdigest()
    assert notes[0].startswith("cut off after")
    assert notes[1].startswith(f"sha256 {checksum}, recorded in")
    assert read_checksums(tmp_path / "c") == {server.url: checksum}
    ready = events[-1]
    assert isinstance(ready, Ready)
    assert ready.paths == [tmp_path / "em/train-volume.tif", tmp_path / "em/train-labels.tif"]
    assert read_image(ready.paths[0]).data.shape == (6, 40, 40)


def test_a_second_time_it_comes_from_the_cache(server, isbi, tmp_path):
    list(run_fetch(isbi, tmp_path / "a", accept_terms=True, cache=tmp_path / "c"))
    events = list(run_fetch(isbi, tmp_path / "b", accept_terms=True, cache=tmp_path / "c"))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes[0].endswith("is there already")
    assert notes[1] == "sha256 as at the first download"
    assert len(server.asked) == 1


def test_nothing_is_downloaded_before_the_terms_are_accepted(server, isbi, tmp_path):
    events = run_fetch(isbi, tmp_path / "em", accept_terms=False, cache=tmp_path / "c")
    assert next(events) == Terms(isbi)
    with pytest.raises(SettingError, match=r"nothing was downloaded: .*with --accept-terms"):
        next(events)
    assert server.asked == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_downloaded_for_a_folder_that_exists(server, isbi, tmp_path):
    with pytest.raises(OutputError, match="exists, and is not overwritten"):
        list(run_fetch(isbi, tmp_path, accept_terms=True, cache=tmp_path / "c"))
    assert server.asked == []


def test_an_archive_of_something_else_is_not_recorded(server, isbi, tmp_path):
    server.data = b"<html>log in first</html>"
    with pytest.raises(FileError, match="no ZIP archive or a damaged one"):
        list(run_fetch(isbi, tmp_path / "a", accept_terms=True, cache=tmp_path / "c"))
    assert read_checksums(tmp_path / "c") == {}
    (tmp_path / "c/archive.zip").unlink()

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("train-volume.tif", b"1")
    server.data = stream.getvalue()
    with pytest.raises(FileError, match=r"archive.zip is not ISBI2012 .*remove it and run"):
        list(run_fetch(isbi, tmp_path / "a", accept_terms=True, cache=tmp_path / "c"))
    assert read_checksums(tmp_path / "c") == {}
    assert not (tmp_path / "a").exists()


def test_a_changed_archive_is_refused(server, isbi, tmp_path):
    list(run_fetch(isbi, tmp_path / "a", accept_terms=True, cache=tmp_path / "c"))
    (tmp_path / "c/archive.zip").unlink()
    server.data += b"changed"
    with pytest.raises(DownloadError, match="not what it was at the first download"):
        list(run_fetch(isbi, tmp_path / "b", accept_terms=True, cache=tmp_path / "c"))
    assert not (tmp_path / "b").exists()


def test_without_a_folder_it_is_the_name_here_and_the_systems_cache(
    isbi, server, challenge_zip, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "system" / name)
    server.data = challenge_zip
    u373 = dataclasses.replace(find_dataset("PhC-C2DH-U373"), url=server.url)
    *_, ready = run_fetch(u373, accept_terms=True)
    assert isinstance(ready, Ready)
    assert ready.train_command == "ulens train PhC-C2DH-U373 -o phc-c2dh-u373.model"
    assert (tmp_path / "PhC-C2DH-U373/01/t000.tif").is_file()
    assert (tmp_path / "system/ulens/archive.zip").is_file()


def test_a_copy_is_used_where_it_is(tmp_path):
    isbi = find_dataset("ISBI2012")
    with pytest.raises(FileError, match="is no copy of ISBI2012"):
        list(use_copy(isbi, tmp_path))
    for name in isbi.train_on:
        (tmp_path / name).touch()
    terms, ready = use_copy(isbi, tmp_path)
    assert terms == Terms(isbi)
    assert ready == Ready(dataset=isbi, paths=[tmp_path / name for name in isbi.train_on])


@pytest.fixture
def ulens(ulens, monkeypatch, tmp_path):
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return ulens


def test_the_command_lists(ulens):
    status, out, _ = ulens("datasets")
    assert status == 0
    for each in list_datasets():
        assert each.name in out
        assert each.terms in out
        assert each.cite in out
    assert "ulens datasets NAME -o FOLDER --accept-terms" in out


def test_the_command_fetches_and_what_it_says_next_works(ulens, isbi_zip):
    isbi = find_dataset("ISBI2012")
    status, out, err = ulens("datasets", "isbi2012", "-o", "my em", "--cache", "c")
    assert (status, list(Path().iterdir())) == (1, [])
    assert isbi.terms in out
    assert isbi.cite in out
    assert "--accept-terms" in err
    Path("c").mkdir()
    cached_file(isbi.url, Path("c")).write_bytes(isbi_zip)
    status, out, _ = ulens("datasets", "isbi2012", "-o", "em", "--cache", "c", "--accept-terms")
    assert status == 0
    assert isbi.terms in out
    command = "ulens train em/train-volume.tif em/train-labels.tif -o isbi2012.model"
    assert f"to train on it: {command}\n" in out
    status, out, _ = ulens(*command.split()[1:], "--steps", 1, "--plan-only")
    assert status == 0
    assert "of 6 images" in out


def test_the_command_uses_a_copy(ulens):
    Path("em").mkdir()
    for name in ("train-volume.tif", "train-labels.tif"):
        (Path("em") / name).touch()
    status, out, _ = ulens("datasets", "isbi2012", "--data", "em")
    assert status == 0
    assert "ulens train em/train-volume.tif em/train-labels.tif" in out


def test_options_that_do_not_go_together(ulens):
    status, _, err = ulens("datasets", "isbi2012", "--data", "em", "-o", "x")
    assert status == 1
    assert "--data em came with --out x" in err
    status, _, err = ulens("datasets", "--accept-terms")
    assert status == 1
    assert "without the name of a data set" in err

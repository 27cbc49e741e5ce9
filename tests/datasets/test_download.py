import contextlib
import hashlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

from hostile import changed_records, encoded
from ulens.datasets import download
from ulens.datasets.checksums import cached_file, read_checksums, record_checksum
from ulens.datasets.download import (
    Cut,
    Patience,
    Received,
    ResumingDownload,
    fetch,
)
from ulens.errors import DownloadError, FileError, OutputError
from web import Server

DATA = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
OFTEN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NOWHERE = "http://127.0.0.1:9/a.zip"
QUICK = Patience(pause_s=0.0)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(DATA) as running:
        yield running


def run(server, cache):
    return list(fetch(server.url, cache, QUICK))


def content(server, cache):
    return cached_file(server.url, cache).read_bytes()


def test_a_file_arrives_with_its_progress_and_leaves_nothing_else(server, tmp_path):
    events = run(server, tmp_path)
    assert content(server, tmp_path) == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]
    assert events[0] == Received(0, len(DATA))
    assert events[-1] == Received(len(DATA), len(DATA))
    sizes = [each.num_bytes for each in events]
    assert sizes == sorted(sizes)
    assert len(sizes) > 3


def test_a_file_in_the_cache_is_not_asked_for_again(server, tmp_path):
    run(server, tmp_path)
    assert run(server, tmp_path) == []
    record_checksum(server.url, tmp_path)
    assert run(server, tmp_path) == []
    assert len(server.asked) == 1


def test_a_cut_download_goes_on_where_it_ended(server, tmp_path):
    server.cuts = [100_000, 100_000]
    events = run(server, tmp_path)
    assert content(server, tmp_path) == DATA
    cuts = [each for each in events if isinstance(each, Cut)]
    assert len(cuts) == 2
    assert server.asked == [None, *(f"bytes={cut.num_bytes}-" for cut in cuts)]
    assert 0 < cuts[0].num_bytes < cuts[1].num_bytes
    assert cuts[0].reason == "the connection was cut"


def test_a_later_run_goes_on_too(server, tmp_path):
    steps = fetch(server.url, tmp_path, QUICK)
    while next(steps).num_bytes < 100_000:
        pass
    steps.close()  # as Ctrl-C does
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA
    assert server.asked[0] is None
    assert int(server.asked[1].removeprefix("bytes=").removesuffix("-")) >= 100_000


def test_a_date_serves_where_there_is_no_strong_tag(server, tmp_path):
    server.etag, server.last_modified = 'W/"1"', "Wed, 21 Oct 2015 07:28:00 GMT"
    server.cuts = [200_000]
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA
    assert server.asked[1] is not None


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": None}])
def test_without_ranges_or_version_it_starts_again(server, tmp_path, change):
    for name, value in change.items():
        setattr(server, name, value)
    server.cuts = [200_000, 100_000]
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA


@pytest.mark.parametrize("check_if_range", [True, False])
def test_two_versions_are_never_mixed(server, tmp_path, check_if_range):
    server.check_if_range = check_if_range
    steps = fetch(server.url, tmp_path, QUICK)
    while next(steps).num_bytes < 100_000:
        pass
    steps.close()
    server.data, server.etag = DATA[::-1], '"2"'
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA[::-1]


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    part = tmp_path / "archive.zip.part"
    part.write_bytes(DATA + b"more")
    version = {"url": server.url, "etag": server.etag}
    part.with_name("archive.zip.part.json").write_text(json.dumps(version))
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA


@OFTEN
@example(changed={"url": NOWHERE, "etag": "Ā", "last_modified": "l", "num_bytes": 9})
@given(changed=changed_records({"url": NOWHERE, "etag": "e", "last_modified": "l", "num_bytes": 9}))
def test_whatever_is_noted_of_a_part_is_taken_or_not(tmp_path, monkeypatch, changed):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    part = tmp_path / "a.zip.part"
    part.write_bytes(b"part")
    part.with_name("a.zip.part.json").write_bytes(encoded(changed))
    steps = ResumingDownload(NOWHERE, part, Patience(num_attempts=1)).steps()
    with contextlib.suppress(DownloadError):  # no server is there
        assert list(steps) == []


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "many", "²"])
@pytest.mark.parametrize("begun", [0, 100])
def test_whatever_a_server_says_of_the_length_is_an_answer(server, tmp_path, length, begun):
    part = tmp_path / "archive.zip.part"
    part.write_bytes(DATA[:begun])
    version = {"url": server.url, "etag": server.etag}
    part.with_name("archive.zip.part.json").write_text(json.dumps(version))
    server.length = length
    with contextlib.suppress(DownloadError):
        run(server, tmp_path)
        assert content(server, tmp_path) == DATA


def test_a_complete_part_needs_no_server(server, tmp_path):
    list(ResumingDownload(server.url, tmp_path / "archive.zip.part", QUICK).steps())
    server.status = 500
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA


def test_a_length_need_not_be_known(server, tmp_path):
    server.length_known = False
    events = run(server, tmp_path)
    assert content(server, tmp_path) == DATA
    assert events[-1] == Received(len(DATA), None)


@pytest.mark.parametrize("length_known", [True, False])
def test_a_file_that_is_far_larger_than_expected_is_not_kept(server, tmp_path, length_known):
    server.length_known = length_known
    with pytest.raises(DownloadError, match="bytes or more, 100,000 were expected at most"):
        list(fetch(server.url, tmp_path, QUICK, most_bytes=100_000))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_a_file(server, tmp_path):
    server.data = b""
    run(server, tmp_path)
    assert content(server, tmp_path) == b""


def test_a_missing_file_is_asked_for_once(server, tmp_path):
    server.status = 404
    with pytest.raises(DownloadError, match=r"answered 404 .*save it as .*archive\.zip$"):
        run(server, tmp_path)
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again_and_then_named(server, tmp_path):
    server.status = 503
    with pytest.raises(DownloadError, match=r"answered 503 .*run the same command again"):
        run(server, tmp_path)
    assert len(server.asked) == QUICK.num_attempts


def test_a_server_that_always_cuts_ends_in_an_error_that_keeps_the_bytes(server, tmp_path):
    server.cuts = [200_000, *[0] * 10]
    with pytest.raises(DownloadError, match=r"[\d,]+ bytes are kept: run the same command again"):
        run(server, tmp_path)
    assert len(server.asked) == QUICK.num_attempts
    server.cuts = []
    run(server, tmp_path)
    assert content(server, tmp_path) == DATA


def test_without_ranges_a_server_that_always_cuts_ends_in_an_error_too(server, tmp_path):
    server.ranges, server.cuts = False, [200_000] * 20
    with pytest.raises(DownloadError):
        run(server, tmp_path)
    assert len(server.asked) == QUICK.num_attempts


def test_no_server_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as gone:
        url = gone.url
    with pytest.raises(DownloadError, match=r"refused.*check the network"):
        list(fetch(url, tmp_path, QUICK))
    with pytest.raises(DownloadError, match="cannot be fetched"):
        list(fetch("nowhere.zip", tmp_path, QUICK))


def test_a_full_disk_is_noticed_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"has 300,000 bytes, but .* has 1,000 left"):
        run(server, tmp_path)


def test_the_first_checksum_is_recorded_and_later_ones_must_equal_it(server, tmp_path):
    run(server, tmp_path)
    first = hashlib.sha256(DATA).hexdigest()
    assert record_checksum(server.url, tmp_path) == first
    assert record_checksum(server.url, tmp_path) is None
    assert read_checksums(tmp_path) == {server.url: first}
    file = cached_file(server.url, tmp_path)

    file.write_bytes(b"damaged")
    run(server, tmp_path)
    assert file.read_bytes() == DATA

    file.write_bytes(b"damaged")
    server.data, server.etag = DATA[::-1], '"2"'
    with pytest.raises(DownloadError, match="not what it was at the first download") as caught:
        run(server, tmp_path)
    message = str(caught.value)
    assert first in message
    assert hashlib.sha256(DATA[::-1]).hexdigest() in message
    assert "checksums.json" in message
    assert file.read_bytes() == b"damaged"  # the old file stays
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "checksums.json"]

    (tmp_path / "checksums.json").write_text("{}")
    file.unlink()
    run(server, tmp_path)
    assert file.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_record_that_cannot_be_read_is_an_error(tmp_path, text):
    (tmp_path / "checksums.json").write_text(text)
    with pytest.raises(FileError, match=r"checksums\.json .*repair or remove it"):
        read_checksums(tmp_path)

import os

import pytest

from ulens.errors import OutputError
from ulens.io.atomic import new_name, replace_files, write_file


def test_files_are_written_and_others_kept(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "other").write_bytes(b"kept")
    replace_files(tmp_path, {"a": b"new", "b": b"more"})
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert content == {"a": b"new", "b": b"more", "other": b"kept"}


def test_a_failing_write_touches_no_file(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError("disk full")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        replace_files(tmp_path, {"a": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert not new_name(tmp_path / "a").exists()


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    write_file(tmp_path / "a.csv", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    message = (
        r"a\.csv cannot be written \(No space left on device\); a file of that name.*unchanged"
    )
    with pytest.raises(OutputError, match=message):
        write_file(tmp_path / "a.csv", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.csv", b"old")]

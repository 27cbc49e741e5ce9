import os

import pytest

from ulens.io.atomic import new_name, replace_files


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

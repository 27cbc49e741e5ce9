import os
from itertools import product

import numpy as np
import pytest

from ulens.errors import OutputError
from ulens.io.atomic import new_name, replace_files, write_array, write_file
from ulens.io.label_volumes import LabelShape, ZarrLabels, write_label_tiff
from ulens.io.regions import Plane


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


@pytest.mark.parametrize("kind", ["file", "files", "array", "zarr", "tiff"])
def test_what_gets_its_name_was_flushed(tmp_path, monkeypatch, kind):
    flushed, fsync = set(), os.fsync

    def noted(descriptor):
        flushed.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    out = tmp_path / "out"
    out.mkdir()
    labels = LabelShape(
        axes="ZYX", shape=(2, 40, 60), dtype=np.dtype(np.uint32), spacing_um=None, tile_px=16
    )
    if kind == "file":
        write_file(out / "a", b"a")
    elif kind == "files":
        replace_files(out, {"a": b"a", "b": b"b"})
    elif kind == "array":
        write_array(out / "a.npy", np.ones(3))
    elif kind == "tiff":
        write_label_tiff(out / "a.tif", labels, iter(np.ones((24, 16, 16), np.uint32)))
    else:
        zarr = ZarrLabels(out, labels, 32)
        zarr.create()
        for z, y, x in product((0, 1), (0, 32), (0, 32)):
            window = slice(y, min(y + 32, 40)), slice(x, min(x + 32, 60))
            size = [side.stop - side.start for side in window]
            zarr.write(Plane("", 0, z), window, np.ones(size, np.uint32))
        zarr.tidy("odd")
    written = [path for path in out.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert path.stat().st_ino in flushed, path
    if os.name == "posix":
        assert all(path.parent.stat().st_ino in flushed for path in written)

import stat
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import changed_bytes
from ulens.datasets import unpack as unpacking
from ulens.datasets.unpack import Limits, Unpacked, unpack
from ulens.errors import FileError, OutputError, UlensError

NOISE = np.random.default_rng(0).integers(0, 256, 500_000, np.uint8).tobytes()


def write_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    """Write an archive; keys are names, those that end in / folders, or ZipInfos."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def everything_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def refused(tmp_path):
    """Unpack an archive that must be refused; returns the message."""

    def run(files, **limits):
        archive = tmp_path / "evil.zip"
        if files is not None:
            write_zip(archive, files)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(FileError) as caught:
            list(unpack(archive, tmp_path / "place" / "out", Limits(**limits)))
        assert set(tmp_path.rglob("*")) - set(before) <= {tmp_path / "place"}
        assert list((tmp_path / "place").iterdir()) == []
        return str(caught.value)

    return run


def test_files_and_folders_come_out_as_they_went_in(tmp_path):
    files = {"a/b/c.bin": NOISE, "a/d.txt": b"d", "e.txt": b""}
    archive = write_zip(tmp_path / "a.zip", {**files, "empty/": b""})
    steps = list(unpack(archive, tmp_path / "deep" / "out"))
    assert everything_in(tmp_path / "deep" / "out") == files
    assert (tmp_path / "deep" / "out" / "empty").is_dir()
    assert steps[-1] == Unpacked(len(NOISE) + 1, len(NOISE) + 1)
    assert len(steps) > 3
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_the_one_folder_at_the_top_is_left_out_and_so_is_clutter(tmp_path):
    files = {"Set/": b"", "Set/01/t000.tif": b"1", "Set/01_GT/x": b"2"}
    clutter = {"__MACOSX/Set/._x": b"", "Set/.DS_Store": b""}
    list(unpack(write_zip(tmp_path / "a.zip", {**files, **clutter}), tmp_path / "out"))
    assert everything_in(tmp_path / "out") == {"01/t000.tif": b"1", "01_GT/x": b"2"}


def test_the_new_folder_has_ordinary_permissions(tmp_path):
    (tmp_path / "usual").mkdir()
    list(unpack(write_zip(tmp_path / "a.zip", {"a": b"1"}), tmp_path / "out"))
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_exists_is_never_overwritten(tmp_path, kind):
    archive, out = write_zip(tmp_path / "a.zip", {"a": b"1"}), tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="exists, and is not overwritten"):
        list(unpack(archive, out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


def test_a_folder_made_meanwhile_is_not_overwritten(tmp_path):
    steps = unpack(write_zip(tmp_path / "a.zip", {"a": NOISE}), tmp_path / "out")
    next(steps)
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists"):
        list(steps)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]


def test_stopped_halfway_nothing_is_left(tmp_path):
    steps = unpack(write_zip(tmp_path / "a.zip", {"a": NOISE}), tmp_path / "out")
    next(steps)
    assert len(list(tmp_path.iterdir())) == 2
    steps.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/x", "a//x", "./x", "..\\x", "C:\\x", "C:/x", "\\x", "a:stream", "..",
     "a\nb", "/"],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(refused, name):
    assert "leads elsewhere" in refused({"good": b"1", name: b"evil"})


def test_a_zero_byte_hides_nothing(refused, tmp_path):
    archive = write_zip(tmp_path / "evil.zip", {"good_../x": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"good_../x", b"good\0../x"))
    assert "leads elsewhere" in refused(None)


def test_no_compression_that_fails_in_ways_of_its_own(refused, tmp_path):
    write_zip(tmp_path / "evil.zip", {"a": NOISE}, zipfile.ZIP_LZMA)
    assert "compressed in a way that is seldom used" in refused(None)


def test_a_name_that_is_no_utf8_is_damage(refused, tmp_path):
    archive = write_zip(tmp_path / "evil.zip", {"ä": b"1"})
    archive.write_bytes(archive.read_bytes().replace("ä".encode(), b"\xff\xff"))
    assert "no ZIP archive or a damaged one" in refused(None)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_no_links_or_devices(refused, kind):
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    assert "'link' is a link or a device" in refused({"good": b"1", info: b"/etc/passwd"})


def test_nothing_encrypted(refused, tmp_path):
    archive = write_zip(tmp_path / "evil.zip", {"a": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert "'a' is encrypted" in refused(None)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_two_entries_for_one_file(refused, tmp_path):
    assert "'a.TXT' twice" in refused({"A.txt": b"1", "a.TXT": b"2"})
    assert "lies in a file" in refused({"a": b"1", "a/b": b"2"})
    assert "lies in a file" in refused({"a/b": b"2", "A": b"1"})
    assert "lies in a file" in refused({"a": b"1", "a/": b""})


def test_a_bomb_is_refused_before_it_goes_off(refused):
    assert "as a bomb does" in refused({"zeros": bytes(3_000_000)})
    assert "more than 1,000" in refused({"a": NOISE}, max_bytes=1000)
    assert "3 files are more than 2" in refused({"a": b"", "b": b"", "c": b""}, max_files=2)


def test_label_images_beside_images_are_no_bomb(tmp_path):
    files = {"t000.tif": NOISE, "man_seg000.tif": bytes(3_000_000)}
    list(unpack(write_zip(tmp_path / "a.zip", files), tmp_path / "out"))
    assert everything_in(tmp_path / "out") == files


def declare(archive, num_bytes):
    """Let an archive of one file say another size, in both of its headers."""
    data = bytearray(archive.read_bytes())
    for start, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(start) + offset, num_bytes)
    archive.write_bytes(data)


@pytest.mark.parametrize("num_bytes", [1000, 600_000])
def test_an_archive_that_lies_about_sizes_is_refused(refused, tmp_path, num_bytes):
    declare(write_zip(tmp_path / "evil.zip", {"a": NOISE}), num_bytes)
    assert "remove it" in refused(None)


def test_bytes_are_counted_whatever_the_reader_lets_through(refused, tmp_path, monkeypatch):
    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, size):
            return bytes(size)

    write_zip(tmp_path / "evil.zip", {"a": NOISE})
    monkeypatch.setattr(unpacking.zipfile.ZipFile, "open", lambda *_: Endless())
    assert "'a' is larger than it says" in refused(None)


def test_files_that_overlap_are_refused(refused, tmp_path):
    archive = write_zip(tmp_path / "evil.zip", {"a": NOISE}, zipfile.ZIP_STORED)
    data = archive.read_bytes()
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end]
    twice = entry + entry[:-1] + b"b"
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 2, 2, len(twice))
    archive.write_bytes(data[:start] + twice + tail)
    assert "overlap" in refused(None)


@pytest.mark.parametrize("damage", ["html", "cut", "flipped"])
def test_a_damaged_archive_is_named(refused, tmp_path, damage):
    archive = write_zip(tmp_path / "evil.zip", {"good": b"1", "a": NOISE})
    data = bytearray(archive.read_bytes())
    if damage == "html":
        data = b"<html>log in first</html>"
    elif damage == "cut":
        data = data[:-1000]
    else:
        data[250_000] ^= 1
    archive.write_bytes(data)
    assert "fetch it again" in refused(None)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_archives_with_bytes_changed(tmp_path_factory, data, kind):
    folder = tmp_path_factory.mktemp("archive")
    files = {"Set/01/a.tif": NOISE[:50] + bytes(50), "Set/empty/": b"", "Set/a.txt": b"a"}
    archive = write_zip(folder / "a.zip", files, kind)
    archive.write_bytes(data.draw(changed_bytes(archive.read_bytes())))
    (folder / "place").mkdir()
    try:
        list(unpack(archive, folder / "place" / "out"))
    except UlensError as error:
        assert str(archive) in str(error)  # noqa: PT017
        assert list((folder / "place").iterdir()) == []
    assert {path.name for path in folder.iterdir()} == {"a.zip", "place"}


@pytest.mark.parametrize("back", [0x80, 0x7F])
def test_files_that_lie_before_the_archive_are_damage(refused, tmp_path, back):
    archive = write_zip(tmp_path / "evil.zip", {"a": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.rindex(b"PK\x05\x06") + 16] = back  # of where the list of files begins
    archive.write_bytes(data)
    assert "no ZIP archive or a damaged one" in refused(None)


def test_a_full_disk_is_noticed_before_the_first_file(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", {"a": NOISE})
    usage = unpacking.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"unpacks to 500,000 bytes, but .* has 1,000 left"):
        list(unpack(archive, tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"a": b"1"})
    with pytest.raises(OutputError, match="cannot be written"):
        list(unpack(archive, archive / "out"))

"""Small files that claim to be large, and files that lead elsewhere: refused before any work."""

import contextlib
import gzip
import json
import struct
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile import PNG_START, changed_bytes, changed_records, encoded, mend_png
from odd_files import pixels, without_companion, zarr_with_gaps
from ulens.errors import FileError, LabelError, UlensError
from ulens.io.files import read_image, read_label_image
from ulens.io.regions import open_volume
from ulens.io.rois import read_rois, write_rois
from ulens.metrics.objects import as_cell
from ulens.visible import make_visible

OFTEN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
LAUGHS = '<!DOCTYPE OME [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
OUTSIDE = '<!DOCTYPE OME [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def refused(read, path, error=FileError):
    """Return why a file is refused; quickly, and without much memory."""
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(error) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 3e8
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 5
    return str(caught.value)


def read_window(path):
    with open_volume(path) as volume:
        volume.read(volume.planes()[0], slice(0, 8), slice(0, 8))


def claim(path, width, height, **options):
    """A TIFF of 16×16 pixels whose header says otherwise."""
    tifffile.imwrite(path, pixels(16, 16), photometric="minisblack", metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["ImageLength"].overwrite(height)
        tif.pages.first.tags["RowsPerStrip"].overwrite(height)
        tif.pages.first.tags["ImageWidth"].overwrite(width)
    return path


def png(path, width, height, num_bytes=0):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    path.write_bytes(PNG_START + b"".join(parts))
    if num_bytes:
        with path.open("r+b") as file:
            file.truncate(num_bytes)  # takes no room on the disk
    return path


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
@pytest.mark.parametrize("read", [read_image, read_window])
def test_a_tiff_that_claims_more_than_it_holds(tmp_path, compression, read):
    path = claim(tmp_path / "a.tif", 10**6, 10**6, compression=compression)
    assert "at most" in refused(read, path) or "pieces of" in refused(read, path)


def test_a_png_beyond_its_length_or_beyond_the_memory(tmp_path):
    assert "3.6 kB" not in refused(read_image, png(tmp_path / "a.png", 60_000, 60_000))
    path = png(tmp_path / "b.png", 2**31 - 1, 10**6, num_bytes=10**12)
    assert "are free; crop it, or save it as a tiled TIFF" in refused(read_image, path)


def test_a_chunk_of_a_png_that_claims_more_than_the_file_has(tmp_path):
    PIL.Image.fromarray(pixels(16, 16)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.index(b"IDAT") - 4] = 0x7F
    (tmp_path / "a.png").write_bytes(content)
    tracemalloc.start()
    try:
        assert (read_image(tmp_path / "a.png").data == pixels(16, 16)).all()
        assert tracemalloc.get_traced_memory()[1] < 3e8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", [read_image, read_window])
@pytest.mark.parametrize("document_type", [LAUGHS, OUTSIDE])
def test_ome_metadata_with_entities(tmp_path, read, document_type):
    description = f'<?xml version="1.0"?>{document_type}<OME xmlns="{OME}"></OME>'
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels(64, 64), metadata=None, description=description)
    assert "document type or entities" in refused(read, path)


@pytest.mark.parametrize("size", ['SizeT="1000000000000"', 'SizeZ="-5"', 'SizeC="many"'])
@pytest.mark.parametrize("read", [read_image, read_window])
def test_ome_metadata_with_planes_without_end(tmp_path, read, size):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels(3, 64, 64), ome=True, metadata={"axes": "TYX"})
    name = size.split("=")[0]
    with tifffile.TiffFile(path) as tif:
        text = tif.ome_metadata
        old = text[text.index(f"{name}=") :].split(" ")[0].split(">")[0]
    tifffile.imwrite(
        path, pixels(3, 64, 64), metadata=None, photometric="minisblack",
        description=text.replace(old, size, 1),
    )  # fmt: skip
    assert str(path) in refused(read, path)


@pytest.mark.parametrize(
    "name",
    ["../second.ome.tif", "/etc/passwd", "..\\second.ome.tif", "\\\\host\\share\\a.tif", "C:a"],
)
def test_a_companion_elsewhere_is_not_followed(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    path = without_companion(folder, is_there=True)
    (folder / "second.ome.tif").rename(tmp_path / "second.ome.tif")
    with tifffile.TiffFile(path) as tif:
        description = tif.ome_metadata.replace("second.ome.tif", name)
    tifffile.imwrite(path, pixels(64, 64), metadata=None, description=description)
    assert "lacks its companion" in refused(read_image, path)


def test_a_companion_that_is_a_link_is_not_followed(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = without_companion(folder, is_there=True)
    (folder / "second.ome.tif").rename(tmp_path / "elsewhere.tif")
    (folder / "second.ome.tif").symlink_to(tmp_path / "elsewhere.tif")
    assert "lacks its companion" in refused(read_image, path)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [10**41, 10**41]},
        {"shape": [10**6, 10**6]},
        {"shape": [0, 64]},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 16]}}},
        {
            "shape": [10**6, 10**6],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**6] * 2}},
        },
    ],
)
def test_a_zarr_that_claims_more_than_it_holds(tmp_path, changes):
    path = zarr_with_gaps(tmp_path / "a.zarr", 0)
    metadata = path / "0" / "zarr.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | changes))
    assert str(path) in refused(read_window, path)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("level", [0, 9])
def test_a_gzip_chunk_that_inflates_beyond_its_array(tmp_path, zarr_format, level):
    path = tmp_path / "a.zarr"
    if zarr_format == 3:
        kind = zarr.codecs.GzipCodec()
    else:
        import numcodecs

        kind = numcodecs.GZip()
    made = zarr.create_array(
        path, shape=(64, 64), chunks=(64, 64), dtype="uint8", compressors=kind,
        zarr_format=zarr_format,
    )  # fmt: skip
    made[...] = pixels(64, 64)
    (chunk,) = (
        each for each in path.rglob("*") if each.is_file() and not each.name.startswith((".", "z"))
    )
    assert read_window(path) is None
    chunk.write_bytes(gzip.compress(bytes(2**28 if level else 2**22), level))
    assert "the most that a chunk of this array takes" in refused(read_window, path)


@OFTEN
@given(data=st.data())
def test_zarr_metadata_with_any_entry_changed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("zarr")
    path = zarr_with_gaps(folder / "a.zarr", 0)
    name = data.draw(st.sampled_from(["zarr.json", "0/zarr.json"]))
    changed = data.draw(changed_records(json.loads((path / name).read_text())))
    (path / name).write_bytes(encoded(changed))
    started = time.process_time()
    try:
        read_window(path)
    except UlensError as error:
        assert "a.zarr" in str(error)  # noqa: PT017
    assert time.process_time() - started < 2


def test_zarr_metadata_that_names_a_group_as_the_image(tmp_path):
    path = zarr_with_gaps(tmp_path / "a.zarr", 0)
    record = json.loads((path / "zarr.json").read_text())
    record["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = ""
    (path / "zarr.json").write_bytes(encoded(record))
    with pytest.raises(FileError, match=r"a\.zarr is no image .* '', which is a group"):
        read_window(path)


def test_a_zip_of_rois_that_inflates(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{number}.roi", bytes(2**23))
    assert "unpacks to 83.9 MB of ROIs" in refused(lambda p: read_rois(p, (9, 9)), path)


@OFTEN
@given(data=st.data())
def test_outlines_with_bytes_changed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("rois") / data.draw(st.sampled_from(["a.zip", "a.geojson"]))
    write_rois(path, np.pad(np.ones((4, 5), np.int32), 3))
    path.write_bytes(data.draw(changed_bytes(path.read_bytes())))
    started = time.process_time()
    with contextlib.suppress(FileError, LabelError):
        assert read_rois(path, (10, 11)).shape == (10, 11)
    assert time.process_time() - started < 1


@OFTEN
@given(data=st.data(), kind=st.sampled_from(["plain", "zlib", "ome"]))
def test_tiffs_with_bytes_changed(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    options = {"compression": "zlib"} if kind == "zlib" else {"ome": kind == "ome"}
    tifffile.imwrite(path, pixels(3, 16, 16), photometric="minisblack", **options)
    path.write_bytes(data.draw(changed_bytes(path.read_bytes(), within=600)))
    for read in (read_image, read_window):
        started = time.process_time()
        try:
            read(path)
        except UlensError as error:
            assert str(error)  # noqa: PT017
        assert time.process_time() - started < 2


@OFTEN
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "BMP"]))
def test_rasters_with_bytes_changed(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("raster") / "a"
    mode = data.draw(st.sampled_from({"PNG": ["1", "P", "RGBA", "I;16"]}.get(kind, ["L", "RGB"])))
    picture = PIL.Image.fromarray(pixels(16, 16, 3)).convert("L" if mode == "I;16" else "RGB")
    picture.convert(mode).save(path, kind)
    changed = data.draw(changed_bytes(path.read_bytes()))
    path.write_bytes(mend_png(changed) if kind == "PNG" else changed)
    for read in (read_image, read_label_image):
        started = time.process_time()
        try:
            read(path)
        except UlensError as error:
            assert str(path) in str(error)  # noqa: PT017
        assert time.process_time() - started < 2


@given(st.text())
def test_what_is_shown_steers_no_terminal(text):
    shown = make_visible(text)
    assert not any(
        (ord(each) < 32 and each not in "\t\n") or 127 <= ord(each) < 160 for each in shown
    )
    assert make_visible(shown) == shown


@given(st.text(min_size=1))
def test_no_cell_of_a_table_is_computed(text):
    cell = as_cell(text)
    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        float(cell)

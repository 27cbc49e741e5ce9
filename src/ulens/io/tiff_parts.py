"""Are all parts of a TIFF there? tifffile reads those that are missing as zeros."""

import math
import re
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree

import tifffile

from ulens.errors import FileError
from ulens.io.need import check_length

_KINDS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
"""Compression by its number in the file."""

_MERGE = (
    "ulens does not put the parts together: open the companion in Fiji (File > Import > "
    "Bio-Formats), save the image as one OME-TIFF, and give that"
)


def check_companions(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise FileError where the OME metadata are no honest ones, before anything follows them.

    They tell of files that do not lie beside this one, of more planes than its bytes can hold, or
    define entities, which can grow without end.
    """
    if not tif.is_ome:
        return
    root = parse_xml(tif.ome_metadata or "", path)
    own = root.get("UUID")
    num_bytes = path.stat().st_size
    for element in root.iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "BinaryOnly":
            name = element.get("MetadataFile", "")
            what = "leaves to" if _lies_beside(name, path) else "lacks"
            if is_companion(Path(name)):
                raise FileError(
                    f"{path} {what} {name}, which tells how the image is put together of files "
                    f"such as this; {_MERGE}"
                )
            raise FileError(
                f"{path} {what} {name}, the file that describes the image it is a part of; give "
                "that file if it holds pixels, or save the image as one OME-TIFF"
            )
        name = element.get("FileName", "")
        if kind != "UUID" or not name or name == path.name or (own and element.text == own):
            continue
        if not _lies_beside(name, path):
            raise FileError(
                f"{path} lacks its companion {name}, in which its OME metadata say that a part of "
                "the pixels is; put that file itself into the folder of this one, under this name, "
                "or save the image as one OME-TIFF"
            )
        num_bytes += (path.parent / name).stat().st_size
    for element in root.iter():
        _check_counts(element, num_bytes, path)


def parse_xml(text: str, path: Path) -> ElementTree.Element:
    """Parse XML that defines nothing of its own: entities could grow, or name other files.

    Raises
    ------
    FileError : it is damaged, or has a document type
    """
    check_xml(text, path)
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, RecursionError) as error:
        raise FileError(
            f"{path} has damaged metadata ({error}); copy it again from its source"
        ) from error


def check_xml(text: str, path: Path) -> None:
    """Raise FileError where XML defines something of its own."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FileError(
            f"{path} has metadata with a document type or entities, which no microscope writes; "
            "they are not read: save the image anew"
        )


def _lies_beside(name: str, path: Path) -> bool:
    """Whether a name is that of a file in the folder of another, or below; links lead elsewhere.

    The name is judged before the file system is asked: to ask for a name on another computer
    already tells that one.
    """
    parts = PureWindowsPath(name)  # knows drives, computers, and both kinds of slashes
    if not name or parts.drive or parts.root or ".." in parts.parts or "\0" in name:
        return False
    there = (path.parent / name).resolve()
    return there.is_file() and path.parent.resolve() in there.parents


def _check_counts(element: ElementTree.Element, num_bytes: int, path: Path) -> None:
    """Raise FileError where OME metadata tell of more planes than there are bytes."""
    kind = element.tag.rpartition("}")[2]
    if kind not in ("Pixels", "TiffData", "AlongZ", "AlongT", "AlongC"):
        return
    try:
        planes = math.prod(int(element.get(f"Size{axis}", 1)) for axis in "ZCT")
        listed = int(element.get("PlaneCount", element.get("NumPlanes", 0)))
        first = int(element.get("IFD", 0))
        steps = float(element.get("End", 0)) - float(element.get("Start", 0))
        counts = planes, listed, first, int(abs(steps) / abs(float(element.get("Step", 1)) or 1e-9))
    except (ValueError, OverflowError) as error:
        raise FileError(f"{path} has damaged OME metadata ({error})") from error
    if min(counts) < 0 or max(counts) > num_bytes:
        raise FileError(
            f"{path} tells of {max(counts, key=abs):,} planes, but has {num_bytes:,} bytes; "
            "it is damaged: copy it again from its source"
        )


def check_claim(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Raise FileError where there are more pixels than the files of an image can hold."""
    page = series.keyframe
    kind = _KINDS.get(int(page.compression), "other")
    files = {each.parent.filehandle.path for each in series if each is not None}
    num_bytes = sum(Path(file).stat().st_size for file in files) or path.stat().st_size
    bits = min(page.bitspersample, 8 * series.dtype.itemsize)
    check_length(path, math.prod(series.shape) * bits // 8, num_bytes, kind)


def is_companion(path: Path) -> bool:
    """Return whether a file is called as one that describes an image, but holds no pixels.

    Examples
    --------
    >>> is_companion(Path("cells.companion.ome")), is_companion(Path("cells.ome.tif"))
    (True, False)
    """
    return path.name.lower().endswith((".companion.ome", ".ome.xml"))


def refuse_companion(path: Path) -> None:
    """Raise FileError which says what is to be opened in place of a companion file."""
    names = sorted(set(re.findall(r'FileName="([^"]+)"', path.read_text("utf-8", "replace"))))
    held = f": they are in {', '.join(names[:6])}" if names else ""
    raise FileError(f"{path} describes an image, but holds no pixels{held}; {_MERGE}")


def check_page_chain(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise FileError when the list of pages breaks off, or holds a page without an image.

    tifffile only logs that and returns the other pages.
    """
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    pointer = tif.filehandle.read(tif.tiff.offsetsize)
    if len(pointer) < tif.tiff.offsetsize or any(pointer):
        raise FileError(
            f"{path} is truncated after {len(tif.pages)} pages; copy it again from its source"
        )
    for number, page in enumerate(tif.pages, start=1):
        if not page.dataoffsets or 0 in page.shape:
            raise FileError(
                f"page {number} of {path} is damaged: it describes no image; copy the file again "
                "from its source"
            )


def check_parts(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Raise FileError where a page, a tile or a strip is not stored, or is not told of."""
    if series.dataoffset:  # one piece; 0 is no place for pixels
        return
    if len(series) * series.keyframe.size != series.size:
        raise FileError(
            f"{path} holds {len(series)} pages of {series.keyframe.size} values, but its metadata "
            f"tell of an image of {series.size}; pages are missing, or the metadata are wrong: "
            "copy it again from its source, or save it in Fiji as OME-TIFF"
        )
    for number, page in enumerate(series, start=1):
        if page is None:
            raise FileError(
                f"{path} lacks page {number} of the {len(series)} that its metadata tell of; copy "
                "it again from its source, with the files that belong to it"
            )
        parts = zip(page.dataoffsets, page.databytecounts, strict=False)
        for part, (offset, num_bytes) in enumerate(parts, start=1):
            if offset == 0 or num_bytes == 0:
                what = "tile" if series.keyframe.is_tiled else "strip"
                raise FileError(
                    f"{path} lacks {what} {part} of {len(page.dataoffsets)} on page {number}: it "
                    "was never written; copy the file again from its source, or save it anew with "
                    "a number in every pixel"
                )


def damaged_page(series: tifffile.TiffPageSeries) -> int | None:
    """Return the number, from 1, of the first page of a stack that cannot be decoded."""
    for number, page in enumerate(series, start=1):
        try:
            assert page is not None
            page.asarray()
        except Exception:  # decoders raise errors of many kinds
            return number if len(series) > 1 else None
    return None

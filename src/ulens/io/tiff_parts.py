"""Are all parts of a TIFF there? tifffile reads those that are missing as zeros."""

import re
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from ulens.errors import FileError

_MERGE = (
    "ulens does not put the parts together: open the companion in Fiji (File > Import > "
    "Bio-Formats), save the image as one OME-TIFF, and give that"
)


def check_companions(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise FileError where the OME metadata tell of files that do not lie beside this one."""
    if not tif.is_ome:
        return
    root = ElementTree.fromstring(tif.ome_metadata or "")
    own = root.get("UUID")
    for element in root.iter():
        kind = element.tag.rpartition("}")[2]
        if kind == "BinaryOnly":
            name = element.get("MetadataFile", "")
            what = "lacks" if not (path.parent / name).is_file() else "leaves to"
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
        if not (path.parent / name).is_file():
            raise FileError(
                f"{path} lacks its companion {name}, in which its OME metadata say that a part of "
                "the pixels is; put that file beside it, under this name, or save the image as one "
                "OME-TIFF"
            )


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

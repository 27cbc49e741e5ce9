"""Files as people have them: made in a few lines, each with what a reader should find in it."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import PIL.Image
import tifffile
import zarr


def pixels(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Noise from 1 on, so that what is missing shows as 0."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def untagged(path: Path, data: np.ndarray, *, by_tifffile: bool = True) -> Path:
    """A TIFF of pages that says nothing of its axes."""
    metadata = {} if by_tifffile else None
    tifffile.imwrite(path, data, photometric="minisblack", metadata=metadata)
    return path


def with_sizes(path: Path, data: np.ndarray, axes: str, kind: str) -> Path:
    """A TIFF with pixels of 0.25×0.5 µm, slices 2 µm and frames 30 s apart."""
    if kind == "imagej":
        metadata = {"axes": axes, "unit": "um", "spacing": 2.0, "finterval": 30.0}
        options = {"imagej": True, "resolution": (2, 4)}
    else:
        metadata = {
            "axes": axes, "PhysicalSizeY": 250.0, "PhysicalSizeYUnit": "nm", "PhysicalSizeX": 0.5,
            "PhysicalSizeZ": 0.002, "PhysicalSizeZUnit": "mm",
            "TimeIncrement": 0.5, "TimeIncrementUnit": "min",
        }  # fmt: skip
        options = {"ome": True}
    tifffile.imwrite(path, data, photometric="minisblack", metadata=metadata, **options)
    return path


def without_companion(folder: Path, *, is_there: bool = False) -> Path:
    """An OME-TIFF whose second channel lies in second.ome.tif, which is not there."""
    data = pixels(2, 64, 64)
    for name, channel in (("first.ome.tif", data[0]), ("second.ome.tif", data[1])):
        description = _ome("first", "second") if name == "first.ome.tif" else None
        tifffile.imwrite(
            folder / name, channel, photometric="minisblack", metadata=None, description=description
        )
    if not is_there:
        (folder / "second.ome.tif").unlink()
    return folder / "first.ome.tif"


def binary_only(path: Path, companion: str) -> Path:
    """A part of an image that is described in another file."""
    root = ElementTree.Element("OME", xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06")
    ElementTree.SubElement(root, "BinaryOnly", MetadataFile=companion, UUID="urn:uuid:1")
    description = ElementTree.tostring(root, encoding="unicode")
    tifffile.imwrite(path, pixels(64, 64), metadata=None, description=description)
    return path


def sparse_tiff(path: Path, *, is_tiled: bool = True) -> Path:
    """A TIFF of three pages, of whose second the sixth part was never written."""
    data = pixels(3, 64, 64)

    def parts():
        for page in range(3):
            for part in range(16):
                row, column = divmod(part, 4)
                whole = data[page, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
                yield None if (page, part) == (1, 5) else whole

    if is_tiled:
        with tifffile.TiffWriter(path) as tif:
            options = {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"}
            tif.write(parts(), shape=(3, 64, 64), dtype=np.uint8, **options)
        return path
    options = {"photometric": "minisblack", "rowsperstrip": 8, "compression": "zlib"}
    tifffile.imwrite(path, data, metadata=None, **options)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for tag in (tif.pages[1].tags["StripOffsets"], tif.pages[1].tags["StripByteCounts"]):
            tag.overwrite([0 if part == 5 else value for part, value in enumerate(tag.value)])
    return path


def damaged_page(path: Path, *, what: str) -> Path:
    """A TIFF of five pages, of which the third is damaged: its pixels, its tags or all of it."""
    options = {"photometric": "minisblack", "compression": "zlib"}
    tifffile.imwrite(path, pixels(5, 64, 64), metadata=None, **options)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[2]
        start, value = {
            "pixels": (page.dataoffsets[0], 0),
            "tags": (page.offset + 2, 255),
            "page": (page.offset, 0),
        }[what]
    content = bytearray(path.read_bytes())
    content[start : start + 24] = bytes([value]) * 24
    path.write_bytes(content)
    return path


def zarr_with_gaps(path: Path, num_missing: int) -> Path:
    """An OME-Zarr of 16 chunks without so many of them."""
    data = pixels(64, 64)
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    transform = [{"type": "scale", "scale": [0.25, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": transform}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group = zarr.create_group(path, attributes={"ome": ome})
    group.create_array("0", shape=data.shape, dtype=data.dtype, chunks=(16, 16))[...] = data
    chunks = sorted(file for file in (path / "0" / "c").rglob("*") if file.is_file())
    for chunk in chunks[:num_missing]:
        chunk.unlink()
    return path


def white_is_zero(path: Path, data: np.ndarray) -> Path:
    """A TIFF of these stored values, which viewers show inverted."""
    tifffile.imwrite(path, data, photometric="miniswhite", metadata=None)
    return path


def white_of_12_bits(path: Path, values: list[int]) -> Path:
    """A TIFF of 16 rows of these values, an even number of them, two in three bytes."""
    pairs = np.array(values).reshape(-1, 2) @ [4096, 1]
    packed = np.stack([pairs >> 16, pairs >> 8 & 255, pairs & 255], axis=1).astype(np.uint8)
    rows = np.tile(packed.ravel(), (16, 1))
    tifffile.imwrite(path, rows, photometric="miniswhite", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["ImageWidth"].overwrite(len(values))
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["BitsPerSample"].overwrite(12)
    return path


def turned(path: Path, data: np.ndarray, orientation: int) -> Path:
    """A PNG, JPEG or TIFF of stored (Y, X) or (Y, X, 3) pixels with a tag for viewers."""
    if path.suffix == ".tif":
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, data, metadata=None, extratags=[tag])
        return path
    exif = PIL.Image.Exif()
    exif[274] = orientation
    lossless = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}
    PIL.Image.fromarray(data).save(path, exif=exif, **lossless)
    return path


def renamed(path: Path) -> Path:
    """An OME-TIFF whose metadata know it as first.ome.tif."""
    tifffile.imwrite(path, pixels(64, 64), metadata=None, description=_ome("first"))
    return path


def _ome(*names: str) -> str:
    """Metadata of the first of some files, each with a channel."""
    root = ElementTree.Element(
        "OME", xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06", UUID="urn:uuid:first"
    )
    image = ElementTree.SubElement(root, "Image", ID="Image:0")
    sizes = {"SizeX": "64", "SizeY": "64", "SizeC": str(len(names)), "SizeZ": "1", "SizeT": "1"}
    kind = {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": "uint8"}
    stored = ElementTree.SubElement(image, "Pixels", **kind, **sizes)
    for channel, name in enumerate(names):
        data = ElementTree.SubElement(
            stored, "TiffData", FirstC=str(channel), IFD="0", PlaneCount="1"
        )
        uuid = ElementTree.SubElement(data, "UUID", FileName=f"{name}.ome.tif")
        uuid.text = f"urn:uuid:{name}"
    return ElementTree.tostring(root, encoding="unicode")


def lsm(path: Path, data: np.ndarray, *, num_said: int | None = None) -> Path:
    """A stack as Zeiss microscopes wrote it: each (Y, X) slice of a (Z, Y, X) array, its thumbnail.

    Pixels are 0.3×0.2 µm, slices 1.5 µm and frames 30 s apart. `num_said` slices are told of.
    """
    fields = np.dtype([(name, kind) for name, kind in tifffile.TIFF.CZ_LSMINFO])
    info = np.zeros(1, fields)
    sizes = dict(zip("ZYX", (num_said or len(data), *data.shape[1:]), strict=True))
    values = {f"Dimension{axis}": size for axis, size in sizes.items()}
    values |= {"DimensionChannels": 1, "DimensionTime": 1, "DataType": 1, "MagicNumber": 0x0400494C}
    values |= {"VoxelSizeZ": 1.5e-6, "VoxelSizeY": 0.3e-6, "VoxelSizeX": 0.2e-6}
    values |= {"TimeIntervall": 30.0, "StructureSize": fields.itemsize}
    for name, value in values.items():
        info[name] = value
    told = info.tobytes()
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for number, plane in enumerate(data):
            tags = [(34412, 1, len(told), told, True)] if number == 0 else []
            options = {"photometric": "minisblack", "metadata": None, "contiguous": False}
            tif.write(plane, extratags=tags, **options)
            tif.write(plane[::4, ::4], subfiletype=1, **options)
    return path

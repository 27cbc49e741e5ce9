"""Small files of microscopes: CZI by Zeiss's own writer, ND2 and LIF byte by byte."""

import struct
import zlib

import numpy as np

_AXES_OF_LIF = {"X": 1, "Y": 2, "Z": 3, "T": 4}


def write_czi(path, scenes, *, names=(), size_um=(0, 0, 0), compression="uncompressed:", tile=None):
    """Write (T, C, Z, Y, X) or (T, C, Z, Y, X, 3) images; of several scenes side by side.

    size_um : of a pixel along x, y, z; 0 where it is not told. The file keeps metres
    tile : side of the tiles of a mosaic
    """
    from pylibCZIrw import czi

    with czi.create_czi(str(path), exist_ok=True, compression_options=compression) as document:
        for number, image in enumerate(scenes):
            for t, c, z in np.ndindex(image.shape[:3]):
                plane = image[t, c, z]
                plane = plane[..., ::-1] if plane.ndim == 3 else plane[..., None]  # blue first
                side = tile or max(plane.shape)
                for y in range(0, plane.shape[0], side):
                    for x in range(0, plane.shape[1], side):
                        document.write(
                            np.ascontiguousarray(plane[y : y + side, x : x + side]),
                            location=(x + 1000 * number, y - 7),
                            plane={"T": t, "C": c, "Z": z},
                            **({"scene": number} if len(scenes) > 1 else {}),
                        )
        x, y, z = (size / 1e6 for size in size_um)
        document.write_metadata(
            channel_names=dict(enumerate(names)), scale_x=x, scale_y=y, scale_z=z
        )
    return path


def write_lif(path, images, *, xml=None):
    """Write a LIF file.

    images : by name: (array, its letters in the order of the file, such as TCZYX or YXS, sizes of a
        pixel in m or s by letter, names of the channels)
    xml : changes the text before it is written
    """
    elements, blocks = [], []
    for number, (name, (data, letters, sizes, channels)) in enumerate(images.items()):
        strides = dict(zip(letters, data.strides, strict=True))
        dimensions = "".join(
            f'<DimensionDescription DimID="{_AXES_OF_LIF[axis]}" NumberOfElements="{n}" '
            f'Origin="0" Length="{sizes.get(axis, 0) * (n - 1)}" '
            f'Unit="{"s" if axis == "T" else "m"}" BitInc="0" BytesInc="{strides[axis]}"/>'
            for axis, n in sorted(zip(letters, data.shape, strict=True))
            if axis in _AXES_OF_LIF
        )
        places = [i for i, axis in enumerate(letters) if axis in "CS"]
        num, step = (data.shape[places[0]], data.strides[places[0]]) if places else (1, 0)
        described = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="{3 - i if "S" in letters else 0}" '
            f'Resolution="{8 * data.itemsize}" NameOfMeasuredQuantity="" Min="0" Max="255" '
            f'Unit="" LUTName="{channels[i] if channels else "Gray"}" IsLUTInverted="0" '
            f'BytesInc="{i * step}" BitInc="0"/>'
            for i in range(num)
        )
        elements.append(
            f'<Element Name="{name}"><Data><Image><ImageDescription>'
            f"<Channels>{described}</Channels><Dimensions>{dimensions}</Dimensions>"
            f"</ImageDescription></Image></Data>"
            f'<Memory Size="{data.nbytes}" MemoryBlockID="M{number}"/></Element>'
        )
        blocks.append((f"M{number}", data.tobytes()))
    text = (
        '<LMSDataContainerHeader Version="2"><Element Name="p"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    )
    text = xml(text) if xml else text
    parts = [
        struct.pack("<IIBI", 0x70, 2 * len(text) + 5, 0x2A, len(text)),
        text.encode("utf-16-le"),
    ]
    for name, data in blocks:
        head = struct.pack("<BQBI", 0x2A, len(data), 0x2A, len(name)) + name.encode("utf-16-le")
        parts += [struct.pack("<II", 0x70, len(head)), head, data]
    path.write_bytes(b"".join(parts))
    return path


def write_nd2(
    path, data, letters, *, names=(), size_um=0.0, z_um=1.0, period_ms=0.0, positions=(),
    missing=(), is_deflated=False, **attributes,
):  # fmt: skip
    """Write an ND2 file of version 3 as NIS-Elements lays it out.

    data, letters : loops first, then CYX or YXS; loops are of T, P and Z
    positions : names of those along P
    missing : numbers of frames that are left out
    attributes : to be written instead of the true ones, such as uiWidth
    """
    num_loops = letters.index("C") if "C" in letters else letters.index("Y")
    is_color = letters.endswith("S")
    frames = data.reshape(-1, *data.shape[num_loops:])
    frames = frames if is_color else np.moveaxis(frames, 1, 3)  # (N, Y, X, components)
    count, height, width, components = frames.shape
    planes = 1 if is_color else components
    chunks = {
        "ImageAttributesLV!": {"SLxImageAttributes": {
            "uiWidth": width, "uiHeight": height, "uiComp": components,
            "uiWidthBytes": width * components * data.itemsize,
            "uiBpcInMemory": 8 * data.itemsize, "uiBpcSignificant": 8 * data.itemsize,
            "uiSequenceCount": count, "eCompression": 0 if is_deflated else 2, **attributes,
        }},
        "ImageMetadataSeqLV|0!": {"SLxPictureMetadata": {
            "bCalibrated": size_um > 0, "dCalibration": float(size_um),
            "sPicturePlanes": {"uiCount": planes, "sPlaneNew": {
                f"a{i}": {"uiCompCount": components // planes, "uiSampleIndex": i,
                          "sDescription": names[i] if names else "",
                          "pFluorescentProbe": {"m_sName": ""}}
                for i in range(planes)
            }},
        }},
    }  # fmt: skip
    loops = [*zip(letters[:num_loops], data.shape[:num_loops], strict=True)]
    experiment: dict = {}
    for axis, n in reversed(loops):
        inside = {"ppNextLevelEx": {"a": experiment}} if experiment else {}
        parameters = {
            "T": {"uiCount": n, "dStart": 0.0, "dPeriod": period_ms, "dDuration": 0.0},
            "Z": {"uiCount": n, "dZStep": z_um},
            "P": {
                "Points": {f"p{i}": {"dPosX": 0.0, "dPosName": p} for i, p in enumerate(positions)}
            },
        }[axis]
        experiment = {"eType": {"T": 1, "P": 2, "Z": 4}[axis], "uLoopPars": parameters, **inside}
    if experiment:
        chunks["ImageMetadataLV!"] = {"SLxExperiment": experiment}
    encoded = {name: _lite(content) for name, content in chunks.items()}
    for number, frame in enumerate(frames):
        if number not in missing:
            pixels = np.ascontiguousarray(frame).tobytes()
            pixels = zlib.compress(pixels) if is_deflated else pixels
            encoded[f"ImageDataSeq|{number}!"] = struct.pack("<d", 0.0) + pixels
    file = bytearray(_chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0")))
    table = b""
    for name, content in encoded.items():
        table += name.encode() + struct.pack("<QQ", len(file), len(content))
        # the pixels of a frame begin 4096 bytes after its chunk, 8 bytes after its time
        file += _chunk(name.encode().ljust(4072), content)
    start = len(file)
    signature = b"ND2 CHUNK MAP SIGNATURE 0000001!"
    table += signature + struct.pack("<Q", start)
    file += _chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", table)
    path.write_bytes(bytes(file) + signature + struct.pack("<Q", start))
    return path


def _chunk(name, content):
    return struct.pack("<IIQ", 0x0ABECEDA, len(name), len(content)) + name + content


def _lite(entries):
    """Return a dictionary as ND2 keeps it: kind, length of the name, name, value."""
    parts = []
    for name, value in entries.items():
        head = (name + "\0").encode("utf-16-le")
        if isinstance(value, dict):
            inside = _lite(value)
            length = 2 + len(head) + 12 + len(inside)
            kind, content = (
                11,
                struct.pack("<IQ", len(value), length) + inside + bytes(8 * len(value)),
            )
        elif isinstance(value, bool):
            kind, content = 1, struct.pack("<B", value)
        elif isinstance(value, int):
            kind, content = 3, struct.pack("<I", value)
        elif isinstance(value, float):
            kind, content = 6, struct.pack("<d", value)
        else:
            kind, content = 8, (value + "\0").encode("utf-16-le")
        parts.append(struct.pack("<BB", kind, len(head) // 2) + head + content)
    return b"".join(parts)

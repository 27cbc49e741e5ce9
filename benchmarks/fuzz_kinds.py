"""What `fuzz.py` changes: seeds of each kind, and what reads them."""

import hashlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import roifile
import tifffile
import torch
import zarr

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from microscope_files import write_czi, write_lif, write_nd2
from odd_files import pixels, zarr_with_gaps
from tiny_training import tiny_plan, training_images
from ulens.annotated.ctc import read_lineage, write_lineage, write_result
from ulens.annotated.samples import Sample, read_annotated
from ulens.bundle import MODEL, ModelBundle, load_bundle, save_bundle
from ulens.datasets.checksums import CHECKSUMS, read_checksums
from ulens.datasets.unpack import unpack
from ulens.image import Image
from ulens.io.files import read_image, read_label_image, write_tiff
from ulens.io.lock import LOCK, check_free, hold
from ulens.io.regions import open_volume
from ulens.io.rois import read_rois, write_rois
from ulens.jobs.evaluate_ctc import evaluate_ctc
from ulens.jobs.segment_record import look_at, open_record
from ulens.jobs.segmenting import Finding, SegmentSettings
from ulens.nets.unet import UNet
from ulens.normalize import Normalization
from ulens.planning.fingerprint import take_fingerprint
from ulens.planning.plan import read_plan
from ulens.predict.large.job import JOB, VERSION, LargeJob, read_job
from ulens.tracking.lineage import Lineage, Track, check_result, join_gaps
from ulens.training.model_folder import LOG, PLAN, read_log
from ulens.training.need import check_training_memory
from ulens.training.scored import Scored, load_scored
from ulens.training.state import load_state, save_state
from ulens.training.trainer import Trainer
from ulens.training.validate import Prediction

LABELS = np.pad(
    [np.ones((4, 3), np.uint16), np.full((4, 3), 2, np.uint16)], [(0, 0), (3, 3), (3, 3)]
)
TRACKS = Lineage((Track(1, 0, 0, 0), Track(2, 1, 1, 1)))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is changed: a file, or a folder, which libFuzzer sees as a zip of its files."""

    make: Callable[[Path], object]  # writes seeds into a folder
    reads: tuple[Callable[[Path], object], ...]
    name: str  # of the file or folder that is read
    mend: Callable[[dict[str, bytes]], dict[str, bytes]] = dict  # what follows from a change


def read_window(path: Path) -> None:
    with open_volume(path) as volume:
        volume.read(volume.planes()[-1], slice(0, 8), slice(0, 8))


def make_tiffs(folder: Path) -> None:
    stack = pixels(3, 16, 16)
    write_tiff(folder / "ulens", Image(data=stack, axes="CYX", spacing_um=(0.5, 0.25)))
    options: list[dict[str, Any]] = [
        {}, {"compression": "zlib"}, {"compression": "lzw", "predictor": True}, {"ome": True},
        {"imagej": True}, {"bigtiff": True, "tile": (16, 16)}, {"compression": "packbits"},
        {"byteorder": ">", "metadata": None, "rowsperstrip": 4}, {"compression": "zstd"},
    ]  # fmt: skip
    for number, each in enumerate(options):
        tifffile.imwrite(folder / str(number), stack, photometric="minisblack", **each)


def make_rasters(folder: Path, form: str, modes: str) -> None:
    for mode in modes.split():
        picture = PIL.Image.fromarray(pixels(16, 16, 3)).convert("L" if mode == "I;16" else "RGB")
        picture.convert(mode).save(folder / mode, form)


def make_labels(folder: Path) -> None:
    write_tiff(folder / "ulens", Image(data=LABELS, axes="TYX"))
    tifffile.imwrite(folder / "white", LABELS[0], photometric="miniswhite", compression="lzw")
    picture = PIL.Image.fromarray(LABELS[0].astype(np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(folder / "palette", "PNG")


def make_zarrs(folder: Path) -> None:
    zarr_with_gaps(folder / "ome", 7)
    options: list[dict[str, Any]] = [{}, {"zarr_format": 2}, {"shards": (16, 16)}]
    for number, each in enumerate(options):
        usual: dict[str, Any] = {"shape": (16, 16), "chunks": (8, 8), "dtype": "uint8"}
        zarr.create_array(folder / str(number), **usual, **each)[...] = pixels(16, 16)


def make_model(folder: Path) -> None:
    bundle = ModelBundle(
        net=UNet(1, 2, width=2, depth=1), normalization=Normalization((0.5,)), encoding="boundary",
        class_values=(0, 1), decoding={"threshold": 0.5, "min_area_px": 3},
        plan=tiny_plan().to_json(), scores={"dice": 0.9},
        provenance={"steps": 7, "training_seconds": 100.0}, int8={"down.0.2": (-0.25, 3.5)},
    )  # fmt: skip
    save_bundle(bundle, folder / "model")


def mend_hashes(files: dict[str, bytes]) -> dict[str, bytes]:
    """Write the hashes of a model's files, so that what they hold is read."""
    hashes = {n: hashlib.sha256(data).hexdigest() for n, data in files.items() if n != MODEL}
    with suppress(ValueError, TypeError, RecursionError):
        return files | {MODEL: json.dumps(json.loads(files[MODEL]) | {"sha256": hashes}).encode()}
    return files


def check_plan(path: Path) -> None:
    plan = read_plan(path)
    plan.to_bytes()
    check_training_memory(plan, 1, torch.device("cpu"))


class Training:
    """A tiny training, which goes on from changed states."""

    def __init__(self) -> None:
        plan = tiny_plan(width=2, crop=28, steps=9)
        self.samples = [Sample(name="a", image=pixels(1, 4, 4), label=np.ones((4, 4), np.int32))]
        check_training_memory(plan, 1, torch.device("cpu"))  # whose first call takes seconds
        self.trainer = Trainer(plan.make_network(1), training_images(), plan)

    def make_states(self, folder: Path) -> None:
        save_state(folder / "begun", *self.trainer.snapshot)
        next(iter(self.trainer))
        self.trainer.take_snapshot()
        save_state(folder / "trained", *self.trainer.snapshot)
        maps, labels = np.full((2, 4, 4), 0.5, np.float32), np.ones((4, 4), np.int32)
        Scored(
            predictions=[Prediction(sample=self.samples[0], maps=maps, labels=labels)],
            decoding={}, scores={"dice": 0.5}, evidence=None, step=3,
        ).save(folder / "scored")  # fmt: skip

    def resume(self, path: Path) -> None:
        self.trainer.restore(*load_state(path))
        next(iter(self.trainer), None)

    def read_scored(self, path: Path) -> None:
        load_scored(path, self.samples, "classes")


def settings(out: Path) -> SegmentSettings:
    return SegmentSettings(Path("start"), Path("images"), out=out)


def make_records(folder: Path) -> None:
    out = folder / "records"
    out.mkdir()
    record = open_record(settings(out))
    record.start()
    record.finish(Path("a.tif"), look_at(Path(__file__)), Finding(num_objects=3), ())
    job = LargeJob(
        model="a", image="b", average=1, factor=(1.0, 1.0), engine="fp32", beside_int8="fp32",
        tile_px=60, block_px=64, halo_px=8,
    )  # fmt: skip
    (out / JOB).write_text(json.dumps({"version": VERSION} | asdict(job)))
    (out / LOG).write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n')
    (out / CHECKSUMS).write_text('{"https://a/b.zip": "00"}')
    with hold(out):
        shutil.copy(out / LOCK, folder / LOCK)
    (folder / LOCK).rename(out / LOCK)


def make_rois(folder: Path, name: str) -> None:
    write_rois(folder / name, LABELS[0])
    write_rois(folder / f"stack {name}", LABELS[:, None], axes="TZYX")


def make_roi_files(folder: Path) -> None:
    for kind in (roifile.ROI_TYPE.OVAL, roifile.ROI_TYPE.RECT, roifile.ROI_TYPE.POLYGON):
        roi = roifile.ImagejRoi.frompoints(np.array([[1, 1], [7, 1], [7, 6.5], [1, 6]]), name="a")
        roi.roitype = kind
        roi.tofile(folder / f"{kind.name}.roi")
    labels = LABELS[0] * (1 - np.eye(10, 9, dtype=np.uint16))
    write_rois(folder / "a.zip", labels)
    with zipfile.ZipFile(folder / "a.zip") as archive:
        archive.extractall(folder)
    (folder / "a.zip").unlink()


def make_pairs(folder: Path) -> None:
    for name, content in (("images", pixels(2, 10, 9)), ("labels", LABELS)):
        (folder / "pairs" / name).mkdir(parents=True)
        write_tiff(folder / "pairs" / name / "0.tif", Image(data=content, axes="TYX"))


def use_pairs(images: Path, labels: Path | None = None) -> None:
    take_fingerprint(read_annotated(images, labels))


def make_challenge(folder: Path) -> None:
    masks = [(0, LABELS[0]), (1, LABELS[1])]
    write_result(folder / "set" / "01_RES", masks, TRACKS)
    truth = folder / "set" / "01_GT"
    for name in ("SEG", "TRA", "../01"):
        (truth / name).mkdir(parents=True)
    for frame, mask in masks:
        write_tiff(truth / f"../01/t{frame:03d}.tif", Image(data=mask, axes="YX"))
        for name in (f"SEG/man_seg{frame:03d}.tif", f"TRA/man_track{frame:03d}.tif"):
            write_tiff(truth / name, Image(data=mask, axes="YX"))
    write_lineage(truth / "TRA" / "man_track.txt", TRACKS)


def use_lineage(path: Path) -> None:
    lineage = read_lineage(path)
    join_gaps(lineage), lineage.parent_links(), check_result(enumerate(LABELS), lineage)


def make_microscope_files(folder: Path, form: str) -> None:
    data = pixels(2, 2, 16, 16)
    if form == "nd2":
        write_nd2(folder / "0", data, "ZCYX", size_um=0.5)
        write_nd2(folder / "1", data, "PCYX", positions=("a", "b"), is_deflated=True)
    elif form == "czi":
        write_czi(folder / "0", [data[:, :, None]], compression="zstd1:", tile=9)
        write_czi(folder / "1", [data[:, :, None], data[:, :, None]], size_um=(0.5, 0.5, 1))
    else:
        write_lif(folder / "0", {"a": (data, "ZCYX", {"X": 1e-6, "Y": 1e-6}, ())})
        write_lif(
            folder / "1", {"a": (pixels(16, 16, 3), "YXS", {}, ()), "b": (data, "TCYX", {}, ())}
        )


def make_archives(folder: Path) -> None:
    for number, kind in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder / str(number), "w", kind) as archive:
            archive.writestr("Set/01/t000.tif", bytes(50) + pixels(50).tobytes())
            archive.writestr("Set/01_GT/", b"")
            archive.writestr("Set/a.json", b"{}")


def check_unpacking(path: Path) -> None:
    out = path.with_name("out")
    try:
        list(unpack(path, out))
        assert not any(each.is_symlink() for each in out.rglob("*"))
    finally:
        shutil.rmtree(out, ignore_errors=True)
        assert [each.name for each in path.parent.iterdir()] == [path.name], "a file elsewhere"


TRAINING = Training()
KINDS = {
    "tiff": Kind(make=make_tiffs, reads=(read_image, read_window), name="a.tif"),
    "png": Kind(
        make=partial(make_rasters, form="PNG", modes="1 L P RGB RGBA I;16 LA"), name="a.png",
        reads=(read_image,),
    ),
    "jpeg": Kind(
        make=partial(make_rasters, form="JPEG", modes="L RGB CMYK"), name="a.jpg",
        reads=(read_image,),
    ),
    "bmp": Kind(
        make=partial(make_rasters, form="BMP", modes="1 L P RGB"), name="a.bmp",
        reads=(read_image,),
    ),
    **{
        form: Kind(
            make=partial(make_microscope_files, form=form), name=f"a.{form}",
            reads=(read_image, partial(read_image, scene=2), read_window),
        )
        for form in ("nd2", "czi", "lif")
    },
    "labels": Kind(make=make_labels, reads=(read_label_image,), name="a"),
    "pairs": Kind(
        make=make_pairs, reads=(lambda p: use_pairs(p / "images", p / "labels"),), name="pairs",
    ),
    "zarr": Kind(make=make_zarrs, reads=(read_window,), name="a.zarr"),
    "models": Kind(make=make_model, reads=(load_bundle,), name="model", mend=mend_hashes),
    "states": Kind(
        make=TRAINING.make_states, reads=(TRAINING.resume, TRAINING.read_scored), name="state"
    ),
    "plans": Kind(
        make=lambda folder: (folder / PLAN).write_bytes(tiny_plan().to_bytes()),
        reads=(check_plan,), name=PLAN,
    ),
    "records": Kind(
        make=make_records, name="records",
        reads=(read_job, read_log, read_checksums, check_free, lambda p: open_record(settings(p))),
    ),
    "rois": Kind(
        make=make_roi_files, reads=(lambda path: read_rois(path, (10, 9)),), name="a.roi"
    ),
    "roi zips": Kind(
        make=partial(make_rois, name="a.zip"), name="a.zip",
        reads=(lambda p: read_rois(p, (10, 9)), lambda p: read_rois(p, (2, 1, 10, 9), axes="TZYX")),
    ),
    "geojson": Kind(
        make=partial(make_rois, name="a.geojson"), name="a.geojson",
        reads=(lambda p: read_rois(p, (10, 9)), lambda p: read_rois(p, (2, 1, 10, 9), axes="TZYX")),
    ),
    "tracks": Kind(
        make=lambda folder: write_lineage(folder / "0", TRACKS), reads=(use_lineage,),
        name="man_track.txt",
    ),
    "challenge": Kind(
        make=make_challenge, name="set",
        reads=(lambda p: evaluate_ctc(p / "01_GT", p / "01_RES", frames=None), use_pairs),
    ),
    "archives": Kind(make=make_archives, reads=(check_unpacking,), name="a.zip"),
}  # fmt: skip

"""The job `export`: a model for other programs."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated

from ulens.bundle import load_bundle
from ulens.errors import SettingError
from ulens.export.bioimageio import Card, make_package
from ulens.export.onnx import make_onnx, name_maps
from ulens.io.atomic import write_file
from ulens.io.need import in_bytes
from ulens.io.writable import check_parent, check_writable
from ulens.jobs.options import FLAG, OUT


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What a user asks of an export; `ulens export` has an option for each.

    Parameters
    ----------
    model
        folder of the model
    out
        file to write: .onnx for one network file, .zip for a package of the BioImage Model Zoo
    license
        under which a package may be used, as its SPDX identifier, such as CC-BY-4.0
    name
        of the model in a package; the default is its folder's name
    author
        of a package; may be given several times
    overwrite
        replace a file of that name
    """

    model: Path
    _: KW_ONLY
    out: Annotated[Path, OUT]
    license: str | None = None
    name: str | None = None
    author: tuple[str, ...] = ()
    overwrite: Annotated[bool, FLAG] = False

    def __post_init__(self) -> None:
        kind = self.out.suffix.lower()
        if kind not in (".onnx", ".zip"):
            raise SettingError(f"out is {self.out}; its name needs to end in .onnx or .zip")
        if kind == ".zip" and self.license is None:
            raise SettingError(
                "a package needs a license, under which others may use the model: give one, such "
                "as --license CC-BY-4.0, CC0-1.0 or MIT"
            )
        if kind == ".onnx" and (self.license or self.name or self.author):
            raise SettingError(
                "license, name and author are of a package, but out ends in .onnx; leave them out, "
                "or write a .zip"
            )


def export(settings: ExportSettings) -> list[str]:
    """Write a model as ONNX or as a package.

    Returns
    -------
    sentences to print

    Raises
    ------
    UlensError : as `load_bundle`, `check_writable`, `make_onnx` and `make_package`
    """
    out = settings.out
    check_writable(out, "export", overwrite=settings.overwrite)
    check_parent(out, "export")
    bundle = load_bundle(settings.model)
    if out.suffix.lower() == ".onnx":
        content = make_onnx(bundle)
    else:
        assert settings.license is not None
        name = settings.name or settings.model.resolve().name.removesuffix(".model")
        content = make_package(
            bundle, Card(name=name, license=settings.license, authors=settings.author)
        )
    write_file(out, content)
    return [
        f"maps: {', '.join(name_maps(bundle))}",
        f"{out}, {in_bytes(len(content))}",
    ]

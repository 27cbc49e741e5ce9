import zipfile

import onnxruntime
import pytest

from ulens.bundle import START
from ulens.errors import ModelError, OutputError, SettingError
from ulens.jobs.export import ExportSettings, export


def test_an_onnx_file(tmp_path):
    out = tmp_path / "cells.onnx"
    lines = export(ExportSettings(START, out=out))
    assert lines[0] == "maps: background, interior, contact"
    assert onnxruntime.InferenceSession(out).get_inputs()[0].shape == ["batch", 1, "y", "x"]


def test_a_package(tmp_path):
    out = tmp_path / "cells.zip"
    export(ExportSettings(START, out=out, license="MIT", author=("A. Person", "B. Person")))
    with zipfile.ZipFile(out) as opened:
        description = opened.read("rdf.yaml").decode()
    for told in ("A. Person", "B. Person", "MIT", "name: start"):
        assert told in description


def test_a_file_that_is_there_is_replaced_only_with_overwrite(tmp_path):
    out = tmp_path / "cells.onnx"
    out.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        export(ExportSettings(START, out=out))
    assert out.read_text() == "mine"
    export(ExportSettings(START, out=out, overwrite=True))
    assert out.stat().st_size > 10**6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"out": "cells.pt"}, "end in .onnx or .zip"),
        ({"out": "cells.zip"}, "--license CC-BY-4.0"),
        ({"out": "cells.onnx", "license": "MIT"}, "leave them out"),
        ({"out": "cells.onnx", "author": ("A. Person",)}, "leave them out"),
    ],
)
def test_what_does_not_fit_is_told(options, told, tmp_path):
    options["out"] = tmp_path / options["out"]
    with pytest.raises(SettingError, match=told):
        ExportSettings(START, **options)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no model\.json"):
        export(ExportSettings(tmp_path, out=tmp_path / "a.onnx"))
    assert not (tmp_path / "a.onnx").exists()

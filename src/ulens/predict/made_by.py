"""What a model's label images tell of it."""

import os
from importlib import metadata
from pathlib import Path
from typing import Any

from ulens.bundle import MODEL, WEIGHTS, ModelBundle, find_model
from ulens.io.made_by import MadeBy
from ulens.record import read_json
from ulens.visible import make_visible

_SHOWN_DIGITS = 12


def tell_maker(folder: Path, bundle: ModelBundle) -> MadeBy:
    """Return what the label images of a model tell of it.

    Parameters
    ----------
    folder, bundle : the model, as `load_bundle` read it
    """
    folder = find_model(folder)
    description: dict[str, Any] = read_json((folder / MODEL).read_bytes(), MODEL)
    return MadeBy(
        version=metadata.version("ulens"),
        # in an ASCII locale, names in other letters come as bytes that cannot be written
        model=make_visible(os.fsencode(folder.resolve().name).decode(errors="replace")),
        weights=description["sha256"][WEIGHTS][:_SHOWN_DIGITS],
        classes=_name_classes(bundle) if bundle.labels_are == "classes" else {},
    )


def _name_classes(bundle: ModelBundle) -> dict[int, str]:
    ground, *others = bundle.class_values
    names = ["foreground"] if len(others) == 1 else [f"class {value}" for value in others]
    return {ground: "background", **dict(zip(others, names, strict=True))}

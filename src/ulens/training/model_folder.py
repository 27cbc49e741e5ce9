"""What a training writes beside its model: the plan, the log, the state to resume from."""

import json
from pathlib import Path
from typing import Any

from ulens.errors import OutputError, SettingError
from ulens.io.atomic import replace_files
from ulens.record import read_json

PLAN, LOG, STATE = "plan.json", "log.jsonl", Path("training") / "state.safetensors"
HELD_OUT = Path("training") / "held_out.safetensors"


class ModelFolder:
    """The folder that a training fills.

    Parameters
    ----------
    path : of an existing folder
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, files: dict[str, bytes]) -> None:
        """Replace files; all of them or none.

        Raises
        ------
        OutputError : the folder cannot be written
        """
        try:
            replace_files(self.path, files)
        except OSError as error:
            raise self._unwritable(error) from error

    def append_to_log(self, row: dict[str, Any]) -> None:
        """Add a row to the log; raises as `write`."""
        try:
            with (self.path / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def log_up_to(self, step: int) -> bytes:
        """Return the log without what came after a step."""
        rows = [row for row in read_log(self.path) if row["step"] <= step]
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.path} cannot be written: {error.strerror or error}; the model saved before "
            "is kept; free some space and continue with --resume"
        )


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's log; what follows a line cut off by a kill is left out."""
    path = folder / LOG
    rows = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            row = read_json(line, LOG)
        except SettingError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        rows.append(row)
    return rows

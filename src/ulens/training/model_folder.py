"""What a training writes beside its model: the plan, the log, the state to resume from."""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ulens.bundle import MODEL, SELFTEST, WEIGHTS, load_bundle
from ulens.description import FORMAT, check_provenance
from ulens.encodings.table import EncodingName, check_decoding
from ulens.errors import OutputError, SettingError, TrainingError
from ulens.io.atomic import new_name, replace_files, write_new
from ulens.io.lock import LOCK, check_free
from ulens.io.writable import remove_own
from ulens.planning.plan import Plan, read_plan
from ulens.record import read_json, read_record
from ulens.training.state import load_record

PLAN, LOG, REPORT = "plan.json", "log.jsonl", "report.html"
STATE = Path("training") / "state.safetensors"
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

    def announce(self, plan: bytes) -> None:
        """Write a plan under another name, until the state that goes by it is saved."""
        try:
            write_new(self.path / PLAN, plan)
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
        if not self.path.is_dir():
            return OutputError(
                f"{self.path} is no longer there: it was moved or removed during the training. "
                "Where it lies now, go on from its last save with --resume; or start again"
            )
        return OutputError(
            f"{self.path} cannot be written: {error.strerror or error}; the model saved before "
            "is kept; free some space and continue with --resume"
        )


def is_ours(folder: Path) -> bool:
    """Return whether a folder holds a model of ulens, a training, or a plan for one."""
    with suppress(OSError, ValueError, RecursionError, TypeError):
        if dict(json.loads((folder / MODEL).read_bytes())).get("format") == FORMAT:
            return True
    with suppress(SettingError):
        return bool(read_plan(folder / PLAN))
    with suppress(TrainingError):
        return bool(load_record(folder / STATE))
    return False


def remove_training(folder: Path) -> None:
    """Remove what a training made in a folder, and nothing else.

    Raises
    ------
    OutputError : another process is at work there, or something cannot be removed
    """
    check_free(folder)
    try:
        remove_own(folder, _OWN)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be emptied ({error.strerror or error}); remove it"
        ) from error


_OWN = re.compile(
    rf"(({'|'.join(map(re.escape, (PLAN, LOG, MODEL, WEIGHTS, SELFTEST, REPORT)))}"
    r"|training/(state|held_out)\.safetensors)(\.new)?)|" + re.escape(LOCK)
)


def is_leftover(entry: Path) -> bool:
    """Return whether an entry of a folder is what a training leaves that was killed too soon."""
    if entry.is_dir():
        return entry.name == STATE.parent.name and all(map(is_leftover, entry.iterdir()))
    return entry.name in _LEFTOVERS


_LEFTOVERS = {LOCK, *(new_name(Path(each)).name for each in (PLAN, LOG, MODEL, STATE, HELD_OUT))}


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """What a training that goes on must keep to; a part of the record of its state.

    Parameters
    ----------
    provenance, decoding : as of `ulens.bundle.ModelBundle`
    plan_sha256 : as of `hash_plan`
    """

    provenance: dict[str, Any]
    decoding: dict[str, Any]
    plan_sha256: str = ""

    def __post_init__(self) -> None:
        check_provenance(self.provenance)


BEGUN = tuple(each.name for each in fields(Begun))


def read_begun(
    folder: Path, record: Mapping[str, Any], encoding: EncodingName | None = None
) -> Begun:
    """Return what the training in a folder began with, by the record of its state.

    Parameters
    ----------
    encoding : the one that its decoding has to fit, where that is known

    Raises
    ------
    TrainingError : it is damaged
    """
    if "provenance" not in record:  # an older ulens kept it in the model alone
        saved = load_bundle(folder)
        return Begun(provenance=saved.provenance, decoding=saved.decoding)
    try:
        begun = read_record(Begun, {k: record[k] for k in BEGUN if k in record}, "state")
        if encoding is not None:
            check_decoding(encoding, begun.decoding)
        return begun
    except SettingError as error:
        raise TrainingError(
            f"{folder / STATE} is damaged ({error}); training has to start over, without --resume"
        ) from error


def begun_plan(folder: Path) -> Plan:
    """Return the plan that the training in a folder goes by.

    A training that replaces another one begins with its state; its plan follows, which a kill may
    have left under another name.
    """
    path = folder / PLAN
    record = load_record(folder / STATE)
    new = new_name(path)
    if new.is_file() and hash_plan(new.read_bytes()) == record.get("plan_sha256"):
        new.replace(path)
    return read_plan(path)


def hash_plan(plan: bytes) -> str:
    """Return what tells the content of a plan.json from another one."""
    return hashlib.sha256(plan).hexdigest()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's log; what follows a line that is damaged is left out."""
    path = folder / LOG
    rows = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            row = read_json(line, LOG)
        except SettingError:
            break
        if not _is_row(row):
            break
        rows.append(row)
    return rows


def _is_row(row: Any) -> bool:
    """Whether a row is of a step or a score, with the numbers that are drawn, NaN included."""
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return False
    scores = row.get("score", {} if "loss" in row else None)
    if not isinstance(scores, dict):
        return False
    numbers = (row["step"], row.get("seconds"), row.get("loss", 0.0), *scores.values())
    return all(
        isinstance(each, float) or (type(each) is int and abs(each) < 2**63) for each in numbers
    )

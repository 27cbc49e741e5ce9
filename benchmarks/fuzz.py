"""Fuzzing: whatever a file holds, ulens reads it or says in a sentence what is wrong.

python benchmarks/fuzz.py OUT [--kinds KIND ...] [--inputs N] [--minutes M]

Small files are changed by libFuzzer, which keeps what reaches new code of ulens, tifffile and
roifile, and are read as the commands read them. JSON, members of zips, headers of safetensors and
chunks of PNG are changed as such. A crash is any error but those of ulens, more than 10 seconds of
a processor, or 2 GB beyond those at the start. N inputs of each kind are read. OUT/KIND holds the
corpus, with which a second call goes on, and an input and the traceback of each crash;
OUT/fuzz.jsonl a line for each run. Needs atheris, which is for Linux on x86-64: pip install .[dev]
"""

import argparse
import faulthandler
import io
import json
import logging
import os
import re
import resource
import shutil
import sys
import time
import traceback
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import atheris
import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))
COMPILED = ["ulens.labels.nearest", "ulens.metrics.thinning", "ulens.metrics.warping"]
with atheris.instrument_imports(include=["ulens", "roifile", "tifffile"], exclude=COMPILED):
    from fuzz_kinds import KINDS, Kind

    from hostile import NASTY_VALUES, PNG_START, mend_png, places
    from ulens.errors import UlensError

MOST_BYTES, MOST_SECONDS, STUCK_SECONDS, LONGEST_INPUT = 2 * 10**9, 10, 300, 16_384
FOLDER = b"folder\n"


def main() -> None:
    options = read_options()
    os.nice(5)
    logging.disable()
    torch.set_num_threads(1)
    results, ends = options.out / "fuzz.jsonl", time.monotonic() + 60 * options.minutes
    for number, name in enumerate(options.kinds):
        num_left = options.inputs - sum(row["inputs"] for row in read_rows(results, name))
        share = (ends - time.monotonic()) / (len(options.kinds) - number)
        stops = time.monotonic() + share
        while num_left > 0 and (seconds := int(stops - time.monotonic())) > 0:
            row = run(options.out / name, name, num_left, seconds)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            num_left -= row["inputs"]
    report(results)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--inputs", type=int, default=62_500, help="of each kind")
    parser.add_argument("--minutes", type=float, default=1e4, help="in all, shared by the kinds")
    return parser.parse_args()


def read_rows(results: Path, name: str) -> list[dict[str, Any]]:
    lines = results.read_text(encoding="utf-8").splitlines() if results.is_file() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return [row for row in rows if name in ("all", row["kind"])]


def run(folder: Path, name: str, num_inputs: int, seconds: int) -> dict[str, Any]:
    """Read changed inputs of a kind in a process of its own; return what there is to know."""
    started, kind = time.monotonic(), KINDS[name]
    corpus, crashes = folder / "corpus", folder / "crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    known = len(list(crashes.glob("*.txt")))
    if not corpus.is_dir():
        write_seeds(kind, corpus)
    with TemporaryDirectory(dir="/dev/shm") as place, (folder / "log.txt").open("w+b") as log:
        process = os.fork()
        if process == 0:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            limits = f"-runs={num_inputs} -max_total_time={seconds} -max_len={LONGEST_INPUT}"
            limits += " -timeout=10000 -rss_limit_mb=0 -reload=0"
            fuzz_and_exit(
                kind,
                Path(place),
                crashes,
                [name, str(corpus), f"-artifact_prefix={folder}/", *limits.split()],
            )
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        log.seek(0)
        text = log.read().decode(errors="replace")
        if status:  # ended by a signal, or because it was stuck
            (crashes / f"process {known}.txt").write_text(text[-5000:])
            shutil.copytree(place, crashes / f"process {known}", dirs_exist_ok=True)
    return {
        "date": str(date.today()), "kind": name,
        "inputs": max(map(int, re.findall(r"^#(\d+)", text, re.MULTILINE)), default=1),
        "seconds": round(time.monotonic() - started, 1),
        "crashes": len(list(crashes.glob("*.txt"))) - known,
        "edges": max(map(int, re.findall(r"cov: (\d+)", text)), default=0),
    }  # fmt: skip


def write_seeds(kind: Kind, corpus: Path) -> None:
    corpus.mkdir()
    with TemporaryDirectory(dir="/dev/shm") as place:
        kind.make(Path(place))
        for seed in sorted(Path(place).iterdir()):
            files = {
                path.relative_to(seed).as_posix(): path.read_bytes()
                for path in sorted(seed.rglob("*"))
                if path.is_file()
            }
            content = FOLDER + pack(files) if files else seed.read_bytes()
            assert len(content) <= LONGEST_INPUT
            (corpus / seed.name).write_bytes(content)


def fuzz_and_exit(kind: Kind, place: Path, crashes: Path, arguments: list[str]) -> None:
    """Read inputs until their number is reached; in a new process, which ends with it."""
    known = {path.stem for path in crashes.glob("*.txt")}
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MOST_BYTES, taken + MOST_BYTES))

    def read_all(data: bytes) -> None:
        path = place / kind.name
        write_input(kind, data, path)
        for read in kind.reads:
            faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
            started = time.process_time()
            try:
                with suppress(UlensError):
                    read(path)
                if time.process_time() - started > MOST_SECONDS:
                    raise TimeoutError(f"more than {MOST_SECONDS} seconds")
            except Exception as error:
                where = [
                    f"{Path(frame.filename).stem}.{frame.name}"
                    for frame in traceback.extract_tb(error.__traceback__)
                    if "/ulens/" in frame.filename or "fuzz_kinds" in frame.filename
                ]
                name = f"{type(error).__name__} in {(where or ['fuzz'])[-1]}"
                if name not in known:
                    known.add(name)
                    (crashes / name).write_bytes(data)
                    (crashes / f"{name}.txt").write_text(traceback.format_exc())
            finally:
                faulthandler.cancel_dump_traceback_later()

    status = 1
    try:
        atheris.Setup(arguments, read_all, custom_mutator=change)
        atheris.Fuzz()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def write_input(kind: Kind, data: bytes, path: Path) -> None:
    """Write what libFuzzer made of a file, or of the files of a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    if not data.startswith(FOLDER):
        path.write_bytes(data)
        return
    path.unlink(missing_ok=True)
    for name, content in kind.mend(unpack(data)).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def change(data: bytes, longest: int, seed: int) -> bytes:
    """Change an input a little, according to what it is."""
    random = Random(seed)
    changed = change_part(data, longest, random)
    return changed if len(changed) <= longest else data


def change_part(data: bytes, longest: int, random: Random) -> bytes:
    start = FOLDER if data.startswith(FOLDER) else b""
    files = unpack(data)
    if files and (start or random.random() < 0.9):
        name = random.choice(sorted(files))
        return start + pack(files | {name: change_part(files[name], longest, random)})
    if data.startswith(PNG_START):
        return mend_png(atheris.Mutate(data, longest))
    size = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and size <= len(data) and random.random() < 0.8:  # of safetensors
        header = change_json(data[8 : 8 + size], longest, random)
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    if data[:1] in (b"{", b"[") and random.random() < 0.8:
        lines = data.splitlines() if b"}\n{" in data else [data]
        number = random.randrange(len(lines))
        lines[number] = change_json(lines[number], longest, random)
        return b"\n".join(lines)
    return atheris.Mutate(data, longest)


def change_json(data: bytes, longest: int, random: Random) -> bytes:
    """Change, remove or add an entry, in text within it too; other bytes as they are."""
    try:
        record = json.loads(data)
        *above, last = random.choice(list(places(record)))
    except (ValueError, TypeError, IndexError, RecursionError):  # no JSON, or nothing in it
        return atheris.Mutate(data, longest)
    parent = record
    for key in above:
        parent = parent[key]
    value = parent[last]
    if random.random() < 0.1:
        del parent[last]
    elif isinstance(value, str) and random.random() < 0.7:
        text = change_part(value.encode(errors="replace"), longest, random)
        parent[last] = text.decode(errors="replace")
    elif isinstance(value, int | float) and random.random() < 0.5:
        parent[last] = random.choice((-value, value * 2, value + 1, 1 - value))
    elif isinstance(parent, dict) and random.random() < 0.1:
        parent[random.choice(["a", "name", "version", ""])] = random.choice(NASTY_VALUES)
    else:
        parent[last] = random.choice(NASTY_VALUES)
    return json.dumps(record).encode()


def pack(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip; nothing where it is none, or damaged."""
    data = data.removeprefix(FOLDER)
    if not data.startswith(b"PK"):
        return {}
    with suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}
    return {}


def report(results: Path) -> None:
    print("| kind | inputs | edges | crashes | seconds |\n|---|---|---|---|---|")
    for name in [*KINDS, "all"]:
        rows = read_rows(results, name)
        print(
            f"| {name} | {sum(row['inputs'] for row in rows):,} "
            f"| {max((row['edges'] for row in rows), default=0):,} "
            f"| {sum(row['crashes'] for row in rows)} "
            f"| {sum(row['seconds'] for row in rows):.0f} |"
        )


if __name__ == "__main__":
    main()

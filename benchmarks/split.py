"""Read benchmarks/splits.json for the scripts beside it. Needs ULENS_DATA.

python benchmarks/split.py get SPLIT KEY…       print an entry
python benchmarks/split.py link SPLIT FOLDER    link the files that ulens is to see into a folder

Of images `link` makes train/images, train/labels, score/images, score/labels and, where there are
kinds of images, score-KIND/labels; of a sequence of the Cell Tracking Challenge the frames to
score, in a folder called as the data set, whose name tells the field of interest.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

SPLITS: dict[str, Any] = json.loads(Path(__file__).with_name("splits.json").read_text("utf-8"))


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["get", *keys] if keys:
            print(get(keys))
        case ["link", split, folder]:
            data = Path(os.environ["ULENS_DATA"]).absolute()
            for target, source in links(SPLITS[split]).items():
                link(Path(folder) / target, data / source)
        case _:
            sys.exit(__doc__)


def get(keys: list[str]) -> Any:
    """Return the entry that a path of keys leads to."""
    entry: Any = SPLITS
    for key in keys:
        entry = entry[key]
    return entry


def links(split: dict[str, Any]) -> dict[str, str]:
    """Return the files of a split, in the folder to make and where the real images lie."""
    if "sequence" in split:
        folder = f"{split['data']}/{split['sequence']}"
        frames = [f"{folder}/t{number:03d}.tif" for number in expand(split["score"])]
        return {frame: frame for frame in frames}
    return {
        f"{part}/{role}/{Path(source).name}": source
        for part, names in parts(split).items()
        for role in ("images", "labels")
        for source in (split[role].format(name) for name in names)
    }


def parts(split: dict[str, Any]) -> dict[str, list[str] | list[int]]:
    """Return the names of the files to train on, to score, and of each kind to score."""
    if isinstance(split["train"], str):
        return {part: expand(split[part]) for part in ("train", "score")}
    found = {
        part: [name for names in split[part].values() for name in names]
        for part in ("train", "score")
    }
    return found | {f"score-{kind}": names for kind, names in split["score"].items()}


def expand(numbers: str) -> list[int]:
    """Return the numbers of a range such as 54-83, last one included."""
    first, last = map(int, numbers.split("-"))
    return list(range(first, last + 1))


def link(target: Path, source: Path) -> None:
    """Make a symbolic link, in place of an older one, to a file that must be there."""
    if not source.is_file():
        sys.exit(f"{source} is missing; set ULENS_DATA to the folder of the real images")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source)


if __name__ == "__main__":
    main()

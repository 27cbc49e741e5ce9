"""Looks at what is in a wheel and a source archive: scripts/wheel.py FOLDER."""

import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
LARGEST_MB = 4
TOP = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", ".gitignore", "pyproject.toml", "src"}
"""What a source archive has at its top."""


def package() -> set[str]:
    """Name the files of the package as they lie in the repository, from `ulens/` on."""
    files = (path for path in (ROOT / "src" / "ulens").rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT / "src").as_posix()
        for path in files
        if "__pycache__" not in path.parts
    }


def check(name: str, found: set[str], wanted: set[str]) -> None:
    """End the program with what is missing and what is too much."""
    if found != wanted:
        sys.exit(
            f"{name} lacks {sorted(wanted - found) or 'nothing'} "
            f"and has {sorted(found - wanted) or 'nothing'} too much"
        )


def main() -> None:
    """Check the one wheel and the one source archive of a folder, and tell their sizes."""
    folder = Path(sys.argv[1])
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    names = [name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name]
    check(wheel.name, set(names), package() | {"ulens/py.typed"})
    with tarfile.open(archive) as opened:
        inside = [Path(*Path(name).parts[1:]) for name in opened.getnames()]
    check(archive.name, {path.parts[0] for path in inside}, TOP)
    for path in (wheel, archive):
        size = path.stat().st_size / 1e6
        if size > LARGEST_MB:
            sys.exit(f"{path.name} has {size:.1f} MB; at most {LARGEST_MB} MB are meant to be")
        print(f"{path.name}: {size:.1f} MB")
    print(f"{len(names)} files in the package, all of src/ulens and nothing else")


if __name__ == "__main__":
    main()

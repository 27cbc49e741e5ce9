"""The job `doctor`: what this computer and this installation have, for a report of a mistake."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata

import torch
from packaging.requirements import Requirement

from ulens.io.need import free_memory, in_bytes
from ulens.predict.engines import choose_device, engines_here, has_fast_bf16

OF_DEVELOPERS = "dev"


def examine() -> list[tuple[str, str]]:
    """Return what there is: names, and what was found."""
    device = choose_device("auto")
    capability = torch.backends.cpu.get_cpu_capability()
    bf16 = "" if has_fast_bf16(torch.device("cpu")) else "no "
    found = [
        ("ulens", metadata.version("ulens")),
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        (
            "processor",
            f"{platform.processor() or platform.machine()}, {capability}, {bf16}bfloat16",
        ),
        ("cores", f"{os.cpu_count()}, of which PyTorch uses {torch.get_num_threads()}"),
        ("free memory", in_bytes(free_memory())),
        ("device", str(device)),
        ("engines", ", ".join(engines_here(device))),
    ]
    needed = [Requirement(line) for line in metadata.requires("ulens") or []]
    found.append(("packages", _name_versions(each for each in needed if each.marker is None)))
    extras = metadata.metadata("ulens").get_all("Provides-Extra") or []
    for extra in sorted(set(extras) - {OF_DEVELOPERS}):
        of_it = [each for each in needed if each.marker and each.marker.evaluate({"extra": extra})]
        told = _name_versions(of_it)
        if "missing" in told:
            told += f"; pip install 'ulens[{extra}]'"
        found.append((f"extra {extra}", told))
    return found


def _name_versions(requirements: Iterable[Requirement]) -> str:
    return ", ".join(f"{each.name} {find_version(each)}" for each in requirements)


def find_version(requirement: Requirement) -> str:
    """Return the version of an installed package; also whether it is missing or does not fit."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "missing"
    fits = requirement.specifier.contains(version, prereleases=True)
    return version if fits else f"{version} (ulens needs {requirement.specifier})"

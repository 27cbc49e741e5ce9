from importlib import metadata

import pytest
from packaging.requirements import Requirement

from ulens.jobs.doctor import examine, find_version


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("numpy>=2", metadata.version("numpy")),
        ("no-such-package>=1", "missing"),
        ("numpy<1", f"{metadata.version('numpy')} (ulens needs <1)"),
    ],
)
def test_a_package_is_there_or_missing_or_does_not_fit(requirement, told):
    assert find_version(Requirement(requirement)) == told


def test_what_is_found():
    found = dict(examine())
    assert "fp32" in found["engines"]
    assert f"torch {metadata.version('torch')}" in found["packages"]
    extras = {name for name in found if name.startswith("extra ")}
    declared = set(metadata.metadata("ulens").get_all("Provides-Extra")) - {"dev"}
    assert extras == {f"extra {name}" for name in declared}
    assert all(told for told in found.values())

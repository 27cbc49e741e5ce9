"""The command `ulens datasets`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ulens.cli.terminal_datasets import show_datasets, show_fetch
from ulens.datasets.catalogue import find_dataset, list_datasets
from ulens.errors import SettingError
from ulens.jobs.datasets import run_fetch, use_copy
from ulens.jobs.options import FLAG


def datasets(
    name: str | None = None,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    accept_terms: Annotated[bool, FLAG] = False,
    cache: Path | None = None,
    data: Path | None = None,
) -> None:
    """List public data sets, or fetch one to train on.

    Parameters
    ----------
    name
        data set to fetch; without it all are listed, with their terms and what to cite
    out
        new folder for the data set; without it one of its name, here
    accept_terms
        you accept the terms of use, which are shown; without this nothing is downloaded
    cache
        folder in which downloaded archives are kept, so that a cut download goes on; without
        it the system's own for ulens
    data
        folder of a copy that you have: nothing is downloaded, ulens says how to train on it
    """
    if data is not None and out is not None:
        raise SettingError(
            f"--data {data} came with --out {out}, but a copy is used where it is; leave one out"
        )
    if name is not None:
        dataset = find_dataset(name)
        if data is not None:
            show_fetch(use_copy(dataset, data))
        else:
            show_fetch(run_fetch(dataset, out, accept_terms=accept_terms, cache=cache))
    elif out or accept_terms or cache or data:
        raise SettingError("options came without the name of a data set; name one of the list")
    else:
        show_datasets(list_datasets())

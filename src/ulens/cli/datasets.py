"""The command `ulens datasets`."""

from typing import Annotated

from ulens.cli.summary import Summary, summarized
from ulens.cli.terminal_datasets import show_datasets, show_fetch
from ulens.datasets.catalogue import find_dataset, list_datasets
from ulens.jobs.datasets import DatasetSettings, run_fetch, use_copy
from ulens.jobs.options import EACH_AN_OPTION

DEFAULTS = DatasetSettings()
"""Without them `ulens datasets`, which may come without a name, would ask for one."""


@summarized
def datasets(
    settings: Annotated[DatasetSettings, EACH_AN_OPTION] = DEFAULTS, *, summary: Summary
) -> None:
    """List public data sets, or fetch one to train on."""
    if settings.name is None:
        show_datasets(list_datasets())
        summary["datasets"] = list_datasets()
        return
    dataset = find_dataset(settings.name)
    if settings.data is not None:
        ready = show_fetch(use_copy(dataset, settings.data))
    else:
        ready = show_fetch(
            run_fetch(
                dataset,
                settings.out,
                accept_terms=settings.accept_terms,
                cache=settings.cache,
            )
        )
    if ready is not None:
        summary |= {"dataset": ready.dataset, "paths": ready.paths, "next": ready.train_command}

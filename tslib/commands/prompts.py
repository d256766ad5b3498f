"""Soft prompts by themselves."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from tslib.commands.registry import command


@command
def adapter(record: Positional[Path], folder: Positional[Path], step: int | None = None, push: str = "") -> None:
    """Write a run's prompt as a PEFT adapter, with a model card; upload it if asked to.

    Example: python -m tslib adapter runs/gsm-symbolic_smollm2-135m_tsloss_0123456789ab my-adapter

    Parameters
    ----------
    record
        Folder of the record.
    folder
        Where the adapter goes.
    step
        Checkpoint of the run; by default the last.
    push
        Where it is uploaded to on the Hugging Face hub, USER/NAME (private, if it is made); needs `hf auth login`.
    """
    from tslib.adapters import push_adapter, save_adapter
    from tslib.records import RunStore

    print(save_adapter(RunStore(record.parent).load(record), folder, step=step))
    if push:
        print(push_adapter(folder, push))


@command
def topology(
    source: Positional[str], metric: Literal["euclidean", "cosine"] = "euclidean", figure: Path | None = None
) -> None:
    """Print the topology of a soft prompt: a PEFT adapter (folder or hub id), or the last prompt of a record.

    Example: python -m tslib topology my-adapter --figure diagram.png

    Parameters
    ----------
    source
        Folder of an adapter or of a record, or an id on the Hugging Face hub.
    metric
        Distance of two virtual tokens.
    figure
        File for the persistence diagram.
    """
    from tslib import report_topology
    from tslib.adapters import cloud

    clouds = cloud(source).numpy()
    print(report_topology.describe(clouds, metric))
    if figure is not None:
        report_topology.draw(clouds, figure, metric)
        print(figure)

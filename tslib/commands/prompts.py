"""Soft prompts by themselves."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from tslib.commands.registry import command


@command
def adapter(
    record: Annotated[Positional[Path], arg(metavar="RECORD")],
    folder: Annotated[Positional[Path], arg(metavar="FOLDER")],
    step: int | None = None,
    push: str = "",
) -> None:
    """Write a run's prompt as a PEFT adapter, with a model card; upload it if asked to.

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

    Examples
    --------
    python -m tslib tune --regularizer tsloss --max-steps 20
    python -m tslib adapter runs/gsm-symbolic_smollm2-135m_tsloss_ae59cc905580 my-adapter
    """
    from tslib.interop.adapters import push_adapter, save_adapter
    from tslib.runs.store import RunStore

    print(save_adapter(RunStore(record.parent).load(record), folder, step=step))
    if push:
        print(push_adapter(folder, push))


@command
def topology(
    source: Annotated[Positional[str], arg(metavar="SOURCE")],
    metric: Literal["euclidean", "cosine"] = "euclidean",
    figure: Path | None = None,
) -> None:
    """Print the topology of a soft prompt: a PEFT adapter (folder or hub id), or the last prompt of a record.

    Parameters
    ----------
    source
        Folder of an adapter or of a record, or an id on the Hugging Face hub.
    metric
        Distance of two virtual tokens.
    figure
        File for the persistence diagram.

    Examples
    --------
    python -m tslib topology runs/gsm-symbolic_smollm2-135m_tsloss_ae59cc905580 --metric cosine
    python -m tslib topology my-adapter --figure diagram.png
    """
    from tslib.interop.adapters import clouds
    from tslib.study.report import topology as report_topology

    found = clouds(source)
    points = found.values.numpy()
    print(report_topology.describe(points, metric, found.names))
    if figure is not None:
        from tslib.study.plots.drawing import draw

        draw(points, figure, metric)
        print(figure)

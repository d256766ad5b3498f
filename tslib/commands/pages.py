"""The benchmark, the check of a device, and the book."""

from pathlib import Path

from tslib.commands.registry import command
from tslib.errors import InputError, ResourceError


@command
def bench(file: Path | None = None, force: bool = False) -> None:
    """Measure what a step costs against PEFT's, and print what was asked and what was found. Half an hour.

    Parameters
    ----------
    file
        Where measurements are kept; parts that are there are not measured again. By default the committed one of
        this processor, data/results/cost-PROCESSOR.json.
    force
        Measure all of it again.

    Examples
    --------
    python -m tslib bench --file runs/cost.json
    """
    from tslib.study.bench import bench
    from tslib.study.report import cost as report_cost

    content = bench.run(bench.here() if file is None else file, force=force)
    print(report_cost.requirements(content).to_string(index=False))


@command
def check_device(device: str = "auto", small: bool = False, file: Path = Path("runs/gpu.json")) -> None:
    """Check that a GPU, or another device, computes what it should, and time steps on it. Minutes, without a network.

    Losses and gradients are held against each row by itself on the CPU; steps of models of the paper's sizes, with
    random weights, are timed beside PEFT's.

    Parameters
    ----------
    device
        A torch device; auto: cuda, then mps, then cpu.
    small
        Narrow models and few steps: whether the check itself works, in less than a minute.
    file
        Where what was found is written.

    Examples
    --------
    python -m tslib check-device
    python -m tslib check-device --device cpu --small
    """
    from tslib.study.bench import device as bench_device
    from tslib.study.report import device as report_device

    content = bench_device.check(device, small=small, path=file)
    for table in report_device.tables(content):
        print(f"{table.to_string(index=False)}\n")
    print(report_device.read(content))
    print(file)
    if failed := sum(not one["met"] for one in content["checks"]):
        raise ResourceError(f"{failed} of {len(content['checks'])} checks are not met: do not trust runs on {device}")


@command
def book(only: str = "", assemble: bool = False, force: bool = False) -> None:
    """Run every notebook on the embedded model and build the book in _build/html; say which took how long.

    A notebook is run again where it, the library, the records or the versions of packages have changed.

    Parameters
    ----------
    only
        Only run this notebook, such as 03_convergence.
    assemble
        Only assemble the pages of notebooks that were run.
    force
        Run all notebooks, also those that nothing has changed for.

    Examples
    --------
    python -m tslib book
    python -m tslib book --only 03_convergence
    python -m tslib book --assemble
    python -m tslib book --force
    """
    from tslib.study.book import build as book

    if assemble:
        print(book.assemble())
        return
    if not only:
        print(book.build(force=force))
        return
    found = {page.stem: page for page in book.pages()}
    if only not in found:
        raise InputError(f"no notebook {only!r}: give one of {', '.join(found)}")
    book.execute(found[only], book.EXECUTED / found[only].name)


@command
def pdf(file: Path | None = None) -> None:
    """Print the built book as one PDF, in the order of its table of contents; needs Chromium. About a minute.

    Parameters
    ----------
    file
        The PDF; by default _build/book.pdf.

    Examples
    --------
    python -m tslib pdf
    python -m tslib pdf --file topology.pdf
    """
    from tslib.study.book import printing

    print(printing.write(file))


@command
def readme() -> None:
    """Write what the committed records say into README.md and draw its figure.

    Examples
    --------
    python -m tslib readme
    """
    from tslib.study.book.build import write_readme

    print(write_readme())

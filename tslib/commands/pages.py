"""The benchmark and the book."""

from pathlib import Path

from tslib.commands.registry import command
from tslib.errors import InputError


@command
def bench(file: Path | None = None, force: bool = False) -> None:
    """Measure what a step costs against PEFT's, and print what was asked and what was found. Half an hour.

    Parameters
    ----------
    file
        Where measurements are kept; parts that are there are not measured again. By default the committed one,
        data/results/cost.json.
    force
        Measure all of it again.

    Examples
    --------
    python -m tslib bench --file runs/cost.json
    """
    from tslib.study.bench import bench
    from tslib.study.report import cost as report_cost

    content = bench.run(bench.PATH if file is None else file, force=force)
    print(report_cost.requirements(content).to_string(index=False))


@command
def book(only: str = "", assemble: bool = False) -> None:
    """Run every notebook on the embedded model and build the book in _build/html.

    Parameters
    ----------
    only
        Only run this notebook, such as 03_convergence.
    assemble
        Only assemble the pages of notebooks that were run.

    Examples
    --------
    python -m tslib book
    python -m tslib book --only 03_convergence
    python -m tslib book --assemble
    """
    from tslib.study.book import build as book

    if assemble:
        print(book.assemble())
        return
    if not only:
        print(book.build())
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

"""Building the book: every notebook is run by papermill, then Jupyter Book assembles the pages."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import joblib
from tqdm import tqdm

from tslib.errors import ResourceError
from tslib.models import loading as models
from tslib.study.book.reuse import Run, digests, note, reused, told

ROOT = Path(__file__).resolve().parents[3]
EXECUTED = ROOT / "book" / "executed"
"""Where the pages made by a build go; not under version control."""
MODEL = "smollm2-135m"
"""The model that notebooks run on at their default parameters."""
KERNEL = ["--log-level=CRITICAL", "--IPKernelApp.exec_lines=import gc; gc.set_threshold(50_000, 20, 50)"]
"""One that is stopped as it ends would say "KeyboardInterrupt"; looking for garbage takes a second of each import."""
MOST = 4
"""Notebooks at once, at most: each holds a model, about 2 GiB."""


def pages(root: Path = ROOT) -> list[Path]:
    """Return the notebooks, in their order."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def build(root: Path = ROOT, *, force: bool = False) -> Path:
    """Fetch the embedded model, run the notebooks at their default parameters and build ``_build/html``.

    Several are run at once, with the processor's cores divided among them, and one that raises does not keep the others
    from being run. One whose page was made of what there is now is not run again. What took how long is printed.

    Parameters
    ----------
    root
        A checkout of the project.
    force
        Run all of them.

    Raises
    ------
    ResourceError
        If the model cannot be had, a notebook raises, or a page has a warning; the message names it.
    """
    notebooks = pages(root)
    if not notebooks:
        raise ResourceError(f"no notebooks in {root / 'notebooks'}: the book is built in a checkout of the project")
    runs, began = [] if force else reused(EXECUTED, digests(notebooks)), time.monotonic()
    missing = [notebook for notebook in notebooks if notebook.stem not in {run.name for run in runs}]
    cores = joblib.cpu_count()
    at_once = max(1, min(len(missing), cores, MOST))
    jobs = [joblib.delayed(models.fetch)(MODEL), joblib.delayed(of_records)(EXECUTED)]  # the second needs no model
    jobs += [joblib.delayed(_timed)(notebook, EXECUTED / notebook.name) for notebook in in_turn(missing)]
    with joblib.parallel_config("loky", inner_max_num_threads=max(1, cores // at_once)):
        done = joblib.Parallel(at_once, return_as="generator_unordered")(jobs)
        runs += [made for made in tqdm(done, "the model, the records, notebooks", len(jobs)) if isinstance(made, Run)]
    print(told(runs, time.monotonic() - began))
    if failed := sorted(run.failed for run in runs if run.failed):
        raise ResourceError("; ".join(failed))
    return html(root)


LONGEST = ("11_grasp", "10_your_own_training", "04_benchmarks_and_models", "03_convergence")
"""Pages that take longest, by what `build` prints: run last, one of them would leave the other cores idle."""


def in_turn(notebooks: Iterable[Path]) -> list[Path]:
    """Return notebooks, the `LONGEST` first, the others in their order."""
    turns = {name: turn for turn, name in enumerate(LONGEST)}
    return sorted(notebooks, key=lambda notebook: turns.get(notebook.stem, len(turns)))


def _timed(notebook: Path, output: Path) -> Run:
    """Run a notebook in a process of its own; return how long that took, and why it failed if it did."""
    began, failed = time.monotonic(), ""
    try:
        execute(notebook, output, progress=False)
    except ResourceError as error:
        failed = str(error)
    return Run(notebook.stem, time.monotonic() - began, failed=failed)


def assemble(root: Path = ROOT) -> Path:
    """Build ``_build/html`` from the notebooks that were run; raises as `html` does."""
    of_records(EXECUTED)
    return html(root)


def html(root: Path = ROOT) -> Path:
    """Let Jupyter Book build ``_build/html`` from what is there.

    Raises
    ------
    ResourceError
        If a page has a warning.
    """
    program = str(Path(sys.executable).parent / "jupyter-book")
    command = [program, "build", "--path-output", ".", "--warningiserror", "--keep-going"]
    if subprocess.run([*command, "."], cwd=root, check=False).returncode:
        raise ResourceError("Jupyter Book found the warnings above; the book was not built")
    return root / "_build" / "html" / "index.html"


def of_records(folder: Path) -> None:
    """Write what pages other than notebooks have from the committed records: sentences, the front page's figure, data.

    Parameters
    ----------
    folder
        Where to; made if need be.
    """
    from tslib.study import plots
    from tslib.study.book import explorer
    from tslib.study.evidence import Evidence
    from tslib.study.report import figure_by_figure, front
    from tslib.study.report import questions as report_questions
    from tslib.study.report.mutation import mutation
    from tslib.study.report.precision import read_twice
    from tslib.study.report.running import costs
    from tslib.study.report.sweeps import torture

    evidence = Evidence()
    rows = front.rows(evidence)
    folder.mkdir(exist_ok=True)
    plots.style()
    plots.steps_needed(rows).savefig(folder / "front.png", dpi=110, bbox_inches="tight")
    head = f"```{{figure}} executed/front.png\n:name: figure-front\n:alt: {front.in_words(rows)}"
    said = {
        "headline": front.answer(evidence),
        "front": f"{head}\n\n{front.caption(rows)}\n```",
        "to_do": f"**What to do.** {front.to_do(evidence)}",
        "limits": f"{front.limits(evidence)}\n\n{read_twice(evidence)}",
        "verdicts": front.verdicts(evidence),
        "questions": report_questions.page(evidence),
        "torture": torture(),
        "running": costs(),
        "mutation": mutation(),
        "figure_by_figure": figure_by_figure.page(evidence),
    }
    for name, text in said.items():
        (folder / f"{name}.md").write_text(f"{text.strip()}\n", encoding="utf-8")
    explorer.write(folder / "static" / "records.js", evidence)


def write_readme(root: Path = ROOT) -> Path:
    """Renew the measured part of README.md and its figure from the committed records."""
    from tslib.study import plots
    from tslib.study.evidence import MAIN, Evidence
    from tslib.study.report.front import readme

    evidence = Evidence()
    path = root / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8"), evidence), encoding="utf-8")
    plots.style()
    plots.paired_iterations(evidence.runs(MAIN)).savefig(root / "book" / "figures" / "convergence.png", dpi=150)
    return path


def execute(notebook: Path, output: Path, *, progress: bool = True) -> None:
    """Run a notebook at its default parameters and make a page of it."""
    import nbformat
    import papermill
    from traitlets.config import Config

    from tslib.study.book.pages import finish

    output.parent.mkdir(exist_ok=True)
    made_of, began = digests([notebook])[notebook.stem], time.monotonic()
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # the kernel's debugger warns of frozen modules
    encrypted = Config(KernelManager={"transport_encryption": "auto"})  # without it each kernel warns of eavesdroppers
    try:
        papermill.execute_notebook(
            notebook,
            output,
            cwd=str(ROOT),
            kernel_name="python3",
            log_output=False,
            progress_bar=progress,
            config=encrypted,
            extra_arguments=KERNEL,
        )
    except papermill.PapermillExecutionError as error:
        raise ResourceError(
            f"{notebook.name} raised {error.ename}: {error.evalue}; what it did until then is in {output}"
        ) from error
    page = finish(nbformat.read(output, as_version=4), notebook.stem, repository())
    note(page, made_of, time.monotonic() - began)
    nbformat.write(page, output)


def repository() -> str:
    """Return ``OWNER/NAME`` on GitHub: of the workflow that runs this, or of this checkout's remote; else ""."""
    if named := os.environ.get("GITHUB_REPOSITORY"):
        return named
    asked = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    remote = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    found = re.search(r"github\.com[:/]([^/]+/[^/]+?)(\.git)?$", remote)
    return found[1] if found else ""

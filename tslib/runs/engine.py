"""Doing a sweep with Snakemake: a plan of jobs, the engine in a process of its own, a bar, and what is left."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tslib.config import EvalConfig
from tslib.errors import ResourceError
from tslib.records.durable import locked, unlocked
from tslib.runs.grids import Job, Sweep
from tslib.runs.store import RunStore
from tslib.runs.sweeps import groups, missing, path_of

__all__ = ["run"]

SNAKEFILE = Path(__file__).resolve().parents[2] / "Snakefile"
CACHE = "XDG_CACHE_HOME"
"""What says where Snakemake keeps a cache of its own, which it need not do in a home, which may be read-only."""


def run(
    sweep: Sweep,
    store: RunStore,
    *,
    jobs: int,
    threads: int = 1,
    group: int = 8,
    profile: str = "",
) -> list[str]:
    """Do what a sweep lacks.

    Parameters
    ----------
    sweep
        The sweep.
    store
        Where its records are, and go.
    jobs
        Jobs at once.
    threads
        Threads of a run. The last bits of its numbers depend on them.
    group
        Runs of one job at most; they share a model, which is loaded once.
    profile
        A Snakemake profile, of a cluster for example.

    Returns
    -------
    list of str
        What is still missing at the end, one line a run, and why.

    Raises
    ------
    KeyboardInterrupt
        If it was interrupted; the runs under way are kept, and go on the next time.
    """
    if not SNAKEFILE.is_file():
        raise ResourceError(f"no {SNAKEFILE}: sweeps are done in a checkout of the project")
    store.check_writable()
    _remove_old(store)
    store.tidy()
    asked = missing(sweep, store)
    kept = store.root / "sweep.log"
    kept.unlink(missing_ok=True)
    if not asked:
        return []
    # with fewer runs than fill the jobs, each job gets less
    plan = groups(asked, max(1, min(group, -(-len(asked) // jobs))))
    with _folder(store) as folder:
        plan_file, log = folder / "plan.json", folder / "log.txt"
        settings: dict[str, Any] = {"sweep": sweep.path.resolve(), "store": store.root.resolve(), "caller": Path.cwd()}
        settings = {name: str(path) for name, path in settings.items()}
        settings |= {"threads": threads, "checkpoint_every": store.checkpoint_every}
        settings |= {"plan": [[config.hash for config in job] for job in plan], CACHE: os.environ.get(CACHE)}
        # not by --config, which takes a path with a colon or a number sign for YAML
        plan_file.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "runs", "--snakefile", str(SNAKEFILE), "--directory", str(folder)]
        command += ["--nolock", "--keep-going", "--rerun-triggers", "mtime", "--nocolor"]
        command += ["--profile", str(Path(profile).resolve())] if profile else ["--cores", str(jobs * threads)]
        command += ["--configfile", str(plan_file)]
        with log.open("w", encoding="utf-8") as said:
            _follow(command, _environment(folder), said, asked, store)
        left = missing(sweep, store)
        if left:
            shutil.copyfile(log, kept)
        why = _reasons(log)
        return [f"{path_of(store, job).stem}: {why.get(job.hash, f'see {kept}')}" for job in left]


@contextlib.contextmanager
def _folder(store: RunStore) -> Iterator[Path]:
    """Make a folder for one call of the engine, and remove it afterwards."""
    folder = store.root.resolve() / ".sweep" / f"{os.getpid()}-{time.time_ns():x}"
    folder.mkdir(parents=True)
    try:
        with locked(folder / "lock"):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _remove_old(store: RunStore) -> None:
    """Remove the folders of calls that were killed."""
    for folder in (store.root / ".sweep").glob("*"):
        with unlocked(folder / "lock") as free:
            if free:
                shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        (store.root / ".sweep").rmdir()


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables of the engine, which works in a folder of its own; its jobs get the caller's folder back."""
    changed = {CACHE: str(folder / "cache")}
    if modules := os.environ.get("PYTHONPATH"):
        changed["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in modules.split(os.pathsep))
    return os.environ | changed


def _follow(
    command: Sequence[str], environment: dict[str, str], said: Any, asked: Sequence[Job], store: RunStore
) -> None:
    """Start the engine and show how many of the runs are there until it ends."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **options)

    def stop(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        left = list(asked)
        with tqdm(total=len(asked), desc="sweep", unit="run") as bar:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
                left = [job for job in left if not _is_there(store, job)]
                if new := len(asked) - len(left) - bar.n:
                    bar.update(new)
                elif sys.stderr.isatty():
                    bar.refresh()  # the clock goes on
    except KeyboardInterrupt:
        # Snakemake starts no more jobs then, and those under way keep their states
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_there(store: RunStore, job: Job) -> bool:
    path = path_of(store, job)
    return (path if isinstance(job, EvalConfig) else path / "record.json").exists()


def _reasons(log: Path) -> dict[str, str]:
    """Why runs failed, by their hashes, as their jobs said."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.removeprefix("error: ").partition(": ") for line in lines if line.startswith("error: ")]
    return {name[-12:]: why for name, _, why in said if name[-13:-12] == "_"}

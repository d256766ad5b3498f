"""What is made from what: runs, tables, notebooks, book.

`python -m tslib sweep FILE` calls this for runs, on this machine or, with a profile, on a cluster; for the rest:

    snakemake --cores 2 book        # only what a change to records, notebooks or library asks for

A record belongs to its store, which writes it, locks it and knows a damaged one; a rule's output is a stamp. So no
rule can remove a record.
"""

import os
import sys
from pathlib import Path
from shlex import quote

# What loads torch is imported where it is needed: a plan needs none of its seconds.
from tslib.study.book.build import ROOT, pages

PYTHON = sys.executable
COMMITTED = ROOT / "data" / "results"
STORE = Path(config.get("store", COMMITTED)).resolve()
THREADS = int(config.get("threads", 1))
EVERY = float(config.get("checkpoint_every", 60))
# Relative paths of a sweep and of the environment are those of whoever asked for it, and so are the caches.
CALLER = Path(config.get("caller", ".")).resolve()
CACHE = config.get("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME"))
ENV = "env -u XDG_CACHE_HOME" if CACHE is None else f"env XDG_CACHE_HOME={quote(CACHE)}"
STAMPS = []
SOURCES = [str(path) for path in sorted((ROOT / "tslib").rglob("*.py"))]
RECORDS = [str(path) for path in sorted([*COMMITTED.glob("[!.]*/record.json"), *COMMITTED.glob("evaluations/*.json")])]
WRITTEN = (".", "reference", "_static")
PAGES = {page.stem: str(page) for page in pages()}


wildcard_constraints:
    page="|".join(PAGES),


if "sweep" in config:
    SWEEP = Path(config["sweep"]).resolve()
    if "plan" in config:  # the runs of each job, by their hashes
        PLAN = config["plan"]
    else:
        from tslib.runs.sweeps import Sweep, groups

        PLAN = [[run.hash for run in job] for job in groups(Sweep.load(SWEEP).jobs, 1)]
    STAMPS = [f"done/{job[0]}" for job in PLAN]


rule runs:
    input:
        STAMPS,


for index, job in enumerate(PLAN if STAMPS else []):

    rule:
        name:
            f"run_{job[0]}"
        priority: len(PLAN) - index  # the plan's order is that of the sweep's priorities
        output:
            touch(f"done/{job[0]}"),
        params:
            hashes=" ".join(job),
        threads: THREADS
        shell:
            # by exec, so that who waits for the shell waits for the run, which keeps its state when it is stopped
            "cd {CALLER:q} && exec {ENV} OMP_NUM_THREADS={threads} {PYTHON:q} -m tslib work {SWEEP:q} {params.hashes} "
            "--store {STORE:q} --threads {threads} --checkpoint-every {EVERY}"


rule tables:
    input:
        RECORDS,
        STAMPS,
    output:
        str(ROOT / "_build" / "tables" / "runs.csv"),
    shell:
        "{PYTHON:q} -m tslib table --store {COMMITTED:q} > {output:q}"


rule notebook:
    input:
        lambda wildcards: PAGES[wildcards.page],
        rules.tables.output,
        SOURCES,
        str(COMMITTED / "cost.json"),
    output:
        str(ROOT / "book" / "executed" / "{page}.ipynb"),
    threads: 2
    shell:
        "{PYTHON:q} -m tslib book --only {wildcards.page}"


rule book:
    input:
        expand(str(ROOT / "book" / "executed" / "{page}.ipynb"), page=PAGES),
        sorted(str(path) for folder in WRITTEN for path in (ROOT / "book" / folder).glob("*.*")),
        SOURCES,  # the reference is made from their docstrings
        str(ROOT / "_config.yml"),
        str(ROOT / "_toc.yml"),
    output:
        str(ROOT / "_build" / "html" / "index.html"),
    shell:
        "{PYTHON:q} -m tslib book --assemble"

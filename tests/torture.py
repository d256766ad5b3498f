"""Kill a sweep at random moments, again and again; then compare what it left with runs that nobody disturbed.

``make torture`` does it a hundred times and writes ``data/results/torture.json``; the tests do it four times.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import torch
from tqdm import tqdm

from tslib.models import loading as models
from tslib.records.durable import write
from tslib.records.provenance import environment
from tslib.records.record import COMMITTED
from tslib.runs.audit import compare
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep, work

SWEEP = """
title: Short runs of a small model
grids:
  - name: three methods
    fields:
      model: {model}
      task: multiple-choice
      regularizer: [none, tsloss, l2]
      n_tokens: 4
      max_steps: 100
      topology_every: 20
      answer_every: 0
      device: cpu
    pairs: [[0, 0], [1, 1]]
"""
LONGEST = 12.0
"""Seconds that a victim has at the most: about as long as a sweep would take."""
VICTIMS = ("all", "jobs", "engine", "command")
"""Who is killed, in turn: all processes, those that tune, Snakemake's, or the command that started them."""


def tiny(folder: Path) -> Path:
    """Save a Llama of two narrow layers with random weights, and the embedded model's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    loaded = models.shared_model("smollm2-135m", "cpu", "float32")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(loaded.tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        eos_token_id=loaded.tokenizer.eos_token_id,
        pad_token_id=loaded.tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def short_sweep(folder: Path) -> Path:
    """Write the sweep, with a model of its own."""
    path = folder / "sweep.yaml"
    path.write_text(SWEEP.format(model=tiny(folder / "model")))
    return path


def start(sweep: Path, store: Path, jobs: int = 2, group: int = 3) -> "subprocess.Popen[bytes]":
    """Start a sweep, so many jobs at once of so many runs."""
    command = [sys.executable, "-m", "tslib", "sweep", str(sweep), "--store", str(store), "--jobs", str(jobs)]
    command += ["--group", str(group), "--checkpoint-every", "0.1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """A sweep's processes, that which was started first; none if it has ended."""
    try:
        command = psutil.Process(process.pid)
        return [command, *command.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def chosen(everybody: list[psutil.Process], victim: str) -> list[psutil.Process]:
    """Those of a sweep's processes that are meant."""
    if victim in ("all", "command"):
        return everybody if victim == "all" else everybody[:1]
    return [one for one in everybody[1:] if _does(one, {"jobs": "work", "engine": "snakemake"}[victim])]


def kill(process: "subprocess.Popen[bytes]", victim: str, after: float) -> bool:
    """Kill a victim with SIGKILL some seconds after it is there, and all others then; say if it was still there."""
    while process.poll() is None and not chosen(family(process), victim):
        time.sleep(0.1)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    everybody = family(process)
    victims = chosen(everybody, victim)
    if not victims:
        return False
    for part in (victims, everybody):
        for one in part:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        time.sleep(random.random())  # those left go on for a moment
    process.wait()
    psutil.wait_procs(everybody[1:], timeout=30)
    return True


def _does(process: psutil.Process, word: str) -> bool:
    try:
        return word in process.cmdline()
    except psutil.Error:
        return False


def torture(folder: Path, kills: int, seed: int = 0, longest: float = LONGEST) -> dict[str, object]:
    """Kill sweeps so many times and compare.

    Returns
    -------
    dict
        ``kills`` by who was killed; ``sweeps`` that were brought to their end; ``runs`` compared; ``resumed`` runs that
        went on from a state; ``damaged`` records; ``differences``; ``missing`` records; ``stray`` files.
    """
    path = short_sweep(folder)
    sweep = Sweep.load(path)
    undisturbed = RunStore(folder / "undisturbed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert work(sweep, undisturbed, [config.hash for config in sweep.configs], progress=False) == []
    finally:
        torch.set_num_threads(threads)
    chance = random.Random(seed)
    found: dict[str, list[str]] = {"missing": [], "differences": [], "stray": [], "damaged": []}
    killed, sweeps, runs, resumed = Counter[str](), 0, 0, 0
    with tqdm(total=kills, desc="kills") as bar:
        while killed.total() < kills or runs == 0:
            store = RunStore(folder / f"killed-{sweeps}")
            finished = False
            while not finished:
                process = start(path, store.root)
                victim = VICTIMS[killed.total() % len(VICTIMS)]
                if killed.total() < kills and kill(process, victim, chance.uniform(0, longest)):
                    killed[victim] += 1
                    bar.update()
                finished = process.wait() == 0
            sweeps += 1
            for config in sweep.configs:
                runs += 1
                record = store.get(config)
                if record is None:
                    found["missing"].append(store.path(config).name)
                    continue
                resumed += record.environment["resumed"] > 0
                finding = compare(store.path(config).name, undisturbed.get(config), record)
                assert finding.expected == "bits"
                found["differences"] += finding.differences
            expected = {store.path(config).name for config in sweep.configs}
            found["stray"] += [name for name in _names(store.root) if name not in {*expected, "damaged"}]
            found["damaged"] += _names(store.root / "damaged")
    return {"kills": dict(sorted(killed.items())), "sweeps": sweeps, "runs": runs, "resumed": resumed} | found


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, default=COMMITTED / "torture.json")
    given = parser.parse_args()
    begun = time.time()
    with tempfile.TemporaryDirectory() as temporary:
        result = torture(Path(temporary), given.kills, given.seed)
    made = environment("smollm2-135m", torch.device("cpu"), begun)
    write(given.file, (json.dumps({"environment": made} | result, indent=1) + "\n").encode())
    print(json.dumps(result, indent=1))
    sys.exit(any(result[name] for name in ("missing", "differences", "stray", "damaged")))

"""Change the mathematics and the scoring in one place after another, and see which changes no test notices.

``make mutation`` does it with mutmut (its settings are in pyproject.toml), holds what survives against
``data/mutation/survivors.yaml``, where each survivor has its reason, and writes ``data/results/mutation.json``.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import torch
import tyro
import yaml

from tslib.records.durable import write
from tslib.records.provenance import environment
from tslib.records.record import COMMITTED

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "data" / "mutation" / "survivors.yaml"
ENOUGH = 0.85
"""Share of the changes that tests must notice."""
RULES = (
    *("losses.tsloss.*", "losses.baselines.*", "losses.registry.*", "losses.descent.*", "losses.distances.*"),
    *("losses.persistence.*", "topology.diagrams.*", "tasks.qa.*", "tasks.longbench_scores.*"),
    *("tasks.gsm8k.*find_number_*", "tasks.gsm8k.*NumericTask*", "tasks.hotpotqa.*PassagesTask*"),
    *("tasks.hotpotqa.x__answer_line_*", "tasks.hotpotqa.x__f1_*"),
    *(f"tasks.choice.{name}" for name in ("x_find_letter_*", "x__stated_*", "*ChoiceTask?[ces]*")),
    *(f"tasks.bbh.{name}" for name in ("x_find_*", "x__agrees_*", "x__words_*", "*ShortAnswerTask*")),
    *(f"tasks.longbench.{name}" for name in ("x__scored_part_*", "*LongBench?extract_*", "*score_*", "*complete_*")),
    *(f"tasks.needle.*Needle?{name}_*" for name in ("extract", "score", "complete")),
    *(f"tasks.competition_math.{name}" for name in ("x_find_boxed_*", "x__[a-q]*", "x__[s-z]*", "x?MathTask*")),
)
"""What is changed: the mathematics, and how a reply is scored; not how rows are read and prompts built."""


def results() -> dict[str, int | None]:
    """Return mutmut's exit code of each change: 0 where all tests pass, 1 where one fails, None where not tried."""
    found: dict[str, int | None] = {}
    for path in sorted((ROOT / "mutants").rglob("*.meta")):
        found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {name: code for name, code in found.items() if any(fnmatch(name, f"tslib.{rule}") for rule in RULES)}


def change(name: str) -> dict[str, str]:
    """Say what was changed and where, in words that stay the same when other lines come or go."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # of the extra `mutation`

    module, _, function = name.partition("__mutmut_")[0].rpartition(".")
    lines = get_diff_for_mutant(name).splitlines()[2:]
    old, new = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return {
        "in": f"{module}.{function.removeprefix('x_').removeprefix('xǁ').replace('ǁ', '.')}",
        "old": old,
        "new": new,
    }


def unnoticed(codes: dict[str, int | None]) -> list[str]:
    """Names of the changes that no test notices, or that were not tried."""
    return [name for name, code in codes.items() if code in (0, 2, 5, 33, None)]


def run(names: list[str], jobs: int) -> None:
    """Let mutmut try these; no benchmark's rows have a part in it."""
    surroundings = {name: said for name, said in os.environ.items() if name not in ("TSLIB_DATA_DIR", "PYTHONPATH")}
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(jobs), *names]
    subprocess.run(command, env=surroundings | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}, check=True)


def main(again: bool = False, jobs: int = os.cpu_count() or 1) -> int:
    """Run, compare, write and print; 1 if too few changes are noticed or one that is not is without a reason.

    Parameters
    ----------
    again
        Only what was not noticed, by tests that were added since.
    jobs
        Changes tried at once.
    """
    os.chdir(ROOT)
    begun = time.time()
    if not again:
        shutil.rmtree("mutants", ignore_errors=True)
    run(unnoticed(results()) if again else [f"tslib.{rule}" for rule in RULES], jobs)
    codes = results()
    survived = {name: change(name) for name in unnoticed(codes)}
    known = [one for group in yaml.safe_load(REASONS.read_text(encoding="utf-8")) for one in group["changes"]]
    said = {
        "without a reason": [one for one in survived.values() if one not in known],
        "noticed by now": [one for one in known if one not in survived.values()],
    }
    modules: dict[str, dict[str, int]] = {}
    for name in codes:
        tally = modules.setdefault(name.rpartition(".")[0], {"changes": 0, "survived": 0})
        tally["changes"] += 1
        tally["survived"] += name in survived
    made = environment("smollm2-135m", torch.device("cpu"), begun) | {"mutmut": version("mutmut")}
    record = json.dumps({"environment": made, "modules": modules}, indent=1)
    write(COMMITTED / "mutation.json", f"{record}\n".encode())
    share = 1 - len(survived) / len(codes)
    print(yaml.safe_dump(said | modules, allow_unicode=True, sort_keys=False, width=1000))
    print(f"{len(codes)} changes, {len(codes) - len(survived)} noticed: {share:.1%}; {ENOUGH:.0%} are asked for")
    return int(share < ENOUGH or bool(said["without a reason"]))


if __name__ == "__main__":
    sys.exit(tyro.cli(main))

"""Records with chosen numbers, in a real store, for the grids of the real sweep: what verdicts are tested on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tslib.config import TuneConfig
from tslib.records.record import RunRecord
from tslib.runs.evaluation import Evaluation, EvaluationStore, of_config
from tslib.runs.store import RunStore
from tslib.study.evidence import SWEEP, Evidence

PAIRS = 3
CHECKPOINTS = np.arange(0, 301, 20)


def sweep(folder: Path, grids: Sequence[str], of: Path = SWEEP) -> Path:
    """A real sweep cut to some grids and to the first three pairs of each."""
    content = yaml.safe_load(of.read_text(encoding="utf-8"))
    content["grids"] = [grid | {"pairs": grid["pairs"][:PAIRS]} for grid in content["grids"] if grid["name"] in grids]
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def record(
    config: TuneConfig,
    iterations: int | None = 100,
    last: int = 300,
    deaths: Callable[[int], Sequence[float]] = lambda step: [1.0],
    **columns: Any,
) -> RunRecord:
    """A record whose topology and steps have the given columns: a number, or a function of the step.

    Its diagrams have H0 bars that die where ``deaths`` says, by step, beside the one that never does.
    """
    wobble = 1 + 0.01 * config.seed  # no two pairs are quite equal

    def filled(table: dict[str, Any], names: dict[str, Any]) -> pd.DataFrame:
        step = np.asarray(table["step"], dtype=float)
        made = {
            name: value(step) if callable(value) else np.full(len(step), float(value)) for name, value in names.items()
        }
        return pd.DataFrame(table | made)

    rising = {"exact": lambda step: step / 300, "token_accuracy": lambda step: 0.5 + step / 600}
    quantities = {
        **{"h0_count": config.n_tokens, "h1_count": 10, "h0_mean_lifespan": wobble, "h1_mean_lifespan": 0.01},
        **{"persistence_entropy": 3, "density": 20, "h1_density": 10, "mean_distance": wobble, "max_distance": 2},
        **{"mean_norm": 1, "h0_wasserstein": 0.5, "h1_wasserstein": 0.1},
    }
    nulls = {f"null_{name}": value for name, value in quantities.items() if name not in ("h0_count", "mean_norm")}
    losses = {
        **{"cross_entropy": 1, "regularizer": 0.1, "grad_norm_ce": 1, "grad_norm_reg": 0.1, "grad_cosine": 0.0},
        **{"delta": 0.67, "zeta": 0.68, "token_accuracy": 1, "exact": 0, "lr": 0.03, "seconds": 1},
    }
    given = {name: value for name, value in columns.items() if name in losses and name not in rising}
    topology = rising | quantities | nulls | {name: value for name, value in columns.items() if name not in given}
    return RunRecord(
        config=config,
        status="finished",
        iterations_to_correct=iterations,
        iterations_to_answer=iterations,
        results={"final_cross_entropy": 0.1, "final_exact": 1.0, "steps_done": last, "seconds": 1.0},
        environment={},
        rows=[],
        steps=filled({"step": np.arange(1, last + 1)}, losses | given),
        topology=filled({"step": CHECKPOINTS[last >= CHECKPOINTS]}, topology),
        diagrams=bars({int(step): [*deaths(step), np.inf] for step in CHECKPOINTS[last >= CHECKPOINTS]}),
        prompts={},
    )


def bars(deaths: dict[int, Sequence[float]]) -> pd.DataFrame:
    """Diagrams with H0 bars alone, which die where it is said, by step."""
    rows = [(step, 0, 0.0, death) for step, of_step in deaths.items() for death in of_step]
    return pd.DataFrame(rows, columns=["step", "dimension", "birth", "death"])


def evidence(
    folder: Path,
    grids: Sequence[str],
    make: Callable[[TuneConfig], RunRecord | None],
    score: Callable[[TuneConfig], tuple[float, float]] | None = None,
    of: Path = SWEEP,
) -> Evidence:
    """The evidence of some grids, each run made by a function; ``score`` gives held-out accuracy and answer loss."""
    found = Evidence(sweep(folder, grids, of), RunStore(folder / "runs"))
    evaluations = EvaluationStore(folder / "runs" / "evaluations")
    for config in found.sweep.configs:
        made = make(config)
        if made is not None:
            found.store.save(made)
        for asked in found.sweep.evaluations(config) if score and (made is None or made.status == "finished") else []:
            accuracy, loss = score(config)
            results = {"score": accuracy, "low": 0.0, "high": 1.0, "answer_loss": loss, "rows": 100, "cut": 0}
            evaluations.save(Evaluation(of_config(asked, config), results, {}, no_rows(accuracy, loss)))
    return found


def no_rows(score: float = 0.0, loss: float = 1.0) -> pd.DataFrame:
    """The rows of an evaluation, in place of which there is one."""
    return pd.DataFrame([{"id": "made/0", "score": score, "answer_loss": loss}])

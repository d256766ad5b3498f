"""What an experiment with the paper's models costs, for the page on running one: computed before anybody has run it."""

from collections.abc import Iterable

from tslib.models.registry import MODELS
from tslib.study.bench import bench
from tslib.tuning import memory

__all__ = ["PAPERS", "TFLOPS", "costs", "operations"]

PAPERS = tuple(name for name, spec in MODELS.items() if spec.role == "the paper's")
"""The paper's models."""
TFLOPS = 100
"""10¹² operations per second that a GPU is taken to reach: a third of what an A100 has at most in bfloat16."""
STEPS, N_TOKENS = 300, 20


def operations(name: str, positions: int, targets: int) -> float:
    """Return the operations of the products of matrices in a step on one row, attention left out.

    A frozen weight takes two on the way forward and two on the way back, at each position that it meets: those of the
    layers meet all, those of the output layer the ones that predict a target, and the embeddings are only looked up.
    """
    config = memory.config_of(name)
    table: int = config.vocab_size * config.hidden_size
    layers = memory.parameters(name) - table * (1 if config.tie_word_embeddings else 2)
    return 4.0 * (layers * positions + table * targets)


def costs(names: Iterable[str] = PAPERS) -> str:
    """Return a table in Markdown of memory and time of a run of 300 steps on one row as long as GSM8K's, and its terms.

    Parameters
    ----------
    names
        Models that have a config in `MODELS`, of which nothing is fetched.
    """
    positions = N_TOKENS + memory.QUESTION + memory.TARGET
    rate = bench.records()[0]["parts"]["rate/float32"]
    lines = [
        "| model | parameters | float32, GiB | fits in | bfloat16, GiB | fits in | on a GPU | on our CPU |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        cells = [f"`{name}`", f"{memory.parameters(name) / 1e9:.1f}·10⁹"]
        for dtype in ("float32", "bfloat16"):
            total = memory.estimate(name, n_tokens=N_TOKENS, dtype=dtype).total
            cells += [f"{total / 2**30:.1f}", memory.fits(total)]
        work = STEPS * operations(name, positions, memory.TARGET)
        cells += [f"{work / TFLOPS / 1e12:.0f} s", f"{work / rate / 3600:.1f} h"]
        lines.append(f"| {' | '.join(cells)} |")
    said = (
        f"One run: {STEPS} steps on one row of {positions} positions ({N_TOKENS} virtual tokens, {memory.QUESTION} of "
        f"the question, {memory.TARGET} of the solution, as in GSM8K). Memory is computed from the model's shape, "
        "weights included; *fits in* leaves a tenth free. Times are computed, too, and leave out all but the products "
        f"of matrices: on a GPU that reaches {TFLOPS}·10¹² operations a second, and on the CPU of the chapter on cost "
        f"at the fastest that was measured there, {rate / 1e9:.0f}·10⁹ (float32). A short row leaves a GPU idle part "
        "of the time: count on several times as long. A run stops earlier when it is correct."
    )
    return "\n".join([*lines, "", said])

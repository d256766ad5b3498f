"""What the paper reports, as printed in its first version: the numbers that ours are shown beside; what they imply."""

import numpy as np
import pandas as pd
from scipy import optimize
from scipy import stats as scipy_stats

__all__ = [
    "GSM8K_RATIO",
    "H0_COUNT_U",
    "TABLE2",
    "TABLE3",
    "TABLE4",
    "even_numbers",
    "group_size",
    "implied_checkpoints",
    "rho_of_groups",
    "table3_ratio",
]

TABLE2 = pd.DataFrame(
    [
        ("h0_mean_lifespan", 0.866, 3.4e-45, 0.0, 1.9e-25),
        ("persistence_entropy", -0.809, 5.1e-35, 5153.0, 2.1e-22),
        ("h1_count", -0.324, 6.6e-5, 3600.5, 9.7e-5),
        ("h1_mean_lifespan", 0.018, 0.826, 2608.0, 0.827),
    ],
    columns=["feature", "rho", "p", "u", "p_of_u"],
)
"""Table 2: Spearman's ρ of topological features with accuracy, and the Mann-Whitney U of its convergence test."""

H0_COUNT_U = 2664.5
"""U of the number of H0 features in Table 2, which is one number throughout: of all pairs of checkpoints, half."""

_MODELS = ("Open-LLaMA-7B", "DeepSeek-7B-Chat", "Gemma-2B-IT")
_TASKS = ("GSM8K", "MMLU-CF", "LongBench")
_ITERATIONS = {
    "one sample": (((12, 10), (4, 2), (6, 4)), ((8, 6), (2, 2), (4, 2)), ((154, 88), (8, 6), (12, 8))),
    "ten samples": (((10, 8), (8, 4), (38, 34)), ((8, 4), (4, 2), (32, 28)), ((118, 62), (16, 14), (104, 58))),
}

TABLE3 = pd.DataFrame(
    [
        (model, task, setting, *pair, pair[1] / pair[0])
        for setting, of_models in _ITERATIONS.items()
        for model, of_tasks in zip(_MODELS, of_models, strict=True)
        for task, pair in zip(_TASKS, of_tasks, strict=True)
    ],
    columns=["model", "task", "setting", "standard", "TSLoss", "ratio"],
)
"""Table 3: iterations to 100 %, with the cross-entropy alone and with TSLoss (λ = 1), and their ratio."""

TABLE4 = pd.DataFrame(
    {"weight": [0.0, 0.1, 0.5, 1.0, 10.0], "iterations": pd.array([154, 130, 112, 88, None], dtype="Int64")}
)
"""Table 4: iterations of Gemma-2B-IT on GSM8K by λ; at 10 it was never correct."""


def table3_ratio(model: str, task: str, setting: str) -> float:
    """Return the paper's ratio of iterations, TSLoss over standard."""
    rows = TABLE3[(TABLE3["model"] == model) & (TABLE3["task"] == task) & (TABLE3["setting"] == setting)]
    return float(rows["ratio"].iloc[0])


GSM8K_RATIO = table3_ratio("Gemma-2B-IT", "GSM8K", "one sample")
"""Iterations with TSLoss over those without, one problem of GSM8K with Gemma-2B-IT (Table 3)."""


def implied_checkpoints() -> pd.DataFrame:
    """How many checkpoints the p-values of Table 2 are of: the n for which Spearman's t test gives p for ρ.

    Returns
    -------
    DataFrame
        ``feature``, ``n``, and between ``low`` and ``high`` what n may be, since ρ is rounded to three decimals.
    """
    rows = []
    for row in TABLE2.to_dict("records"):
        few, n, many = (_observations(abs(row["rho"]) + shift, row["p"]) for shift in (5e-4, 0.0, -5e-4))
        rows.append({"feature": row["feature"], "n": n, "low": few, "high": many})
    return pd.DataFrame(rows)


def _observations(rho: float, p: float) -> float:
    def apart(n: float) -> float:
        t = rho * np.sqrt((n - 2) / (1 - rho**2))
        return float(np.log(2) + scipy_stats.t.logsf(t, n - 2) - np.log(p))

    return float(optimize.brentq(apart, 3, 1e5))


def group_size() -> float:
    """Size of the two groups of Table 2's convergence test, if they are equal: a constant has U = m² / 2."""
    return float(np.sqrt(2 * H0_COUNT_U))


def rho_of_groups() -> pd.DataFrame:
    r"""Spearman's ρ that each U of Table 2 gives with a quantity that has one value in each of the two groups.

    Of two groups of :math:`m` among :math:`n = 2m` it is

    .. math:: \rho = \left(1 - \frac{2U}{m^2}\right) \sqrt{\frac{3}{4} \frac{n^2}{n^2 - 1}} \, \frac{1}{t},

    where :math:`t \le 1` is what ties take from the standard deviation of U, :math:`\sqrt{m^2 (n + 1) / 12}` without
    any; it is found from the p that is printed beside U (normal, with continuity correction, as SciPy has it).

    Returns
    -------
    DataFrame
        ``feature``, ``rho`` as printed, and ``of_groups``.
    """
    m = group_size()
    n, middle = 2 * m, m**2 / 2
    spread = np.sqrt(m**2 * (n + 1) / 12) * scipy_stats.norm.isf(TABLE2["p_of_u"] / 2)
    ties = ((TABLE2["u"] - middle).abs() - 0.5) / spread
    rho = (1 - TABLE2["u"] / middle) * np.sqrt(0.75 * n**2 / (n**2 - 1)) / ties.clip(upper=1)
    return TABLE2[["feature", "rho"]].assign(of_groups=rho)


def even_numbers() -> tuple[int, int]:
    """Return how many of the iterations of Table 3 are even, and how many there are."""
    printed = TABLE3[["standard", "TSLoss"]].to_numpy()
    return int((printed % 2 == 0).sum()), printed.size

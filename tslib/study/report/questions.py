"""The open questions about the paper, each with the answer that the committed records give, and where to look."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tslib import stats
from tslib.study import claims, shapes, treatment
from tslib.study.bench import bench
from tslib.study.claims.criteria import MULTI
from tslib.study.evidence import LEARNING_RATES, MAIN, Evidence
from tslib.study.lists import items
from tslib.study.names import method_name, task_name
from tslib.study.paper import even_numbers
from tslib.study.report import cost as report_cost
from tslib.study.report import evidence as report_evidence
from tslib.study.report import initial as report_initial
from tslib.study.report import rates as report_rates
from tslib.study.report import settings as report_settings
from tslib.study.report import structure as report_structure
from tslib.study.report import treatment as report_treatment
from tslib.study.report.phrases import few
from tslib.study.report.runs import SIDES

__all__ = ["QUESTIONS", "Question", "page"]


class Question(NamedTuple):
    """A question, how it is answered (Markdown), and the chapters that show it."""

    asks: str
    answer: Callable[[Evidence], str]
    chapters: tuple[str, ...]


def page(evidence: Evidence | None = None) -> str:
    """Return the index of questions in Markdown: question, answer, chapters."""
    evidence = evidence or Evidence()
    parts = []
    for name, (asks, answer, chapters) in QUESTIONS.items():
        where = ", ".join(f"[](executed/{chapter})" for chapter in chapters)
        parts.append(f"({name.lower()})=\n## {name}. {asks}\n\n{answer(evidence).strip()}\n\n*Where:* {where}.")
    return "\n\n".join(parts) + "\n"


def _says(text: str) -> Callable[[Evidence], str]:
    return lambda evidence: text


def _of_claim(name: str) -> Callable[[Evidence], str]:
    def said(evidence: Evidence) -> str:
        return claims.AMENDED[name](evidence).said

    return said


def _after(grids: tuple[str, ...], say: Callable[[Evidence], str]) -> Callable[[Evidence], str]:
    """Say something once all runs of these grids are made."""

    def said(evidence: Evidence) -> str:
        note = report_evidence.not_there(evidence, *grids)
        return f"Not yet. {note}" if note else say(evidence)

    return said


def _baselines(evidence: Evidence) -> str:
    said = report_evidence.read_baselines(report_evidence.baselines(evidence, "gsm8k"))
    return f"{said} All have λ = 1, at which some pull much harder than TSLoss ([](executed/11_what_tsloss_does))."


def _spread(rows: pd.DataFrame) -> str:
    """Say whether any of some settings makes TSLoss faster or slower, and between what the ratios lie."""
    if rows.empty:
        return ""
    below, above = int((rows["high"] < 1).sum()), int((rows["low"] > 1).sum())
    lead = "No value makes TSLoss clearly faster or slower"
    if below or above:
        lead = f"TSLoss is clearly faster at {few(below)} and clearly slower at {few(above)} of the values"
    return (
        f"{lead}: over {len(rows)} the ratio of iterations is {rows['ratio'].min():.2f} to {rows['ratio'].max():.2f}."
    )


def _settings(evidence: Evidence) -> str:
    spread = _spread(report_settings.varied(report_settings.settings_table(evidence)))
    return f"{spread} {report_settings.read_again(evidence)}".rstrip()


def _setting(name: str) -> Callable[[Evidence], str]:
    def said(evidence: Evidence) -> str:
        table = report_settings.settings_table(evidence)
        return _spread(table[table["setting"] == name])

    return said


def _more(evidence: Evidence) -> str:
    table = claims.ratios(evidence)
    parts = [
        f"{method_name(row['regularizer'])} on {task_name(row['task'])}: "
        f"{stats.Interval(row['value'], row['low'], row['high']) if row['observed'] else 'no run is correct'}"
        for row in table[table["setting"] == "ten samples"].to_dict("records")
    ]
    lengths = _setting("n_tokens")(evidence)
    return f"{items('Ratio of iterations with ten samples,', parts)}For longer and shorter prompts: {lengths}"


def _printed(evidence: Evidence) -> str:
    steps = evidence.steps(MAIN)
    parts, pulls = [], []
    for name in ("tsloss-printed", "tsloss"):
        ours = steps[steps["regularizer"] == name]
        pulls.append(float((ours["grad_norm_reg"] / ours["grad_norm_ce"]).median()))
        first = ours.loc[ours["step"] == 1, "penalty"].mean()
        ratio = stats.iteration_ratio(evidence.runs(MAIN), name)
        parts.append(
            f"{method_name(name)}: {first:.2g} at the first step, a gradient of {pulls[-1]:.2%} of the cross-entropy's "
            f"in the median step, and a ratio of iterations of {ratio}"
        )
    less = f"It pulls {pulls[1] / pulls[0]:.1f} times as weakly" if pulls[0] < pulls[1] else "It pulls no more weakly"
    return items(f"{less} as without the diagonal", parts)


def _thresholds(evidence: Evidence) -> str:
    steps, curves = evidence.steps(MAIN, regularizer="tsloss"), evidence.topology(MAIN, regularizer="tsloss")
    first, start = steps[steps["step"] == 1], curves[curves["step"] == 0]
    delta, zeta = first["delta"].mean(), first["zeta"].mean()
    lead = "Nearly the same number" if zeta / delta - 1 < 0.05 else "Two numbers that differ"
    return (
        f"{lead}. At the start δ is {delta:.3f} and ζ {zeta:.3f} on average, {zeta / delta - 1:.1%} apart, where the "
        f"mean distance of two tokens is {start['mean_distance'].mean():.3f} and the largest "
        f"{start['max_distance'].mean():.3f}."
    )


def _gradients(evidence: Evidence) -> str:
    steps = evidence.steps(MAIN, regularizer="tsloss")
    share = (steps["grad_norm_reg"] / steps["grad_norm_ce"]).groupby(steps["run"])
    parts = {"first": share.apply(lambda run: run.head(len(run) // 3).median())}
    parts["last"] = share.apply(lambda run: run.tail(len(run) // 3).median())
    first, last = (stats.mean(values.to_numpy(float) * 100) for values in parts.values())
    cosine = stats.mean(steps.groupby("run")["grad_cosine"].median().to_numpy(float))
    does = "grows" if last.value > first.value else "fades"
    lead = "Neither: it is short throughout" if max(first.value, last.value) < 10 else f"It {does} through training"
    return (
        f"{lead}. TSLoss's gradient is {first} % as long as the cross-entropy's in the first third of a run. It is "
        f"{last} % in the last. The cosine between the two is {cosine}, a mean over {len(parts['last'])} runs. It is "
        f"short because TSLoss is nearly satisfied: {_scatter(evidence, MAIN)}."
    )


def _scatter(evidence: Evidence, grid: str, weight: float = 1.0) -> str:
    """Say how even TSLoss makes the deaths of H0 by the time that a run is correct."""
    table = treatment.treatment(evidence, grid)
    row = table[(table["regularizer"] == "tsloss") & (table["weight"] == weight)].iloc[0]
    return (
        f"the deaths of $H_0$ scatter by {row['spread_with']:.3f} of their mean with it, {row['spread_alone']:.3f} "
        "without"
    )


def _table2(evidence: Evidence) -> str:
    return report_structure.read_table2(report_structure.table2(report_structure.by_setting(evidence)["one sample"]))


def _null(evidence: Evidence) -> str:
    return report_structure.read_bands(report_structure.by_setting(evidence))


def _runs(evidence: Evidence) -> str:
    table = claims.ratios(evidence)
    return (
        f"Hardly: of {table['pairs'].min()} to {table['pairs'].max()} pairs, as here, the intervals are up to "
        f"{(table['high'] - table['low']).max():.2f} wide. Runs that are never correct are kept. The paper reports "
        f"means of three runs, without their spread. {_even()}. That is consistent with single runs that are looked at "
        "every two epochs; the mean of three such runs would be even about one time in three."
    )


def _even() -> str:
    even, printed = even_numbers()
    return f"{f'All {even}' if even == printed else f'{even} of the {printed}'} numbers of its Table 3 are even"


def _readings(evidence: Evidence) -> str:
    table = report_evidence.both_readings(evidence)
    parts = [
        f"{row['method']}: {row['whole solution']} iterations by the whole solution, {row['answer']} by the answer"
        for row in table.to_dict("records")
    ]
    return (
        "The paper does not say. An iteration here is an optimiser step. "
        f"{items('By either reading,', parts)}{_even()}: that is consistent with a reply that is decoded every two "
        f"epochs, as in a {{ref}}`public repository <public-repository>` that looks like its code, and so with the "
        "answer, known to two epochs."
    )


def _adaptive(evidence: Evidence) -> str:
    rows = _exact(evidence).to_dict("records")
    parts = [f"{row['method']}: {row['ratio [95 %]']}" for row in rows if row["ratio [95 %]"]]
    return items("Ratio of iterations,", parts)


def _ten(evidence: Evidence) -> str:
    rows = report_settings.table4(evidence).to_dict("records")
    parts = [
        f"λ = {row['value']:g}: a gradient of {row['reg_share']:.1%} of the cross-entropy's, and {row['censored']} of "
        f"{row['pairs']} runs never correct"
        for row in rows
    ]
    (ten,) = (row for row in rows if row["value"] == 10)
    rises = claims.rises(claims.total_losses(evidence))
    unstable = "There is a sign of instability" if rises.low > 0 else "There is no sign of instability beyond chance"
    dominates = "of domination, too" if ten["longer"] > 0.5 else "nor of domination"
    return (
        f"{unstable}, {dominates}: TSLoss's gradient is the longer one in {ten['longer']:.0%} of the steps. The total "
        f"loss rises by more than a tenth at {rises} more steps than with λ = 1. {items('By the weight,', parts)}At λ "
        f"= 10 {_scatter(evidence, WEIGHTS[1], 10.0)}, so that a short gradient is one that has done its work."
    )


def _scale(evidence: Evidence) -> str:
    table = report_evidence.by_rate(evidence, report_evidence.SCALES)
    return f"{report_evidence.read_by_rate(table)} {items('Ratios,', report_evidence.name_rates(table))}"


def _methods(evidence: Evidence) -> str:
    rows = report_evidence.by_rate(evidence, report_evidence.METHODS)
    pulls = rows.merge(report_evidence.distances(evidence, report_evidence.METHODS), on=["method", "learning rate"])
    parts = [
        f"{name}, where TSLoss's gradient is {pull} times as long as that of cross-entropy"
        for name, pull in zip(report_evidence.name_rates(rows), pulls["gradients' ratio"], strict=True)
    ]
    slower = int((rows["interval"] == SIDES["contradicted"]).sum())
    faster = int((rows["interval"] == SIDES["reproduced"]).sum())
    lead = f"TSLoss is clearly faster in {few(faster)} of {few(len(rows))} cases, and clearly slower in {few(slower)}"
    return f"{items(f'{lead}. Ratios,', parts)}TSLoss has no scale of its own: λ has to be chosen anew for each method."


def _alone(evidence: Evidence) -> str:
    """Minimise TSLoss alone, from clouds like initial and like tuned prompts."""
    return report_treatment.read_alone(shapes.descents(range(3)))


def _bins(evidence: Evidence) -> str:
    curves = report_structure.by_setting(evidence)["one sample"]
    return report_structure.read_binned(curves, report_structure.BINNED)


def _homology(evidence: Evidence) -> str:
    table = report_cost.tsloss_times(bench.records()[0])
    rows = table[table["what"].str.startswith("exact homology and its summary")]
    parts = [f"{row['ms']:.1f} ms for {row['n']} tokens" for row in rows.to_dict("records")]
    return f"Exact homology and its summary take {', '.join(parts)}."


def _pushes(evidence: Evidence) -> str:
    rows = report_evidence.interventions(evidence).to_dict("records")
    parts = [f"{row['push']} {row['accuracy']}" for row in rows]
    said = items("Held-out accuracy less that of cross-entropy alone, with", parts)
    return f"{said}Accuracy lies at its floor there (see C14), where nothing could move it."


def _exact(evidence: Evidence) -> pd.DataFrame:
    return report_evidence.compared(evidence.paired("sensitivity, defaults", "exact and adaptive"))


WEIGHTS = ("one sample to the end, gsm8k", "the weight, gsm8k")
SENSITIVE = ("sensitivity, defaults", *report_settings.SENSITIVITY.values())

QUESTIONS: dict[str, Question] = {
    "Q1": Question("Does TSLoss help on unseen examples under a fixed budget?", _of_claim("C14"), ("09_verdicts",)),
    "Q2": Question(
        "Is the gain from topology, or would any geometric regulariser do?",
        _after((MAIN, "baselines, gsm8k"), _baselines),
        ("05_baselines",),
    ),
    "Q3": Question(
        "Was the baseline's learning rate tuned at all?",
        lambda evidence: report_rates.read_rates(Evidence(LEARNING_RATES, evidence.store)),
        ("03_convergence", "04_sensitivity"),
    ),
    "Q4": Question(
        "How sensitive is it to the settings not stated?", _after(SENSITIVE, _settings), ("04_sensitivity",)
    ),
    "Q5": Question(
        "With the diagonal in its sums, does the printed loss do anything?",
        _after((MAIN,), _printed),
        ("01_tsloss_by_hand", "03_convergence"),
    ),
    "Q6": Question(
        "What do δ and ζ become where distances concentrate?", _after((MAIN,), _thresholds), ("01_tsloss_by_hand",)
    ),
    "Q7": Question(
        "How far apart are $H_0$ deaths and nearest-neighbour distances?",
        report_initial.read_deaths,
        ("00_persistent_homology", "01_tsloss_by_hand"),
    ),
    "Q8": Question(
        "To what shape does minimising TSLoss drive a cloud?",
        _alone,
        ("01_tsloss_by_hand", "11_what_tsloss_does"),
    ),
    "Q9": Question(
        "Is the constant number of $H_0$ features by construction?", _of_claim("C1"), ("02_structural_evolution",)
    ),
    "Q10": Question(
        "Is the correlation with accuracy anything but training time?",
        _after((MAIN,), _table2),
        ("02_structural_evolution", "07_causation"),
    ),
    "Q11": Question(
        "Does $H_1$ fall because structure forms, or as it would for noise?",
        _after((MAIN,), _null),
        ("02_structural_evolution",),
    ),
    "Q12": Question(
        "Do topological features cause accuracy?",
        _after(
            (report_evidence.MEASURED, *report_evidence.PUSHES),
            lambda evidence: (
                items(
                    "Held-out accuracy less that of cross-entropy alone, with",
                    (
                        f"{r['push']} {r['accuracy']}"
                        for r in report_evidence.interventions(evidence).to_dict("records")
                    ),
                )
                + "Accuracy lies at its floor there (see C14), where nothing could move it."
            ),
        ),
        ("07_causation",),
    ),
    "Q13": Question(
        "Does TSLoss's gradient dominate early and fade, or the reverse?",
        _after((MAIN,), _gradients),
        ("03_convergence",),
    ),
    "Q14": Question(
        "Are the relations monotone, as Spearman's ρ assumes?",
        _after((MAIN,), _bins),
        ("02_structural_evolution",),
    ),
    "Q15": Question(
        "Is Euclidean distance right for embeddings?",
        _after(("sensitivity, metric",), _setting("metric")),
        ("04_sensitivity",),
    ),
    "Q16": Question(
        "In the multi-sample setting, is the prompt shared?",
        _says("The paper does not say. Ours is: one prompt for all samples."),
        ("03_convergence",),
    ),
    "Q17": Question(
        "What does TSLoss cost per step, and how does it grow?",
        lambda evidence: report_cost.read_tsloss(bench.records()[0]),
        ("06_cost",),
    ),
    "Q18": Question(
        'Is topology too slow to have it more often than "every 20 epochs"?',
        _homology,
        ("06_cost",),
    ),
    "Q19": Question(
        "Does it hold for prefix tuning and P-tuning?",
        _after(report_evidence.METHODS, _methods),
        ("04_sensitivity", "10_your_own_training"),
    ),
    "Q20": Question(
        "Does it hold for more samples and for longer prompts?",
        _after((*MULTI, "sensitivity, n_tokens"), _more),
        ("03_convergence", "04_sensitivity"),
    ),
    "Q21": Question("Are three runs enough?", _after((MAIN,), _runs), ("09_verdicts",)),
    "Q22": Question(
        'Which reading of "correct" and of "iteration"?',
        _after(("both readings, gsm8k",), _readings),
        ("03_convergence",),
    ),
    "Q23": Question(
        "What does a tuned prompt mean in words?",
        _says("The chapter has the nearest words of one run, how they drift, and the paths of its tokens."),
        ("08_meaning",),
    ),
    "Q24": Question(
        "Could adaptive weights do better than fixed ones?",
        _after(("sensitivity, defaults", "exact and adaptive"), _adaptive),
        ("05_baselines",),
    ),
    "Q25": Question("At λ = 10, instability or domination?", _after(WEIGHTS, _ten), ("04_sensitivity",)),
    "Q26": Question("Is it the scale of Gemma's prompts?", _after(report_evidence.SCALES, _scale), ("04_sensitivity",)),
}

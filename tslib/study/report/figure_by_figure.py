"""The paper's figures and tables one after the other: what each shows, where ours is, and how they compare."""

from collections.abc import Callable
from typing import NamedTuple

from tslib.study import claims
from tslib.study.claims.iterations import COMBINATIONS
from tslib.study.evidence import Evidence
from tslib.study.names import model_name
from tslib.study.paper import TABLE3
from tslib.study.report import beside
from tslib.study.report import settings as report_settings
from tslib.study.report import structure as report_structure
from tslib.study.report.phrases import listed, share

__all__ = ["ITEMS", "Item", "page"]


class Item(NamedTuple):
    """One figure or table of the paper.

    Attributes
    ----------
    title
        Its number and subject.
    shows
        What is in it, in a sentence.
    ours
        Where ours is, in Markdown.
    compare
        Says how they compare.
    """

    title: str
    shows: str
    ours: str
    compare: Callable[[Evidence], str]


def page(evidence: Evidence | None = None) -> str:
    """Return a section in Markdown for each figure and table of the paper, the figures of data sets as one table."""
    evidence = evidence or Evidence()
    parts = []
    for name, item in ITEMS.items():
        parts.append(
            f"(paper-{name})=\n## {item.title}\n\n*It shows* {item.shows}.\n\n*Ours:* {item.ours}.\n\n"
            f"*Compared:* {item.compare(evidence)}"
        )
    return "\n\n".join(parts) + "\n"


def _verdicts(*names: str) -> Callable[[Evidence], str]:
    """Return what says the verdicts on some claims, and leads to them."""

    def said(evidence: Evidence) -> str:
        found = {name: claims.AMENDED[name](evidence) for name in names}
        parts = [
            f"{name} {one.verdict or 'not decided yet'}{f', {one.but}' if one.verdict and one.but else ''}"
            for name, one in found.items()
        ]
        return f"[Verdict{'s' * (len(parts) > 1)}](executed/09_verdicts): {'; '.join(parts)}."

    return said


def _then(*say: Callable[[Evidence], str]) -> Callable[[Evidence], str]:
    """Return what says several things one after the other."""
    return lambda evidence: " ".join(filter(None, (one(evidence) for one in say)))


def _says(text: str) -> Callable[[Evidence], str]:
    return lambda _: text


def _on(task: str | None) -> Callable[[Evidence], str]:
    """Return what says that of one task, or of all that there are."""

    def said(evidence: Evidence) -> str:
        if task is None:
            return beside.loops_and_bars(report_structure.by_setting(evidence))
        found = report_structure.by_dataset(evidence)
        titles = {1: "one sample", 10: "ten samples"}
        return beside.loops_and_bars({titles[count]: curves for (name, count), curves in found.items() if name == task})

    return said


def _figure3(evidence: Evidence) -> str:
    curves = report_structure.by_setting(evidence).get("one sample")
    return beside.NOT_YET if curves is None else beside.density_and_entropy(curves)


def _table2(evidence: Evidence) -> str:
    curves = report_structure.by_setting(evidence).get("one sample")
    return beside.NOT_YET if curves is None else beside.correlation(report_structure.table2(curves))


def _table3(evidence: Evidence) -> str:
    if evidence.missing(*COMBINATIONS.values()):
        return beside.NOT_YET
    mean, pairs, _ = claims.geometric(evidence)
    table = claims.ratios(evidence)
    first = table.iloc[0]
    rows = TABLE3[(TABLE3["model"] == "Gemma-2B-IT") & (TABLE3["task"] == "GSM8K")]
    printed = rows[rows["setting"] == "one sample"].iloc[0]
    return (
        f"One problem of GSM8K takes {printed['standard']} and {printed['TSLoss']} iterations there (Gemma-2B-IT), "
        f"{first['baseline']:.0f} and {first['ours']:.0f} here ({model_name(first['model'])}). "
        f"{beside.ratios(table, mean, pairs)}"
    )


def _figure4(evidence: Evidence) -> str:
    found = {} if _no_weights(evidence) else claims.total_losses(evidence)
    return beside.totals(found) if found else beside.NOT_YET


def _no_weights(evidence: Evidence) -> bool:
    return bool(evidence.missing("one sample to the end, gsm8k", "the weight, gsm8k"))


def _table4(evidence: Evidence) -> str:
    return beside.NOT_YET if _no_weights(evidence) else beside.weights(report_settings.table4(evidence))


def _figure5(evidence: Evidence) -> str:
    grids = {key: grid for key, grid in COMBINATIONS.items() if not evidence.missing(grid)}
    return beside.losses_beside({key: beside.losses(evidence.steps(grid)) for key, grid in grids.items()})


def _datasets(evidence: Evidence) -> str:
    found = report_structure.by_dataset(evidence)
    shown = {key: beside.ends(curves, "h1_count") for key, curves in found.items() if key[0] in beside.NUMBERS}
    if not shown:
        return f"{beside.NOT_YET}\n\n{beside.by_dataset(found)}"
    falls = sum(one.last < one.first for one in shown.values())
    walks = sum(one.twin < one.first for one in shown.values())
    return (
        f"In the paper loops become fewer everywhere. In ours they do in {share(falls, len(shown))} rows, and in a "
        f"random walk of equal steps in {share(walks, len(shown))}. A run that ends when it is correct has no later "
        f"steps, so that rows end at different ones.\n\n:::{{div}} full-width\n{beside.by_dataset(found)}\n:::"
    )


def _chapters(words: str, *names: str) -> str:
    """Say what ours is, and link the chapters that have it."""
    return f"{words}, in {listed([f'[](executed/{name})' for name in names])}"


_STRUCTURE = "02_structural_evolution"

ITEMS = {
    "figure-1": Item(
        "Figure 1 of the paper: the idea",
        "a drawing of the method, without data: from the homology of prompts to a loss",
        _chapters("each of its steps by hand, with numbers", "00_persistent_homology", "01_tsloss_by_hand"),
        _says("Nothing is measured in it."),
    ),
    "table-1": Item(
        "Table 1 of the paper: notation",
        "the symbols of persistent homology",
        "the [glossary](glossary), and the formulas in [](executed/00_persistent_homology)",
        _says("The symbols are the same. The logarithm of the entropy, which the paper leaves open, is natural here."),
    ),
    "figure-2": Item(
        "Figure 2 of the paper: structure through training",
        "number and lifespan of features on GSM8K, with persistence diagrams and barcodes",
        _chapters("the same curves and diagrams, beside a random walk of equal steps", _STRUCTURE),
        _then(_on("gsm8k"), _verdicts("C1", "C2", "C3", "C4")),
    ),
    "figure-3": Item(
        "Figure 3 of the paper: density and entropy",
        "the density of points and of loops, and the persistence entropy, by iteration",
        _chapters("the same quantities over many runs", _STRUCTURE),
        _then(_figure3, _verdicts("C5", "C6")),
    ),
    "table-2": Item(
        "Table 2 of the paper: topology and accuracy",
        "Spearman's ρ of four features with accuracy, and a test of convergence",
        _chapters("correlations within tasks, with the step taken out, and between runs at one step", _STRUCTURE)
        + " and [](executed/07_causation)",
        _then(_table2, _verdicts("C7", "C8")),
    ),
    "table-3": Item(
        "Table 3 of the paper: iterations until correct",
        "three models, three data sets, one sample and ten: iterations with TSLoss and without",
        _chapters("the same table for the models and data sets that were run", "03_convergence"),
        _then(_table3, _verdicts("C9", "C10")),
    ),
    "figure-4": Item(
        "Figure 4 of the paper: the total loss by λ",
        "the total loss through training at several weights of TSLoss",
        _chapters("the same curves", "04_sensitivity"),
        _then(_figure4, _verdicts("C12")),
    ),
    "table-4": Item(
        "Table 4 of the paper: iterations by λ",
        "iterations until one problem of GSM8K is correct, at five weights of TSLoss",
        _chapters("the same table with intervals, and larger weights", "04_sensitivity", "13_replies"),
        _then(_table4, _verdicts("C11")),
    ),
    "figure-5": Item(
        "Figure 5 of the paper: losses with and without TSLoss",
        "the loss through training on three data sets and models, with TSLoss and without",
        _chapters("losses of pairs, and the ratio for each data set and model", "03_convergence"),
        _figure5,
    ),
    "figure-6": Item(
        "Figures 6 and 19 of the paper: averages",
        "barcodes, lifespans and the other curves, averaged over all data sets",
        _chapters("means over all runs with intervals, beside random walks", _STRUCTURE),
        _on(None),
    ),
    "figure-7": Item(
        "Figures 7 to 18 of the paper: each data set",
        "the curves of the paper's Figure 2 for six data sets, with one sample and with ten",
        _chapters("the number of loops and the entropy by data set", _STRUCTURE),
        _datasets,
    ),
}
"""The paper's figures and tables in its order, by the name of their section."""

"""Sentences and tables on prompts tied to places."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tslib import stats
from tslib.config import TuneConfig
from tslib.records.record import RunRecord
from tslib.stats import Interval
from tslib.study.bench.bench import place
from tslib.study.claims import grasp as claims
from tslib.study.claims.grasp import CHANCE, DECISION, Contrast, Decision
from tslib.study.evidence import Evidence
from tslib.study.report.phrases import listed, plural, to_be_made
from tslib.vision.gates import MEASURES
from tslib.vision.questions import quarter_of
from tslib.vision.scores import BLIND, accuracies, blind
from tslib.vision.tasks import kind_of

__all__ = [
    "INTERVENTIONS",
    "accuracy",
    "contrast_table",
    "finding",
    "interventions",
    "is_open",
    "labelled",
    "live",
    "name",
    "possible",
    "read_choices",
    "read_cost",
    "read_course",
    "read_live",
    "read_seen",
    "seen",
    "stage0",
]

DEARER, MINUTES = 1.2, 3
"""What was asked: how many times a static prompt's step GRASP's may take; minutes to look at a thousand pictures."""

INTERVENTIONS = {
    "another question for the gate": "question",
    "another picture for the gate": "picture",
    "weights on other blocks": "blocks",
}
"""Grids of the sweep with the intervention that their evaluations have."""

GATES = {
    "entmax15": "",
    "softmax": "softmax weights",
    "sparsemax": "sparsemax weights",
    "top1": "the best block alone",
    "uniform": "equal weights",
    "known": "the blocks that the question names",
    "random": "random blocks",
}
PLAIN = {
    "prompt-tuning": "static prompt",
    "cocoop": "prompt that the picture shifts",
    "prefix-tuning": "prefix tuning",
    "lora": "LoRA, rank 8",
}


def name(config: TuneConfig) -> str:
    """Say what a run trains: "16 × 4, softmax weights" are 16 blocks with 4 tokens each."""
    if config.method != "grasp":
        said = PLAIN.get(config.method, config.method)
        return said if config.method == "lora" else f"{said}, {plural(config.n_tokens, 'token')}"
    parts = [f"GRASP {config.blocks} × {config.n_tokens}", GATES[config.gate]]
    parts += ["a constant asks"] if config.gate_queries == "constant" else []
    parts += [f"keys of {config.gate_keys} alone"] if config.gate_keys != "content+position" else []
    parts += ["behind the picture"] if config.prompt_place == "after-picture" else []
    if config.regularizer != "none":
        parts.append(f"{config.regularizer} on the {config.regularized}")
    return ", ".join(filter(None, parts))


def stage0(record: Mapping[str, Any] | None) -> str:
    """Say whether the frozen model sees: the gate of the committed projector, whichever way it went."""
    if record is None:
        return (
            "**Whether the frozen model can see is not measured yet.** Pictures reach it through a small map, the "
            "projector. No trained one is committed; `python -m tslib align` trains one. What follows has its start."
        )
    gain = Interval(*(100 * record["gate"][key] for key in ("difference", "low", "high")))
    more = "more" if gain.value >= 0 else "less"
    said = (
        f"with its projector and no prompt it is right {abs(gain.value):.1f} points {more} often than a blind table, "
        f"on presence and comparison (interval {gain.low:+.1f} to {gain.high:+.1f}). Ten more were asked for."
    )
    return f"The frozen model sees: {said}" if is_open(record) else f"**The frozen model does not see enough**: {said}"


def is_open(record: Mapping[str, Any] | None) -> bool:
    """Whether the committed projector's gate is; without one it is not."""
    return record is not None and bool(record["gate"]["is_open"])


def read_seen(record: Mapping[str, Any] | None) -> str:
    """Say how the committed projector was trained, and of how many questions its table is."""
    if record is None:
        return "*No trained projector is committed yet, so nothing was measured.*"
    config, losses, gate = record["config"], record["losses"], record["gate"]
    part = max(1, len(losses) // 20)
    first, last = (sum(some) / part for some in (losses[:part], losses[-part:]))
    return (
        f"The projector saw {config['scenes']} scenes in {config['steps']} steps of {config['batch_size']} rows. The "
        f"loss of captions and answers fell from {first:.2f} to {last:.2f}. Of {gate['rows']} questions about "
        f"{gate['pictures']} other scenes this share is answered rightly:"
    )


def seen(record: Mapping[str, Any]) -> pd.DataFrame:
    """One row a kind of question: what the frozen model with its projector answers rightly, and what the blind do."""
    gate = record["gate"]
    return pd.DataFrame(
        [
            {"kind of question": kind, "right": f"{100 * share:.1f} %", "blind": f"{100 * gate['blind'][kind]:.1f} %"}
            for kind, share in gate["seen"].items()
        ]
    )


def finding(evidence: Evidence, record: Mapping[str, Any] | None) -> str:
    """Say what was decided, or how many of the runs are missing that decide it."""
    found = claims.contrasts(evidence)
    if not found:
        missing, asked = evidence.not_evaluated(DECISION), len(evidence.asked(DECISION))
        blinded = record is not None and not is_open(record)
        which = "that compare places, and by the rule decide nothing," if blinded else "that decide about places"
        return f"{stage0(record)} {to_be_made(missing, asked, which)}"
    ours = of_arm(evidence, "{}")
    said = claims.decided(found, ours, is_open=is_open(record))
    parts = [f"{one.name} {_points(one.gain)}" for one in found]
    return (
        f"{stage0(record)} On {found[0].pictures} generated test scenes {SAID[said]}: in points, {listed(parts)}. "
        f"Ours is right in {100 * ours.value:.1f} % (interval {100 * ours.low:.1f} to {100 * ours.high:.1f}), blind "
        f"{100 * CHANCE:.0f} %."
    )


SAID: dict[Decision, str] = {
    "matters": "question-guided sparse fusion **matters**",
    "does not matter": "question-guided sparse fusion **does not matter**",
    "undecided": "whether question-guided sparse fusion matters is **undecided**",
    "nothing is decided": "nothing is decided about question-guided sparse fusion",
}


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"


def of_arm(evidence: Evidence, arm: str) -> Interval:
    """Accuracy of an arm of `DECISION`, over pictures."""
    rows = claims.answers(evidence, claims.arms(evidence.configs(DECISION))[arm])
    return claims.over_pictures(rows.groupby("picture")["score"].mean().to_numpy(float))


def contrast_table(found: Sequence[Contrast]) -> pd.DataFrame:
    """Word the contrasts that decide."""
    return pd.DataFrame(
        [
            {
                "difference": one.name,
                "points": _points(one.gain),
                "p (Holm)": f"{one.p_holm:.2g}",
                "over seeds": _points(one.seeds),
                "scenes": one.pictures,
            }
            for one in found
        ]
    )


def labelled(found: Sequence[Contrast]) -> pd.DataFrame:
    """Give the contrasts the columns of ``plots.grasp.differences``."""
    return pd.DataFrame([(one.name, *one.gain) for one in found], columns=["label", "value", "low", "high"])


def accuracy(evidence: Evidence, *grids: str) -> pd.DataFrame:
    """Table of whole grids: accuracies of each arm by kind of question, over all and over kinds, and its gate.

    The blind readers stand in it, who answer the same questions from the training rows of the same task.
    """
    rows, asked = [], dict[str, str]()
    for grid in (grid for grid in grids if not evidence.not_evaluated(grid)):
        for configs in claims.arms(evidence.configs(grid)).values():
            table = claims.answers(evidence, configs)
            if len(table):
                asked |= dict.fromkeys(table["id"], configs[0].task)
                rows.append(_row(name(configs[0]), table))
    return pd.DataFrame([*_blind_rows(asked), *rows])


def _row(label: str, table: pd.DataFrame) -> dict[str, object]:
    scores = {str(name): float(score) for name, score in table.groupby("id")["score"].mean().items()}
    interval = claims.over_pictures(table.groupby("picture")["score"].mean().to_numpy(float))
    found = {"trained": label, **_percent(accuracies(scores)), "interval of oa": _range(interval)}
    quarters = table[table["id"].map(kind_of) == "quarter"]
    return found | {
        one: f"{quarters[one].mean():.2f}" for one in MEASURES if one in table and quarters[one].notna().any()
    }


def _blind_rows(asked: Mapping[str, str]) -> list[dict[str, object]]:
    from tslib.tasks import load_task

    found = []
    for task in dict.fromkeys(asked.values()):
        rows = [row for row in load_task(task, "test") if row.id in asked]
        found += [
            {"trained": f"blind: {BLINDS[one]}", **_percent(accuracies(blind(one, load_task(task), rows)))}
            for one in BLIND
        ]
    return found


BLINDS = {"majority": "the commonest answer", "table": "a table of the questions"}


def _percent(found: Mapping[str, float]) -> dict[str, object]:
    return {key: f"{100 * value:.1f}" for key, value in found.items()}


def _range(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def interventions(evidence: Evidence) -> pd.DataFrame:
    """What becomes of ours when its gate is misled: accuracy, and the difference from the gate as it is."""
    if evidence.not_evaluated(DECISION, *INTERVENTIONS):
        return pd.DataFrame(columns=["gate", "accuracy", "points"])
    configs = claims.arms(evidence.configs(DECISION))["{}"]
    own = claims.answers(evidence, configs)
    rows = [{"gate": "as it is", "accuracy": f"{100 * own['score'].mean():.1f}", "points": ""}]
    for grid, what in INTERVENTIONS.items():
        other = claims.answers(evidence, evidence.configs(grid), intervention=what)
        gain, _ = claims.gained(other, own)
        rows.append({"gate": grid, "accuracy": f"{100 * other['score'].mean():.1f}", "points": _points(gain)})
    return pd.DataFrame(rows)


def live(records: Mapping[str, RunRecord], rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Table of a few live runs: loss at the first and the last step, and what is right of some held-out rows.

    Parameters
    ----------
    records
        By what the table calls them.
    rows
        Of an evaluation of each.
    """
    return pd.DataFrame(
        [
            {
                "trained": label,
                "loss at first": f"{record.steps['cross_entropy'].iloc[0]:.2f}",
                "at last": f"{record.results['final_cross_entropy']:.2f}",
                "right of held-out questions": f"{rows[label]['score'].sum():.0f} of {len(rows[label])}",
                "loss of the answers": f"{rows[label]['answer_loss'].mean():.3f}",
            }
            for label, record in records.items()
        ]
    )


def possible(config: TuneConfig) -> dict[str, str]:
    """Return the interventions that a run's gate can have: of one block there is no other."""
    return {said: what for said, what in INTERVENTIONS.items() if config.blocks > 1 or what != "blocks"}


def read_choices(chosen: pd.DataFrame, asked: Sequence[str]) -> str:
    """Say how many blocks a gate takes for some questions, and how much of its weight lies where they point.

    Parameters
    ----------
    chosen
        Of ``Places``.
    asked
        The questions' words.
    """
    named = np.array([quarter_of(words) is not None for words in asked])
    said = (
        f"For {plural(len(chosen), 'question')} about this picture the gate takes {chosen['support'].mean():.1f} "
        f"blocks on average, with {100 * chosen['entropy'].mean():.0f} % of the entropy of equal weights."
    )
    if not named.any():
        return said
    return (
        f"{said} Of the weight {100 * chosen['right'][named].mean():.0f} % lies in the quarter that a question names."
    )


def read_course(course: pd.DataFrame) -> str:
    """Say how far apart the blocks' prompts are at the first and the last checkpoint, and what the gate learns by."""
    first, last = course.iloc[0], course.iloc[-1]
    said = (
        f"From the first checkpoint to the last the spread of the blocks' prompts goes from {first['spread']:.2f} to "
    )
    said += f"{last['spread']:.2f} of their length"
    if np.isnan(last["gradient"]):
        return f"{said}; this gate has no scores to learn."
    return f"{said}, and the gradient of the gate's scores from {first['gradient']:.2g} to {last['gradient']:.2g}."


def read_cost(records: Iterable[dict[str, Any]]) -> str:
    """Say what a step costs beside one with a static prompt, and looking at pictures, and whether that is as asked.

    Parameters
    ----------
    records
        Of the benchmark, the newest first (``bench.records``); the first that has these parts counts.
    """
    record = next((one for one in records if {"places/steps", "places/looking"} <= one["parts"].keys()), None)
    if record is None:
        return "What a step costs was not measured yet: `make bench` does that."
    seconds, picture = record["parts"]["places/steps"], record["parts"]["places/looking"]
    times, minutes = np.median(seconds["grasp"]) / np.median(seconds["static"]), picture * 1000 / 60
    met = {True: "as was asked", False: "more than was asked"}
    return (
        f"A step takes {times:.2f} times as long as with a static prompt of as many tokens: {met[times <= DEARER]}, at "
        f"most {DEARER:g}. To look at a thousand pictures takes {minutes:.1f} minutes, once: "
        f"{met[minutes <= MINUTES]}, at most {MINUTES}. Measured on {place(record)}."
    )


def read_live(rows: Mapping[str, pd.DataFrame]) -> str:
    """Say how much what its gate goes by changes a short run's answers.

    Parameters
    ----------
    rows
        Of evaluations: with the gate as it is, then with each intervention.
    """
    own, *others = rows.values()
    most = max((abs(float(np.mean(other["answer_loss"] - own["answer_loss"]))) for other in others), default=0.0)
    right = stats.mean_score(own["score"].to_numpy(float))
    return (
        f"With the gate as it is {100 * right.value:.0f} % are right (interval {100 * right.low:.0f} to "
        f"{100 * right.high:.0f}); what it goes by changes the mean loss of the answers by at most {most:.3f}. Runs as "
        "short as these show what it looks like, and decide nothing."
    )

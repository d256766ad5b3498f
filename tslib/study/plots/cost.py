"""Figures of what a step costs."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from tslib.study.plots.clouds import WIDTH

WAY_NAMES = {"peft": "PEFT and Trainer", "prefix": "ours, prefix", "suffix": "ours, suffix"}


def step_times(seconds: dict[str, list[float]]) -> Figure:
    """Seconds of each step, one row for each way, with a line at its median."""
    figure, ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.4 * len(seconds)))
    frame = pd.DataFrame([{"way": WAY_NAMES[way], "s": one} for way, times in seconds.items() for one in times])
    palette = sns.color_palette("colorblind", len(seconds))
    sns.stripplot(frame, x="s", y="way", hue="way", palette=palette, ax=ax, jitter=False, size=7, alpha=0.7)
    medians = frame.groupby("way", sort=False)["s"].median()
    for y, middle in enumerate(medians):
        ax.plot([middle, middle], [y - 0.3, y + 0.3], color="black", linewidth=1.5)
    ax.set(xlabel="seconds of a step (line: median)", ylabel="", xlim=(0, None))
    return figure


def growth(frames: dict[str, pd.DataFrame]) -> Figure:
    """Seconds of a step against each of several sizes, both axes logarithmic, a panel each; bars from 10 % to 90 %.

    Parameters
    ----------
    frames
        By the label of the horizontal axis: a first column with the size, then ``way``, ``seconds``, ``low``, ``high``.
    """
    figure, axes = plt.subplots(1, len(frames), figsize=(WIDTH, 3.0), sharey=True, squeeze=False)
    for ax, (label, frame) in zip(axes[0], frames.items(), strict=True):
        for (way, colour), marker in zip(_colours(WAY_NAMES).items(), "os^", strict=True):
            one = frame[frame["way"] == way]
            spread = [one["seconds"] - one["low"], one["high"] - one["seconds"]]
            style: Any = {"marker": marker, "color": colour, "capsize": 3, "label": WAY_NAMES[way]}
            ax.errorbar(one[frame.columns[0]], one["seconds"], yerr=spread, **style)
        sizes = sorted(frame[frame.columns[0]].unique())
        ax.set(xscale="log", yscale="log", xlabel=label)
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
    axes[0][0].set_ylabel("seconds of a step")
    axes[0][-1].legend(frameon=False)
    return figure


def tsloss_times(frame: pd.DataFrame) -> Figure:
    """Milliseconds of TSLoss and of exact homology against the prompt's length; bars 10 % to 90 %."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.0))
    for (what, colour), marker in zip(_colours(frame["what"].unique()).items(), "os^", strict=False):
        for d, one in frame[frame["what"] == what].groupby("d"):
            spread = [one["ms"] - one["low"], one["high"] - one["ms"]]
            line = "-" if d == frame["d"].min() else ":"
            style: Any = {"marker": marker, "color": colour, "capsize": 3, "ls": line}
            ax.errorbar(one["n"], one["ms"], yerr=spread, label=f"{what}, d = {d}", **style)
    ax.set(xscale="log", yscale="log", xlabel="virtual tokens n", ylabel="milliseconds")
    ax.legend(frameon=False)
    return figure


def loss_curves(frame: pd.DataFrame) -> Figure:
    """Loss of PEFT's run and of ours, and their relative difference below."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH, 3.6), sharex=True, height_ratios=(2, 1))
    colours = _colours(WAY_NAMES)
    above.plot(frame["step"], frame["peft"], marker="o", color=colours["peft"], label=WAY_NAMES["peft"])
    above.plot(frame["step"], frame["prefix"], marker="s", ls=":", color=colours["prefix"], label=WAY_NAMES["prefix"])
    above.set(ylabel="cross-entropy")
    above.legend(frameon=False)
    below.semilogy(frame["step"], frame["difference"], marker=".", color="black")
    below.set(xlabel="step", ylabel="relative difference")
    return figure


def _colours(names: Any) -> dict[str, tuple[float, float, float]]:
    return dict(zip(names, sns.color_palette("colorblind", len(names)), strict=True))

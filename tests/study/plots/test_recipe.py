"""Figures of what makes prompt tuning fast."""

import numpy as np
from made_runs import record

from tslib.config import TuneConfig
from tslib.study import plots


def test_starts_show_each_token_beside_the_vocabulary():
    norms = {"noise": np.array([0.5, 0.6]), "words": np.array([3.0, 3.1, 2.9])}
    (ax,) = plots.starts(norms, np.arange(1.0, 102.0)).axes
    assert [line.get_xdata().tolist() for line in ax.lines[1:]] == [[0.5, 0.6], [3.0, 3.1, 2.9]]
    assert ax.lines[0].get_xdata()[0] == 51, "the median"
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (6, 96)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["noise", "words"]


def test_step_by_step_marks_where_a_run_became_correct():
    records = {"tuned": record(TuneConfig(), None, 40), "fast": record(TuneConfig(preset="fast"), 11, 11)}
    left, right = plots.step_by_step(records).axes
    assert [len(line.get_xdata()) for line in left.lines] == [40, 11, 1]
    assert left.lines[2].get_xdata()[0] == 12, "with the prompt after eleven steps"
    assert [len(line.get_xdata()) for line in right.lines] == [40, 11]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["tuned", "fast"]

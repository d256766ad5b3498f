"""Figures that move: what is in their frames is what the library computes."""

import json
import re

import made_runs
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch

from tslib import TSLoss, persistence_diagrams
from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.study.plots import interactive
from tslib.study.plots.interactive import Interactive
from tslib.study.report import structure as report_structure


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(0)
    return {step: torch.randn(6, 8, generator=generator) * (1 + step) for step in (0, 5, 10)}


@pytest.fixture(scope="module")
def diagrams(prompts):
    rows = [
        {"step": step, "dimension": dimension, "birth": birth, "death": death}
        for step, prompt in prompts.items()
        for dimension, bars in enumerate(persistence_diagrams(prompt.numpy()))
        for birth, death in bars
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def film(prompts, diagrams):
    return interactive.film(prompts, diagrams)


@pytest.mark.parametrize("framed", [False, True])
def test_what_a_page_would_draw_as_a_line_is_refused(framed):
    """The book has the part of Plotly with lines, points and bars; a heatmap came out as one diagonal."""
    figure = go.Figure(go.Bar(x=[1], y=[1]), frames=[go.Frame(data=[go.Scatter(x=[1], y=[1])])])
    Interactive(figure, "bars and points")
    if framed:
        figure.frames[0].data = [go.Heatmap(z=[[1]])]
    else:
        figure.add_trace(go.Heatmap(z=[[1]]))
    with pytest.raises(InputError, match="draw scatter, bar, pie, not heatmap"):
        Interactive(figure, "blocks")


def test_the_tokens_lie_in_the_plane_of_all_checkpoints_together(film, prompts):
    together = torch.cat(list(prompts.values())).double().numpy()
    centred = together - together.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    places = (centred @ axes[:2].T).reshape(3, 6, 2)
    for frame, expected in zip(film.figure.frames, places, strict=True):
        drawn = np.array([frame.data[0].x, frame.data[0].y]).T
        assert np.abs(drawn) == pytest.approx(np.abs(expected), rel=1e-3, abs=1e-3)  # an axis has no sign
    share = (sizes[:2] ** 2).sum() / (sizes**2).sum()
    assert film.figure.layout.xaxis.title.text == f"{share:.0%} of the variance"


def test_a_method_with_a_cloud_in_each_layer_has_no_film(diagrams):
    with pytest.raises(InputError, match=r"a prompt has shape \(2, 6, 8\): give \(n, d\)"):
        interactive.film({0: torch.zeros(2, 6, 8)}, diagrams)


def test_a_frame_holds_the_bars_of_its_checkpoint(film, prompts):
    assert [frame.name for frame in film.figure.frames] == ["0", "5", "10"]
    for frame, (step, prompt) in zip(film.figure.frames, prompts.items(), strict=True):
        h0, h1 = persistence_diagrams(prompt.numpy())
        tokens, points0, points1, bars0, bars1 = frame.data
        assert list(tokens.customdata) == [1, 2, 3, 4, 5, 6]
        deaths = sorted(h0[np.isfinite(h0[:, 1]), 1])
        assert list(points0.y[:-1]) == pytest.approx(deaths, rel=1e-4), step
        assert list(bars0.x[:-1]) == pytest.approx(deaths, rel=1e-4)  # born at 0
        assert list(bars0.base) == [0.0] * 6
        expected = h1[np.argsort(h1[:, 1] - h1[:, 0], kind="stable")]
        assert [*points1.x, *points1.y] == pytest.approx(expected.T.ravel().tolist(), rel=1e-4)
        assert [*bars1.base, *np.add(bars1.base, bars1.x)] == pytest.approx(expected.T.ravel().tolist(), rel=1e-4)


def test_the_film_is_read_from_its_first_and_last_checkpoint():
    first = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])  # 2 apart, and both move by 5
    said = report_structure.read_film({0: first, 5: first, 10: first + torch.tensor([0.0, 3.0, 4.0])})
    assert said.startswith("From step 0 to step 10 a token moves 5 on average, 2.5 times the mean distance ")
    assert "shows 100% of the variance" in said


def test_a_bar_that_never_dies_says_so(film):
    _, points0, _, bars0, _ = film.figure.frames[0].data
    assert points0.hovertext[-1] == bars0.hovertext[-1] == "H0: birth 0, never dies"
    death = f"{float(points0.y[0]):.4g}"
    assert points0.hovertext[0] == bars0.hovertext[0] == f"H0: birth 0, death {death}, lifespan {death}"
    assert list(bars0.text) == ["", "", "", "", "", "∞"]
    line = film.figure.data[6]
    assert set(line.y) == {points0.y[-1]} == {film.figure.layout.annotations[3].y}


def test_the_axes_stand_still_and_hold_every_frame(film):
    layout = film.figure.layout
    (low, high), (_, top), (_, end), (_, rows) = (
        layout[axis].range for axis in ("xaxis", "yaxis2", "xaxis3", "yaxis3")
    )
    for frame in film.figure.frames:
        assert "layout" not in frame.to_plotly_json()
        tokens, points0, _, bars0, bars1 = frame.data
        assert low < min(*tokens.x, *tokens.y) <= max(*tokens.x, *tokens.y) < high
        assert max(points0.y) < top
        assert max(bars0.x) < end
        assert max([*bars0.y, *bars1.y]) < rows
        assert min([*bars1.y, 7]) == 7  # the first row of H1 is the same in all


def test_the_slider_names_every_checkpoint(film):
    (slider,) = film.figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0", "5", "10"]
    assert [step.args[0] for step in slider.steps] == [("0",), ("5",), ("10",)]


def test_four_points_have_the_values_of_tsloss():
    path = [(0.5, 1.0), (1.0, 1.0), (2.0, 1.0)]
    figure = interactive.four_points(path, tau=0.5, alpha=5.0, begin=1).figure
    lines = {(trace.name, trace.meta): trace.y for trace in figure.data if trace.meta}
    assert figure.layout.sliders[0].active == 1
    assert [trace.x for trace in figure.data[:5]] == [trace.x for trace in figure.frames[1].data]
    for index, place in enumerate(path):
        *arrows, points, caption, markers = figure.frames[index].data
        assert list(zip(points.x, points.y, strict=True)) == [(0, 0), (1, 0), place, (0, 1)]
        assert list(markers.y) == [curve[index] for curve in lines.values()]
        for number, name in enumerate(("off-diagonal", "as printed")):
            loss = TSLoss(tau=0.5, alpha=5.0, include_self=bool(number))
            cloud = torch.tensor([[0, 0], [1, 0], place, [0, 1]], dtype=torch.float64, requires_grad=True)
            total, terms = loss(cloud), loss.terms(cloud)
            expected = [value.item() for value in (total, terms["h0"], terms["repel"], terms["attract"])]
            drawn = [lines[term, name][index] for term in ("total", "h0", "repel", "attract")]
            assert drawn == pytest.approx(expected, rel=1e-4, abs=1e-12)
            (gradient,) = torch.autograd.grad(total, cloud)
            longest = gradient.norm(dim=1).max().item()
            steps = np.array([arrows[number].x[1::3], arrows[number].y[1::3]]).T.astype(float) - cloud.detach().numpy()
            assert steps == pytest.approx(-0.6 / longest * gradient.numpy(), abs=1e-3)
            assert f"{name} {longest:.1e}" in caption.text[0]


def test_a_cloud_without_a_gradient_has_no_arrows():
    one_place = np.zeros((4, 2))
    drawn = interactive._arrows(one_place, one_place, "solid")
    assert set(drawn.x) == set(drawn.y) == {0.0, None}


def test_curves_are_means_over_runs_with_their_intervals():
    record = [made_runs.record(TuneConfig(seed=seed, sample_seed=seed), h1_count=10 + seed) for seed in range(3)]
    runs = pd.concat([one.topology.assign(run=str(number)) for number, one in enumerate(record)])
    figure = interactive.curves({"one sample": runs}, {"h1_count": "loops", "density": "density (tokens)"}).figure
    ours, twins, *_ = figure.data
    assert (ours.name, twins.name) == ("one sample", "one sample, random twins")
    assert set(ours.y) == {11.0}
    assert ours.customdata[0][2] == 3
    assert ours.customdata[0][0] == pytest.approx(11 - ours.error_y.arrayminus[0], rel=1e-4)
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["loops", "density"]
    assert buttons[1].args[0]["visible"] == [False, False, True, True]
    assert [trace.visible for trace in figure.data] == [True, True, False, False]


def test_a_notebook_gets_both_and_the_page_loads_plotly_from_the_book():
    shown = interactive.four_points([(1.0, 1.0), (2.0, 1.0)])
    bundle = Interactive(shown.figure, 'a "slider"')._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.plotly.v1+json", "text/html"}
    assert json.loads(json.dumps(bundle["application/vnd.plotly.v1+json"]["layout"]["height"])) == 560
    assert bundle["text/html"].startswith('<div role="figure" aria-label="a &quot;slider&quot;">')
    assert 'src="../../_static/lib/plotly-basic.min.js"' in bundle["text/html"]
    assert "cdn.plot.ly" not in bundle["text/html"]


def test_on_a_phone_panels_that_stand_side_by_side_are_stacked():
    shown = interactive.four_points([(1.0, 1.0), (2.0, 1.0)])
    (wide,) = re.findall(r"false: (.*)};", shown.fragment())
    assert json.loads(wide) == {path: json.loads(json.dumps(shown.figure.layout[path])) for path in shown.narrow}
    assert shown.narrow["yaxis.domain"][0] > shown.narrow["yaxis2.domain"][1]
    assert shown.figure.layout.xaxis.domain[1] < shown.figure.layout.xaxis2.domain[0]

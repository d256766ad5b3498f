"""Figures that move: what is in their frames is what the library computes."""

import json

import made_runs
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA

from tslib import TSLoss, persistence_diagrams
from tslib.config import TuneConfig
from tslib.errors import InputError
from tslib.plots import interactive
from tslib.plots.interactive import Interactive


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


def test_the_plane_is_that_of_sklearn(prompts):
    plane, share = interactive.principal_plane(prompts)
    together = torch.cat(list(prompts.values())).double().numpy()
    peer = PCA(2).fit(together)
    assert share == pytest.approx(peer.explained_variance_ratio_.sum())
    for step, cloud in plane.items():
        assert np.abs(cloud) == pytest.approx(np.abs(peer.transform(prompts[step].double().numpy())), abs=1e-6)


def test_a_method_with_a_cloud_in_each_layer_has_no_film():
    with pytest.raises(InputError, match=r"a prompt has shape \(2, 6, 8\): give \(n, d\)"):
        interactive.principal_plane({0: torch.zeros(2, 6, 8)})


def test_a_frame_holds_the_bars_of_its_checkpoint(film, prompts):
    assert [frame.name for frame in film.figure.frames] == ["0", "5", "10"]
    for frame, (step, prompt) in zip(film.figure.frames, prompts.items(), strict=True):
        h0, h1 = persistence_diagrams(prompt.numpy())
        tokens, points0, points1, bars0, bars1 = frame.data
        assert len(tokens.x) == 6
        deaths = sorted(points0.y)[:-1]
        assert deaths == pytest.approx(sorted(h0[np.isfinite(h0[:, 1]), 1]), rel=1e-4), step
        assert sorted(points1.x) == pytest.approx(sorted(h1[:, 0]), rel=1e-4)
        assert [bars0.x[i] for i in range(1, 15, 3)] == pytest.approx(deaths, rel=1e-4)
        assert len(bars1.x) == 3 * len(h1)


def test_the_axes_stand_still_and_hold_every_frame(film):
    (low, high), (_, top) = film.figure.layout.xaxis.range, film.figure.layout.yaxis2.range
    for frame in film.figure.frames:
        assert "layout" not in frame.to_plotly_json()
        assert low <= min(frame.data[0].x) <= max(frame.data[0].x) <= high
        assert max(frame.data[1].y) <= top


def test_the_slider_names_every_checkpoint(film):
    (slider,) = film.figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0", "5", "10"]
    assert [step.args[0] for step in slider.steps] == [("0",), ("5",), ("10",)]


def test_four_points_have_the_values_of_tsloss():
    path = [(0.5, 1.0), (1.0, 1.0), (2.0, 1.0)]
    figure = interactive.four_points(path, tau=0.5, alpha=5.0).figure
    loss, printed = TSLoss(tau=0.5, alpha=5.0), TSLoss(tau=0.5, alpha=5.0, include_self=True)
    lines = {trace.name: trace.y for trace in figure.data if trace.name}
    for index, place in enumerate(path):
        cloud = torch.tensor([[0, 0], [1, 0], place, [0, 1]], dtype=torch.float64, requires_grad=True)
        terms = loss.terms(cloud)
        parts = [loss(cloud), printed(cloud), terms["h0"], terms["repel"], terms["attract"]]
        expected = [part.item() for part in parts]
        assert [lines[name][index] for name in ("TSLoss", "as printed", "h0", "repel", "attract")] == pytest.approx(
            expected, rel=1e-4, abs=1e-9
        )
        arrows, points, markers = figure.frames[index].data
        assert list(zip(points.x, points.y, strict=True))[2] == place
        assert list(markers.y) == pytest.approx(expected, rel=1e-4, abs=1e-9)
        (gradient,) = torch.autograd.grad(loss(cloud), cloud)
        drawn = np.array([arrows.x[1::3], arrows.y[1::3]], dtype=float).T - cloud.detach().numpy()
        along = (drawn * -gradient.numpy()).sum()
        assert along == pytest.approx(np.linalg.norm(drawn) * gradient.norm().item(), rel=1e-3)


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
    assert json.loads(json.dumps(bundle["application/vnd.plotly.v1+json"]["layout"]["height"])) == 520
    assert bundle["text/html"].startswith('<div role="figure" aria-label="a &quot;slider&quot;">')
    assert 'src="../../_static/plotly.min.js"' in bundle["text/html"]
    assert "cdn.plot.ly" not in bundle["text/html"]

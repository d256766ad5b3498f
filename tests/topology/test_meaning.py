"""Nearest words, drift, the manifold of embeddings, and planes: against places that are known."""

import numpy as np
import pytest
import torch

from tslib.errors import InputError
from tslib.models import loading as models
from tslib.prompts.soft_prompt import SoftPrompt
from tslib.topology.meaning import Vocabulary, drift, manifold, plane


@pytest.fixture(scope="module")
def vocabulary(smollm2_135m):
    return Vocabulary(*smollm2_135m)


def ids_of(vocabulary, *words):
    return torch.tensor([vocabulary.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words])


def embedded(vocabulary, ids):
    places = {int(token): index for index, token in enumerate(vocabulary.ids)}
    return vocabulary.embeddings[[places[int(token)] for token in ids]]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_word_is_nearest_to_itself(vocabulary, metric):
    ids = ids_of(vocabulary, " house", " seven", "ing")
    found = vocabulary.nearest(embedded(vocabulary, ids), 3, metric)
    assert found.ids[:, 0].tolist() == ids.tolist()
    assert found.distances[:, 0].max() < 1e-4
    assert (found.distances.diff(dim=1) >= 0).all()
    assert vocabulary.words(found.ids[:, 0]) == ["␣house", "␣seven", "ing"]


def test_nearest_is_what_a_loop_finds(vocabulary):
    points = 0.1 * torch.randn(3, 576, generator=torch.Generator().manual_seed(0))
    table = vocabulary.embeddings.double().numpy()
    for metric in ("euclidean", "cosine"):
        found = vocabulary.nearest(points, 1, metric)
        for row, point in enumerate(points.double().numpy()):
            distances = (
                np.sqrt(((table - point) ** 2).sum(1))
                if metric == "euclidean"
                else 1 - table @ point / np.linalg.norm(table, axis=1) / np.linalg.norm(point)
            )
            assert int(vocabulary.ids[distances.argmin()]) == int(found.ids[row, 0])
            assert float(found.distances[row, 0]) == pytest.approx(distances.min(), rel=1e-5)


def test_length_has_no_part_in_cosine(vocabulary):
    points = embedded(vocabulary, ids_of(vocabulary, " house", " seven"))
    assert torch.equal(vocabulary.nearest(9 * points, 2, "cosine").ids, vocabulary.nearest(points, 2, "cosine").ids)
    assert vocabulary.nearest(9 * points, 1).distances.min() > 1


def test_gemma_s_words_are_as_they_enter_it(gemma3_270m):
    """Its embedding multiplies by √d: a prompt that started as words is nearest to these, at distance 0."""
    loaded = models.shared_model("gemma3-270m", "cpu", "float32")
    vocabulary = Vocabulary(*loaded)
    ids = ids_of(vocabulary, " house", " seven")
    with torch.no_grad():
        points = SoftPrompt(loaded.model.get_input_embeddings()(ids))()
    found = vocabulary.nearest(points.detach())
    assert found.ids[:, 0].tolist() == ids.tolist()
    assert found.distances.max() < 1e-4 * points.norm()


def test_special_tokens_are_no_words(vocabulary):
    special = set(vocabulary.tokenizer.all_special_ids)
    assert special
    assert not special & set(vocabulary.ids.tolist())
    assert len(vocabulary.ids) == len(vocabulary.tokenizer) - len(special)


def test_drift_from_one_word_to_another(vocabulary):
    start, end = (embedded(vocabulary, ids_of(vocabulary, *words)) for words in ((" house", "ing"), (" seven", "ing")))
    table = drift({0: start, 10: start + 0.01 * (end - start), 20: end}, vocabulary)
    assert table["step"].tolist() == [0, 0, 10, 10, 20, 20]
    assert table["word"].tolist() == ["␣house", "ing", "␣house", "ing", "␣seven", "ing"]
    assert table["changed"].tolist() == [False, False, False, False, True, False]
    length = float((end[0] - start[0]).norm())
    assert table["moved"].tolist() == pytest.approx([0, 0, 0.01 * length, 0, length, 0], abs=1e-5)
    assert table["distance"].iloc[2] == pytest.approx(0.01 * length, rel=1e-3)


def test_the_manifold_of_words(vocabulary):
    """Words lie on it by definition; a point that is far away does not."""
    own = manifold(vocabulary.embeddings[500:540], vocabulary)
    assert own["nearest"] == pytest.approx(0, abs=1e-3)
    assert own["norm"] == pytest.approx(1, abs=0.2)
    far = manifold(torch.randn(10, 576, generator=torch.Generator().manual_seed(0)), vocabulary)
    assert far["nearest"] > 3
    assert 0.9 < far["residual"] <= 1
    assert 0 < far["word_residual"] < far["residual"]


def test_a_point_within_the_span_of_words_has_no_residual():
    """Words on a line; the span of the three nearest is the line: a point on it has no part outside, one off it has."""

    class Line(Vocabulary):
        def __init__(self):
            self.ids = torch.arange(6)
            self.embeddings = torch.tensor([[float(i), 0.0, 0.0] for i in range(6)])

    on = manifold(torch.tensor([[2.4, 0.0, 0.0]]), Line(), sample=6, neighbours=2)
    off = manifold(torch.tensor([[2.5, 1.0, 0.0]]), Line(), sample=6, neighbours=2)
    assert on["nearest"] == pytest.approx(0.4)
    assert on["residual"] == pytest.approx(0, abs=1e-6)
    assert off["residual"] == pytest.approx(1)
    assert off["nearest"] == pytest.approx(1.25**0.5)
    assert on["norm"] == pytest.approx(2.4 / 2.5)


def test_the_median_of_two_distances_is_their_mean():
    class Line(Vocabulary):
        def __init__(self):
            self.ids = torch.arange(4)
            self.embeddings = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [13.0, 0.0]])

    # to the nearest word: 2 and 4; from word to word: 1, 1, 3 and 3
    found = manifold(torch.tensor([[0.0, 2.0], [10.0, 4.0]]), Line(), neighbours=2)
    assert found["nearest"] == pytest.approx(3 / 2)


def test_a_plane_is_the_cloud_where_it_is_flat():
    """Points of a plane in six dimensions keep their distances in PCA, and all their variance."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(6, 2, generator=generator, dtype=torch.float64)).Q.T
    flat = [torch.randn(4, 2, generator=generator, dtype=torch.float64) @ axes for _ in range(3)]
    places, shares = plane(flat)
    assert places.shape == (3, 4, 2)
    assert sum(shares) == pytest.approx(1)
    before = torch.cdist(torch.cat(flat), torch.cat(flat)).numpy()
    placed = torch.from_numpy(places.reshape(-1, 2))
    np.testing.assert_allclose(torch.cdist(placed, placed).numpy(), before, atol=1e-7)


def test_t_sne_keeps_two_groups_apart_and_its_seed():
    generator = torch.Generator().manual_seed(0)
    clouds = [torch.randn(6, 5, generator=generator) + torch.tensor([50.0] + [0.0] * 4) * (k % 2) for k in range(4)]
    places, shares = plane(clouds, "tsne")
    assert shares is None
    groups = [places[::2].reshape(-1, 2), places[1::2].reshape(-1, 2)]
    within = max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in groups)
    assert np.linalg.norm(groups[0].mean(0) - groups[1].mean(0)) > within
    np.testing.assert_array_equal(plane(clouds, "tsne")[0], places)


@pytest.mark.parametrize(
    ("points", "k", "metric", "message"),
    [
        (torch.zeros(2, 3), 1, "euclidean", r"have 576 dimensions; given points of shape \(2, 3\)"),
        (torch.zeros(2, 576), 0, "euclidean", "k is 1 to"),
        (torch.zeros(2, 576), 1, "cosine", r"virtual token\(s\) \[0, 1\] are zero vectors"),
    ],
)
def test_wrong_use_is_named(vocabulary, points, k, metric, message):
    with pytest.raises(InputError, match=message):
        vocabulary.nearest(points, k, metric)


def test_an_unknown_plane_is_named():
    with pytest.raises(InputError, match="unknown kind 'umap'; known: pca, tsne"):
        plane([torch.zeros(3, 3)] * 2, "umap")

"""What virtual tokens mean, as far as a model's own words say: the nearest, how they drift, and how far off all are.

A virtual token is held against the embeddings of the vocabulary as they enter the model (Gemma's are multiplied by √d).
References: Khashabi et al., "Prompt waywardness" (arXiv:2112.08348), found the nearest words of tuned prompts to say
little about what they do; so a distance to them stands beside each word here.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tslib.errors import InputError
from tslib.topology.diagrams import Metric

__all__ = ["Nearest", "Vocabulary", "drift", "manifold", "plane"]


class Nearest(NamedTuple):
    """The nearest words of some points.

    Attributes
    ----------
    ids
        (n, k) token ids, the nearest first.
    distances
        (n, k) their distances, in units of the metric.
    """

    ids: Int[Tensor, "n k"]
    distances: Float[Tensor, "n k"]


class Vocabulary:
    """Embeddings of a model's vocabulary, as they enter it.

    Parameters
    ----------
    model, tokenizer
        Of transformers. Special tokens are left out, and rows of the embedding that are no token.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        special = set(tokenizer.all_special_ids)
        embed = model.get_input_embeddings()
        size = min(len(tokenizer), embed.weight.shape[0])
        self.ids = torch.tensor([token for token in range(size) if token not in special])
        with torch.no_grad():  # the module is called, not its matrix read: Gemma's multiplies by √d
            self.embeddings: Float[Tensor, "v d"] = embed(self.ids.to(embed.weight.device)).float().cpu()

    def nearest(self, points: Float[Tensor, "n d"], k: int = 1, metric: Metric = "euclidean") -> Nearest:
        """Find the k words nearest to each point.

        Parameters
        ----------
        points
            What enters the model: a soft prompt times its scale.
        k
            Words of each point.
        metric
            ``euclidean``, or ``cosine`` (1 - cos).

        Raises
        ------
        InputError
            If the points are of another model, there are fewer words than k, or a point is zero and the metric cosine.
        """
        self._check(points, k, metric)
        if metric == "cosine":
            similarity = torch.nn.functional.normalize(points.double(), dim=-1) @ self._directions().T
            distances = 1 - similarity
        else:
            distances = torch.cdist(points.double(), self.embeddings.double())
        smallest, places = distances.topk(k, largest=False)
        return Nearest(self.ids[places], smallest.clamp_min(0).float())

    def _directions(self) -> Tensor:
        return torch.nn.functional.normalize(self.embeddings.double(), dim=-1)

    def _check(self, points: Tensor, k: int, metric: str) -> None:
        if metric not in ("euclidean", "cosine"):
            raise InputError(f"unknown metric {metric!r}; known: euclidean, cosine")
        if points.ndim != 2 or points.shape[1] != self.embeddings.shape[1]:
            raise InputError(
                f"words of this model have {self.embeddings.shape[1]} dimensions; given points of shape "
                f"{tuple(points.shape)} (the states of a prefix in every layer are no embeddings)"
            )
        if not 1 <= k <= len(self.ids):
            raise InputError(f"k is 1 to {len(self.ids)}, as many as there are words; given {k}")
        if metric == "cosine" and (zero := (points.norm(dim=-1) == 0).nonzero().flatten()).numel():
            raise InputError(f"virtual token(s) {zero.tolist()} are zero vectors, which have no direction")

    def words(self, ids: Int[Tensor, "*shape"]) -> list[str]:
        """Tokens as text, spaces and line ends made visible."""
        texts: list[str] = [self.tokenizer.decode([token]) for token in ids.flatten().tolist()]
        return [text.replace(" ", "␣").replace("\n", "⏎") for text in texts]


def drift(
    prompts: dict[int, Float[Tensor, "n d"]], vocabulary: Vocabulary, metric: Metric = "euclidean"
) -> pd.DataFrame:
    """Nearest word of each virtual token at each checkpoint.

    Parameters
    ----------
    prompts
        {step: what enters the model}, as ``RunRecord.prompts`` where its scale is 1.
    vocabulary
        Of the model.
    metric
        ``euclidean`` or ``cosine``.

    Returns
    -------
    DataFrame
        One row a step and virtual token: step, token, id, word, distance, changed (whether the word is another than at
        the checkpoint before; never at the first), moved (distance to the virtual token's place at the first).
    """
    tables = []
    first, before = next(iter(prompts.values())), None
    for step, points in prompts.items():
        found = vocabulary.nearest(points, 1, metric)
        ids = found.ids[:, 0]
        tables.append(
            pd.DataFrame(
                {
                    "step": step,
                    "token": range(len(points)),
                    "id": ids.tolist(),
                    "word": vocabulary.words(ids),
                    "distance": found.distances[:, 0].tolist(),
                    "changed": [False] * len(ids) if before is None else (ids != before).tolist(),
                    "moved": (points - first).norm(dim=-1).tolist(),
                }
            )
        )
        before = ids
    return pd.concat(tables, ignore_index=True)


def manifold(
    points: Float[Tensor, "n d"], vocabulary: Vocabulary, *, sample: int = 1000, neighbours: int = 20, seed: int = 0
) -> dict[str, float]:
    """How far points are from where embeddings of words are, in what is usual among words.

    Parameters
    ----------
    points
        What enters the model.
    vocabulary
        Of the model.
    sample
        Words that are drawn to say what is usual.
    neighbours
        Nearest words whose affine span stands for the manifold near a point.
    seed
        Which words.

    Returns
    -------
    dict
        ``nearest``: median distance of a point to its nearest word, over that of a word to the nearest other word.
        ``residual``: median share of a point's distance to its nearest words' centre that lies outside of their affine
        span (0: in it; 1: at a right angle to it), ``word_residual`` the same of words and their nearest others.
        ``norm``: mean norm over the words' mean norm. A word has 1, ``word_residual`` and 1.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(vocabulary.ids), generator=generator)[:sample]
    words = vocabulary.embeddings[drawn]
    among = vocabulary.nearest(words, 2).distances[:, 1]
    table = vocabulary.embeddings
    place = {int(token): index for index, token in enumerate(vocabulary.ids)}

    def residual(own: Tensor, skip: int) -> float:
        ids = vocabulary.nearest(own, neighbours + skip).ids[:, skip:]
        shares = []
        for point, near in zip(own, ids.tolist(), strict=True):
            around = table[[place[token] for token in near]].double()
            centre = around.mean(0)
            basis = torch.linalg.qr((around[1:] - centre).T).Q  # (d, neighbours - 1)
            away = point.double() - centre
            outside = away - basis @ (basis.T @ away)
            shares.append(float(outside.norm() / away.norm()) if away.norm() > 0 else 0.0)
        return float(np.median(shares))

    return {
        "nearest": float(np.median(vocabulary.nearest(points, 1).distances) / np.median(among)),
        "residual": residual(points, 0),
        "word_residual": residual(words[:100], 1),
        "norm": float(points.norm(dim=-1).mean() / words.norm(dim=-1).mean()),
    }


def plane(
    prompts: Sequence[Float[Tensor, "n d"]], kind: str = "pca", seed: int = 0
) -> tuple[Float[np.ndarray, "steps n 2"], tuple[float, float] | None]:
    """Lay the virtual tokens of all checkpoints into one plane.

    Parameters
    ----------
    prompts
        Prompts of one shape, checkpoint by checkpoint.
    kind
        ``pca``: the two directions in which they vary most; ``tsne``: t-SNE, which keeps neighbours together and means
        nothing by distances.
    seed
        Of t-SNE.

    Returns
    -------
    places
        (steps, n, 2).
    shares
        Of PCA, the shares of the variance along both axes; of t-SNE None.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    stacked = torch.stack(list(prompts)).double().numpy()
    points = stacked.reshape(-1, stacked.shape[-1])
    if kind == "pca":
        fitted = PCA(2, random_state=seed).fit(points)
        first, second = fitted.explained_variance_ratio_
        return fitted.transform(points).reshape(*stacked.shape[:2], 2), (float(first), float(second))
    if kind != "tsne":
        raise InputError(f"unknown kind {kind!r}; known: pca, tsne")
    perplexity = min(30.0, (len(points) - 1) / 3)
    placed = TSNE(2, perplexity=perplexity, random_state=seed, init="pca").fit_transform(points)
    return placed.astype(np.float64).reshape(*stacked.shape[:2], 2), None

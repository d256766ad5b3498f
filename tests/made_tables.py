"""Tables that tests of sentences and of figures share."""

import pandas as pd

from tslib.config import TuneConfig


def table(pairs, max_steps=300):
    """Two methods, one row a run; None is a censored run."""
    rows = []
    for seed, (none, tsloss) in enumerate(pairs):
        for name, count in (("none", none), ("tsloss", tsloss)):
            config = TuneConfig(regularizer=name, seed=seed, max_steps=max_steps, lr=1e-3).as_dict()
            rows.append(config | {"iterations_to_correct": count, "iterations_to_answer": count})
    return pd.DataFrame(rows).astype({"iterations_to_correct": "Int64", "iterations_to_answer": "Int64"})


FITS = pd.DataFrame(
    [
        {"model": "small", "dtype": "float32", "n_tokens": 20, "context": 256, "total": 2.0, "too_long": False},
        {"model": "small", "dtype": "float32", "n_tokens": 20, "context": 2048, "total": 14.0, "too_long": False},
        {"model": "small", "dtype": "float32", "n_tokens": 20, "context": 8192, "total": 60.0, "too_long": True},
        {"model": "large", "dtype": "float32", "n_tokens": 20, "context": 256, "total": 50.0, "too_long": False},
        {"model": "large", "dtype": "float32", "n_tokens": 100, "context": 256, "total": 51.0, "too_long": False},
    ]
).assign(weights=1.0, activations=1.0, logits=1.0, prompt=0.0, machine="x")

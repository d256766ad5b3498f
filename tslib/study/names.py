"""What figures, tables and verdicts call the methods."""

__all__ = ["METHOD_NAMES", "method_name"]

METHOD_NAMES = {
    "none": "cross-entropy alone",
    "tsloss": "TSLoss, off-diagonal",
    "tsloss-printed": "TSLoss, as printed",
    "tsloss-normalized": "TSLoss, normalised",
    "l2": "L2",
    "pairwise": "pairwise distance",
    "tsloss-h0": "TSLoss, H0 only",
    "tsloss-h1": "TSLoss, H1 only",
    "tsloss-adaptive": "TSLoss, adaptive weight",
    "tsloss-balanced": "TSLoss, H0 and H1 balanced",
    "random-direction": "random direction",
    "random-direction-matched": "random direction, as long as in TSLoss's run",
    "persistence": "exact persistent homology",
    "push-h0-up": "longer H0",
    "push-h0-down": "shorter H0",
    "push-h1-up": "more H1",
    "push-h1-down": "less H1",
    "push-entropy-up": "more entropy",
    "push-entropy-down": "less entropy",
}


def method_name(regularizer: str) -> str:
    """Return what figures and tables call a regulariser."""
    return METHOD_NAMES.get(regularizer, regularizer)

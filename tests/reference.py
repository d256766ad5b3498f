"""TSLoss a second time, straight from Eqs. 1-8, with loops and extended precision; shares no code with tslib."""

import numpy as np


def tsloss(
    points,
    *,
    tau=1.0,
    alpha=10.0,
    beta_h0=1.0,
    beta_h1=1.0,
    repel=1.0,
    attract=1.0,
    self_pairs=False,
    normalize=False,
    cosine=False,
):
    """Return the terms and the total loss of an (n, d) cloud."""
    x = np.asarray(points).astype(np.longdouble)
    n = len(x)
    distance = np.array([[np.sqrt(((x[i] - x[j]) ** 2).sum()) for j in range(n)] for i in range(n)])
    if cosine:
        length = [np.sqrt((point**2).sum()) for point in x]
        distance = np.array([[1 - (x[i] * x[j]).sum() / length[i] / length[j] for j in range(n)] for i in range(n)])
    pairs = [(i, j) for i in range(n) for j in range(n) if self_pairs or i != j]
    if not pairs:
        return {"h0": 0.0, "repel": 0.0, "attract": 0.0, "delta": 0.0, "zeta": 0.0, "loss": 0.0}
    if normalize:
        mean = np.mean([distance[i, j] for i in range(n) for j in range(n) if i != j]) if n > 1 else 0
        distance = distance / mean if mean > 0 else distance
    s = np.array([_softmin([distance[i, j] for j in range(n) if self_pairs or i != j], tau) for i in range(n)])
    h0 = ((s - s.mean()) ** 2).mean()  # Eq. 2
    values = np.array([distance[pair] for pair in pairs])
    low = np.exp(-alpha * (values - values.min()))  # Eq. 7; the shift cancels in the quotient
    high = np.exp(alpha * (values - values.max()))
    delta = (low * values).sum() / low.sum()  # Eq. 6
    zeta = (high * values).sum() / high.sum()
    repulsion = (np.maximum(0, delta - values) ** 2).mean()  # Eq. 3
    attraction = (np.maximum(0, values - zeta) ** 2).mean()  # Eq. 4
    loss = beta_h0 * h0 + beta_h1 * (repel * repulsion + attract * attraction)  # Eqs. 5, 8
    return {
        "h0": h0,
        "repel": repulsion,
        "attract": attraction,
        "delta": delta,
        "zeta": zeta,
        "soft": s,
        "loss": loss,
    }


def _softmin(distances, tau):
    d = np.array(distances)
    return d.min() - tau * np.log(np.exp(-(d - d.min()) / tau).sum())  # Eq. 1

"""A prompt that the picture shifts, whatever the question: conditional context optimisation (CoCoOp).

A small network of two layers looks at the picture as a whole and says one vector, which is added to each token of a
prompt: p(x) = P + W₂ relu(W₁ v̄), v̄ the mean of the picture's tokens, divided by its root mean square. The network is a
sixteenth as wide as a token, and begins with W₂ = 0, so with the prompt itself. Zhou et al., 2022 (arXiv:2203.05557).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tslib.vision.slots import SlotPrompt, even

__all__ = ["ConditionalPrompt"]

NARROWER = 16
"""How many times as narrow the network is as a token, as in the paper."""


class ConditionalPrompt(SlotPrompt):
    """A prompt, and the network that shifts it for a picture; the prompt itself is the cloud of a run."""

    down: Tensor
    up: Tensor

    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw the network, N(0, 1 / d) in its first layer and 0 in its second, each times its width."""
        width = self.weight.shape[1]
        narrow = max(1, width // NARROWER)
        return {
            "down": width**0.5 * torch.randn(narrow, width, generator=generator),
            "up": torch.zeros(width, narrow),
        }

    def fuse(self, pairs: Sequence[int]) -> Float[Tensor, "u m d"]:
        """Return the prompts of pairs, by their numbers: the same for all questions about a picture."""
        known = list(self.sight.pairs)
        numbers = [self.sight.numbers[known[number].picture] for number in pairs]
        seen = self.sight.pictures(torch.tensor(numbers, device=self.weight.device)).detach().mean(1)  # (u, d)
        hidden = (even(seen) @ self.down.T / self.down.shape[1]).relu()
        return self.weight + (hidden @ self.up.T / self.up.shape[1])[:, None]

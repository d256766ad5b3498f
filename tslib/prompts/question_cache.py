"""Keys and values of questions, computed once: with the prompt as a suffix they are the same in every step.

A causal model's states at a position depend on what stands before it alone. With ``placement="suffix"`` that is the
question, which is not trained, so each step runs the prompt and the target only, on top of the question's states.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from tslib.kernels.layout import States
from tslib.prompts.soft_prompt import states_of

__all__ = ["QuestionCache"]


class QuestionCache:
    """States of questions under a frozen model, as many as a bound on memory allows.

    One position takes 2 × layers × key-value heads × head size numbers. Where the questions of a run take more than the
    bound, those used longest ago are dropped, and computed again when they are wanted.

    Parameters
    ----------
    model
        A frozen causal model of transformers, whose cache is made of keys and values.
    limit
        Bytes kept at most; a question that takes more by itself is computed each time.
    """

    def __init__(self, model: Any, limit: float | int) -> None:
        self.model, self.limit = model, limit
        self.kept: OrderedDict[tuple[int, ...], States] = OrderedDict()
        self.bytes = 0

    def states(self, tokens: Sequence[int]) -> States:
        """Return the states of a question's tokens, kept or computed."""
        question = tuple(tokens)
        if question in self.kept:
            self.kept.move_to_end(question)
            return self.kept[question]
        states = states_of(self.model, question)
        size = _size(states)
        if size <= self.limit:
            self.kept[question] = states
            self.bytes += size
            while self.bytes > self.limit:
                _, dropped = self.kept.popitem(last=False)
                self.bytes -= _size(dropped)
        return states


def _size(states: States) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in states)

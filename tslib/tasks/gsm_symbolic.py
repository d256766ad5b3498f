"""GSM-Symbolic, made by reasoning-gym: word problems from templates, so that nothing has to be downloaded.

Mirzadeh et al., GSM-Symbolic, arXiv:2410.05229; the generator is reasoning-gym's ``gsm_symbolic``.
"""

import re
from functools import cache

from tslib.tasks.base import Example, Reading, made
from tslib.tasks.gsm8k import NumericTask, worked_target

__all__ = ["GSMSymbolic"]

SIZES = {"train": 1000, "test": 200}
# Row i is drawn with the seed plus i, so seeds that lie less than a split apart would share rows.
SEEDS = {"train": 0, "test": 1_000_000}

# Templates whose solution cuts off a fraction (0.53*80 = 42), so that their gold answer is not right.
TRUNCATING = frozenset({2, 3, 4, 49, 75, 99})
_FLOAT_NOISE = re.compile(r"\.\d{5}")  # "he watched 22.000000000000004 hours"


class GSMSymbolic(NumericTask):
    """GSM-Symbolic: 1000 training and 200 test rows, the same on every machine.

    The two splits come from different seeds and share no question, but they do share templates: the test
    split measures transfer to other numbers and names, not to other kinds of problem. Left out are templates
    whose gold answer is cut off to an integer, rows with a number that shows floating-point noise, and rows
    with a negative answer (no template means one: an age of -1).
    """

    name = "gsm-symbolic"
    title = "GSM-Symbolic (reasoning-gym)"
    licence = "Apache-2.0"
    source = "https://github.com/open-thought/reasoning-gym"

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        return made(_generate(split))


@cache
def _generate(split: str) -> tuple[Example, ...]:
    """Make a split: the first rows of reasoning-gym's series that are sound and whose question is new."""
    import reasoning_gym

    size = SIZES[split]
    source = reasoning_gym.create_dataset("gsm_symbolic", size=2 * size, seed=SEEDS[split])
    seen = {example.prompt for example in _generate("train")} if split == "test" else set()
    examples: list[Example] = []
    for index, template in enumerate(source.task_indices):
        if template in TRUNCATING:
            continue
        row = source[index]
        prompt, solution = row["question"].strip(), row["metadata"]["answer_cot"]
        answer = row["answer"].replace("$", "").replace(",", "")
        if answer.startswith("-") or prompt in seen or _FLOAT_NOISE.search(prompt + solution):
            continue
        seen.add(prompt)
        target = worked_target(solution, answer)
        examples.append(Example(f"gsm-symbolic/{split}/{index}", prompt, target, answer))
        if len(examples) == size:
            return tuple(examples)
    raise AssertionError(f"reasoning-gym made {len(examples)} usable rows of {2 * size}, {size} were wanted")

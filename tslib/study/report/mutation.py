"""What the book says of changes to the code that the tests were to notice."""

import json
from pathlib import Path

from tslib.records.record import COMMITTED

__all__ = ["MUTATION", "mutation"]

MUTATION = COMMITTED / "mutation.json"


def mutation(path: Path = MUTATION) -> str:
    """How many changes the tests noticed, by module, as a paragraph and a table of the book."""
    if not path.is_file():
        return "No outcome is committed yet, so none is given here."
    found = json.loads(path.read_text(encoding="utf-8"))
    modules = found["modules"]
    changes, survived = (sum(module[name] for module in modules.values()) for name in ("changes", "survived"))
    rows = [
        f"| `{name}` | {module['changes']} | {module['survived']} | {1 - module['survived'] / module['changes']:.0%} |"
        for name, module in modules.items()
    ]
    return (
        f"The committed outcome, `data/results/{path.name}`, by mutmut {found['environment']['mutmut']}: of {changes} "
        f"changes the tests noticed {changes - survived}, which is {1 - survived / changes:.1%}.\n\n"
        "| module | changes | not noticed | noticed |\n| --- | --: | --: | --: |\n" + "\n".join(rows)
    )

"""What makes a change cheap to try, for `make mutation`; `conftest` registers it while mutmut runs.

mutmut's fork server loads the tests once and forks for each change, so a test of milliseconds is what a change should
cost. Two things stood in its way: it runs a change's tests in no order, and pytest collects garbage at the end of a
session, which walks through all that torch brought along.
"""

import gc
import json
from functools import cache
from pathlib import Path

import pytest

STATISTICS = "mutmut-stats.json"
"""Where mutmut says, in its copy of the project, how long each test took without a change."""


@cache
def seconds(folder: Path) -> dict[str, float]:
    """Return how long each test takes; nothing where that is still to be found out."""
    path = folder / STATISTICS
    if not path.is_file():
        return {}
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["duration_by_test"]
    return found


class FastestFirst:
    """A plugin of pytest: fast tests go first, and what was there before a change is no garbage."""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Sort the tests; the first that fails ends them."""
        known = seconds(config.rootpath)
        items.sort(key=lambda item: known.get(item.nodeid, 0.0))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Leave what the server has loaded out of its children's garbage collection."""
        if session.config.option.collectonly:
            gc.collect()
            gc.freeze()

"""The tasks that are made: the same rows in every process, whatever its hash seed and release of reasoning-gym."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tslib.tasks import FAMILIES, load_task

WITH_CHOICES = ("bbh-symbolic", "multiple-choice")
SPLITS = {"aerial-scenes": ("validation",)}  # the others are made in the same way, and are large
MORE = {"needle-haystack": [("needle-haystack/4096", "test")]}
DIGESTS = {
    "gsm-symbolic": "ed92311c73ee0f4d19186d305b2d29d96118bb26a0f8f3a36e6895aa7f9e57ef",
    "math-symbolic": "fdf35790da9ea3a49275f7d3015c0daa9c4a1bb115e963c1be654d794b0a6ed2",
    "bbh-symbolic": "634dd0c41cc59aa2c7ca0a79cc6dbf53e6cc2c32788b775226059c9cb27abe7a",
    "multiple-choice": "2b72ff5875f71132de6a8e04d1d633171c82ce78fbf6be2804ea482eee3083dc",
    "two-hop": "dd3885b130bd1a8fe7fe07486863b5dd5f356b8b4ae8af03e7c6d22c2bcdb71d",
    "aerial-scenes": "6e5a07f08a6568569f676bff6c16f9f117835f1c7c0ec1ff718ddf198bb50a1c",
    "needle-haystack": "fc3df90762d0db8d7bd98037ce1b36aac3e5691de43f0057f3779dd700c2801d",
}


def digest(name: str) -> str:
    """SHA-256 of a task's rows."""
    rows = [
        (row.id, row.prompt, row.target, row.answer, *([row.choices] if name in WITH_CHOICES else []))
        for task, split in [*((name, split) for split in SPLITS.get(name, ("train", "test"))), *MORE.get(name, [])]
        for row in load_task(task, split)
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def test_every_task_that_is_made_is_here():
    assert set(DIGESTS) == {task.name for task in FAMILIES.values() if not task.layout}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The digests in a process with another hash seed, and without what was kept."""
    folder = str(Path(__file__).parent)
    code = (
        f"import json, sys; sys.path.insert(0, {folder!r}); from test_made import *; "
        "print(json.dumps({name: digest(name) for name in DIGESTS}))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1", "TSLIB_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("name", DIGESTS)
def test_the_same_in_every_process(name, elsewhere):
    # Records name these rows by their ids: a release of reasoning-gym that changes them must not pass unseen.
    assert (digest(name), elsewhere[name]) == (DIGESTS[name], DIGESTS[name])

"""The subcommands of ``python -m tslib``, each a function whose docstring is its help."""

from tslib.commands.registry import app as app
from tslib.commands.registry import names as names
from tslib.commands.registry import overview as overview

# in the order in which help lists them
from tslib.commands import runs as runs  # isort: skip
from tslib.commands import sweeps as sweeps  # isort: skip
from tslib.commands import prompts as prompts  # isort: skip
from tslib.commands import vision as vision  # isort: skip
from tslib.commands import pages as pages  # isort: skip

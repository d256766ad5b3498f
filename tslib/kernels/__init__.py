"""Arithmetic of a frozen model: linear layers, attention of rows in one sequence, the loss of target tokens.

Imports ``errors`` and ``models``.
"""

from tslib.errors import needs

needs("tune", "transformers", "pydantic")

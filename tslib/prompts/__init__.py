"""A soft prompt, and how it goes through a frozen model: layout, encoding, packing, decoding.

Imports ``errors``, ``tasks``, ``models``, ``config`` and ``kernels``. A new prompt method is a file here and a line in
`tslib.prompts.methods`.
"""

from tslib.errors import needs

needs("tune", "transformers", "pydantic")

from tslib.prompts.methods import METHODS, Method, Trained
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt

__all__ = ["METHODS", "Method", "SoftPrompt", "StatePrompt", "Trained"]

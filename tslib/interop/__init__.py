"""TSLoss and soft prompts in other libraries: PEFT adapters, Trainer and TRL.

Imports everything up to ``runs``. `tslib.interop.trainer` is not opened from here, since it imports transformers.
"""

from tslib.errors import needs

needs("tune", "peft")

from tslib.interop.adapters import load_adapter, push_adapter, save_adapter

__all__ = ["load_adapter", "push_adapter", "save_adapter"]

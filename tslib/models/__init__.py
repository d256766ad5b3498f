"""Named models: where their weights come from, fetching them, loading them frozen.

Imports ``errors``. A new model is a line in `tslib.models.registry`.
"""

from tslib.errors import needs

needs("tune", "transformers", "safetensors", "platformdirs")

from tslib.models.loading import MODELS, LoadedModel, ModelSpec, fetch, load_model, shared_model

__all__ = ["MODELS", "LoadedModel", "ModelSpec", "fetch", "load_model", "shared_model"]

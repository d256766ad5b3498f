"""Prompt methods by the names that a config gives them, and what goes with each."""

import dataclasses
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from typing import Any


@dataclasses.dataclass(frozen=True)
class Method:
    """A prompt method, and what a config may combine it with.

    Attributes
    ----------
    start
        Begins a run; `tslib.prompts.methods` fills it in for those below, which knows the encoders.
    among
        Whether its virtual tokens stand among the embedded ones, where they have a placement and a scale.
    inits
        The values of ``init`` that it can start from.
    cloud
        Whether there is a point cloud, for a regulariser.
    resume
        Puts a run's prompt to work again, of one that depends on the picture; None: it is a `SoftPrompt`.
    guided
        Those of `GUIDED` that it has.
    """

    start: Callable[[Any, Any, Any], Any] | None = None
    among: bool = True
    inits: tuple[str, ...] = ("gaussian", "embedding-gaussian", "vocabulary", "text", "superposition")
    cloud: bool = True
    resume: Callable[..., Any] | None = None
    guided: tuple[str, ...] = ()

    def conflict(self, config: Any) -> str | None:
        """Return what of a config does not go with this method, or None."""
        name = config.method
        for field in GUIDED:
            if field not in self.guided and getattr(config, field) != getattr(type(config), field):
                return f"{field} is of method=grasp; given {field}={getattr(config, field)} with method={name}"
        if self.resume and config.placement != "prefix":
            return f"method={name} stands beside the picture: placement is prefix, and prompt_place says on which side"
        if not self.among and config.placement != "prefix":
            return f"method={name} acts in every layer before all tokens: placement is prefix; given {config.placement}"
        for field in ("prompt_scale", "position_encoding"):
            if (self.resume or not self.among) and getattr(config, field) != "none":
                what = "what it fuses" if self.resume else "nothing"
                return f"method={name} puts {what} among the embedded tokens: {field} is none"
        itself = name == "prompt-tuning" and config.init != "superposition"  # trained is what enters the model
        what = f"method={name}" if name != "prompt-tuning" else f"init={config.init}"
        if config.prompt_dtype != "float32" and not itself:
            return f"{what} is trained in float32; given prompt_dtype={config.prompt_dtype}"
        if config.lr_unit != "one" and not itself:
            return f"{what} trains no embedded tokens: lr_unit is one; given {config.lr_unit}"
        if config.init not in self.inits:
            return f"method={name}: init is one of {', '.join(self.inits)}; given {config.init}"
        if not self.cloud and config.regularizer != "none":
            return f"method={name} has no virtual tokens to regularise: regularizer is none; given {config.regularizer}"
        return None


def _later(path: str) -> Callable[..., Any]:
    """Return a function of a module about pictures, of a room above, which is imported when it is called."""
    module, *names = path.split(".")

    def function(*given: Any) -> Any:
        found: Any = reduce(getattr, names, import_module(f"tslib.vision.{module}"))
        return found(*given)

    return function


GUIDED = ("blocks", "gate", "gate_width", "gate_keys", "gate_queries", "prompt_place", "regularized")
"""Fields of ``TuneConfig`` that a method with a bank and a gate has, and one that a picture shifts in part."""

METHODS: dict[str, Method] = {
    "prompt-tuning": Method(),
    "p-tuning": Method(inits=("gaussian",)),
    "prefix-tuning": Method(among=False, inits=("gaussian",)),
    "residual": Method(inits=("gaussian", "embedding-gaussian", "vocabulary", "text")),
    "p-tuning-v2": Method(among=False, inits=("gaussian", "vocabulary", "text")),
    "lora": Method(among=False, inits=("gaussian",), cloud=False),
    "grasp": Method(
        _later("grasp.start"),
        inits=("gaussian", "embedding-gaussian", "vocabulary"),
        resume=_later("grasp.GraspPrompt.resume"),
        guided=GUIDED,
    ),
    "cocoop": Method(
        _later("conditional.ConditionalPrompt.start"),
        inits=("gaussian", "embedding-gaussian", "vocabulary"),
        resume=_later("conditional.ConditionalPrompt.resume"),
        guided=("prompt_place", "regularized"),
    ),
}
"""Prompt methods by the name that a config gives them, and what goes with each; `tslib.prompts.methods` starts them. To
add one, give its name a `Method` with a ``start``."""

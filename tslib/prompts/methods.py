"""Prompt methods by the name that a config gives them: what is trained, and what of it enters the model.

Whatever the method, the loop sees one thing: the soft prompt that enters the model, whose rows are the point cloud of
TSLoss and of the topology. What is trained is the prompt itself, or an encoder that it comes out of:

=================  ==================================  =================================  =========================
method             trained                             enters the model                   clouds
=================  ==================================  =================================  =========================
``prompt-tuning``  the prompt                          among the embedded tokens          one, (n, d)
``residual``       the prompt, and an MLP whose        among the embedded tokens          one, (n, d)
                   output is added to it
``p-tuning``       PEFT's ``PromptEncoder`` (an MLP)   among the embedded tokens          one, (n, d)
``prefix-tuning``  PEFT's ``PrefixEncoder`` (an MLP)   as keys and values of each layer   one a layer, (layers, n, w)
``p-tuning-v2``    the keys and values                 as keys and values of each layer   one a layer, (layers, n, w)
``lora``           rank 8 beside PEFT's choice of      nothing                            none
                   layers (all linear ones but the
                   output where it has none), α = 16;
                   a reference line
=================  ==================================  =================================  =========================

In a layer, the point of a virtual token is its key followed by its value, all heads: w = 2 · heads · head size.

References: Lester et al. 2021 (arXiv:2104.08691), Razdaibiedina et al. 2023 (arXiv:2305.03937), Liu et al. 2021
(arXiv:2103.10385), Li & Liang 2021 (arXiv:2101.00190), Liu et al. 2022 (arXiv:2110.07602), Hu et al. 2022
(arXiv:2106.09685).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tslib.config import METHODS, Method, TuneConfig
from tslib.errors import InputError
from tslib.prompts.forward import check_states
from tslib.prompts.initial import TOKENS, superposition
from tslib.prompts.soft_prompt import SoftPrompt, StateShape, states_of

__all__ = ["METHODS", "Method", "Trained", "start"]


class Trained:
    """A soft prompt, and what is trained for it.

    Parameters
    ----------
    prompt
        What enters the model.
    parameters
        What is trained, by name: the prompt itself, the encoder that it comes out of, or parameters in the model.
    encoder
        Called without arguments gives the prompt's values; None where there is none.
    close
        Takes what was put into the model out again.
    """

    def __init__(
        self,
        prompt: SoftPrompt,
        parameters: Iterable[tuple[str, nn.Parameter]],
        encoder: Callable[[], Float[Tensor, "*layers n d"]] | None = None,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.prompt, self.parameters, self.encoder, self.close = prompt, dict(parameters), encoder, close
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Let the prompt be what the encoder says."""
        if self.encoder is not None:
            self.prompt.weight.copy_(self.encoder())

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in (*self.parameters.values(), self.prompt.weight):
            parameter.grad = None

    def pull_back(self) -> None:
        """Carry the gradient of the prompt on to the parameters of its encoder."""
        if self.encoder is not None:
            self.encoder().backward(self.prompt.weight.grad)

    def gradient(self) -> Float[Tensor, "*layers n d"]:
        """Gradient of the prompt's values (whatever they come out of), or of the parameters in the model in one row."""
        if len(self.prompt.weight):
            assert self.prompt.weight.grad is not None
            return self.prompt.weight.grad
        return torch.cat([p.grad.flatten() for p in self.parameters.values() if p.grad is not None])[None]


def start(config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
    """Begin to train as a config says; the same seed begins alike on every device.

    Parameters
    ----------
    config
        The run.
    model, tokenizer
        Of transformers; the model is frozen.
    """
    begin = METHODS[config.method].start
    if begin is None:
        raise InputError(f"the method {config.method!r} has a name and no start: give METHODS[{config.method!r}] one")
    trained: Trained = begin(config, model, tokenizer)
    return trained


def _prompt_tuning(config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
    prompt = SoftPrompt.from_config(config, model, tokenizer)
    if config.init == "superposition":
        weights, tokens = superposition(config, model.get_input_embeddings(), tokenizer)
        mixed = nn.Parameter(weights)
        return Trained(prompt, [("weights", mixed)], lambda: mixed @ tokens)
    if config.prompt_dtype == "float32":
        return Trained(prompt, prompt.named_parameters())
    kept = nn.Parameter(prompt.weight.detach().to(getattr(torch, config.prompt_dtype)))
    return Trained(prompt, [("weight", kept)], kept.float)


BOTTLENECK = 128


def _residual(config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
    """Start with the prompt itself: the last layer of the network begins at 0."""
    prompt = SoftPrompt.from_config(config, model, tokenizer)
    width, kept = prompt.weight.shape[1], nn.Parameter(prompt.weight.detach().clone())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        down, up = nn.Linear(width, BOTTLENECK), nn.Linear(BOTTLENECK, width)
    for parameter in up.parameters():
        nn.init.zeros_(parameter)
    network = nn.Sequential(down, nn.ReLU(), up).to(kept.device)
    return Trained(prompt, [("prompt", kept), *network.named_parameters()], lambda: kept + network(kept))


def _p_tuning_v2(config: TuneConfig, model: Any, tokenizer: Any) -> Trained:
    """Start with N(0, 0.02² I), or with the keys and values that real tokens have (Li & Liang, § 7.4)."""
    shape = _shape(model)
    if config.init == "gaussian":
        generator = torch.Generator().manual_seed(config.seed)  # on the CPU: the same numbers on every device
        values = 0.02 * torch.randn(shape.layers, config.n_tokens, shape.points, generator=generator)
    else:
        values = shape.clouds(states_of(model, TOKENS[config.init](config, tokenizer).tolist()))
    prompt = SoftPrompt.resume(config, model, values)
    return Trained(prompt, prompt.named_parameters())


def _shape(model: Any) -> StateShape:
    """Return the shape of a model's keys and values, if a prefix in every layer can be had by them.

    Raises
    ------
    InputError
        If it cannot.
    """
    shape = StateShape.of(model)
    check_states(model)
    return shape


def _p_tuning(config: TuneConfig, model: Any, _tokenizer: Any) -> Trained:
    from peft import PromptEncoder, PromptEncoderConfig

    width = model.get_input_embeddings().weight.shape[1]
    settings = PromptEncoderConfig(
        num_virtual_tokens=config.n_tokens,
        token_dim=width,
        num_transformer_submodules=1,
        encoder_hidden_size=width,
        encoder_reparameterization_type="MLP",
    )
    return _encoded(config, model, lambda: PromptEncoder(settings), lambda values: values)


def _prefix_tuning(config: TuneConfig, model: Any, _tokenizer: Any) -> Trained:
    from peft import PrefixEncoder, PrefixTuningConfig

    shape = _shape(model)
    width = shape.points // 2
    sizes: dict[str, Any] = {"num_virtual_tokens": config.n_tokens, "token_dim": width, "encoder_hidden_size": width}
    sizes |= {"num_layers": shape.layers, "num_attention_heads": shape.heads}
    settings = PrefixTuningConfig(**sizes, prefix_projection=True)
    return _encoded(config, model, lambda: PrefixEncoder(settings), shape.from_flat)


def _encoded(
    config: TuneConfig, model: Any, make: Callable[[], nn.Module], arrange: Callable[[Tensor], Tensor]
) -> Trained:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # PEFT draws from the global generator; on the CPU, for every device
        encoder = make()
    device = model.get_input_embeddings().weight.device
    encoder.to(device)
    indices = torch.arange(config.n_tokens, device=device)

    def values() -> Tensor:
        return arrange(encoder(indices))

    prompt = SoftPrompt.resume(config, model, values().detach())
    return Trained(prompt, encoder.named_parameters(), values)


def _lora(config: TuneConfig, model: Any, _tokenizer: Any) -> Trained:
    from peft import LoraConfig, LoraModel, TaskType

    layers = None if model.config.model_type in LoraModel.target_module_mapping else "all-linear"  # None: PEFT's choice
    settings = LoraConfig(task_type=TaskType.CAUSAL_LM, r=8, lora_alpha=16, target_modules=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            inside = LoraModel(model, settings, "default")
        except ValueError as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(
                f"{type(model).__name__} has no layers that LoRA goes beside ({said}): give another method"
            ) from error
    nothing = SoftPrompt(torch.zeros(0, model.get_input_embeddings().weight.shape[1]))
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return Trained(nothing.to(model.get_input_embeddings().weight.device), trained, close=inside.unload)


_STARTS: dict[str, Callable[[TuneConfig, Any, Any], Trained]] = {
    "prompt-tuning": _prompt_tuning,
    "residual": _residual,
    "p-tuning": _p_tuning,
    "prefix-tuning": _prefix_tuning,
    "p-tuning-v2": _p_tuning_v2,
    "lora": _lora,
}
METHODS.update({name: replace(METHODS[name], start=begin) for name, begin in _STARTS.items()})

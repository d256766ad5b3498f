"""Adapters that are written here, loaded by PEFT, for architectures whose configs name the same sizes differently."""

import dataclasses
import shutil

import pytest
import torch
import transformers as t
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model

from tslib.config import TuneConfig
from tslib.interop.adapters import load_adapter, save_adapter
from tslib.models import loading as models
from tslib.prompts.encoding import Encoded
from tslib.prompts.soft_prompt import SoftPrompt, StateShape, model_inputs
from tslib.tuning.loop import tune

pytestmark = [  # PEFT says these of its own calls, transformers of the sizes of tiny models
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Position ids are not supported for parameter efficient:UserWarning"),
]
TOKENS = {"vocab_size": 60, "bos_token_id": 1, "eos_token_id": 2}
OLD = TOKENS | {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64}
PLAIN = TOKENS | {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
PLAIN |= {"intermediate_size": 32, "pad_token_id": 0}
SHARED = PLAIN | {"num_key_value_heads": 2}
FAMILIES = {
    "bloom": lambda: t.BloomConfig(**TOKENS, hidden_size=16, n_layer=2, n_head=4),
    "cohere": lambda: t.CohereConfig(**SHARED),
    "falcon": lambda: t.FalconConfig(**TOKENS, hidden_size=16, num_hidden_layers=2, num_attention_heads=4),
    "gemma2": lambda: t.Gemma2Config(**SHARED, head_dim=8),
    "gpt2": lambda: t.GPT2Config(**OLD),
    "gpt_bigcode": lambda: t.GPTBigCodeConfig(**OLD),
    "gpt_neox": lambda: t.GPTNeoXConfig(**PLAIN),
    "gptj": lambda: t.GPTJConfig(**OLD, rotary_dim=4),
    "mamba": lambda: t.MambaConfig(**TOKENS, hidden_size=16, num_hidden_layers=2, state_size=4),
    "mistral": lambda: t.MistralConfig(**SHARED),
    "mpt": lambda: t.MptConfig(**TOKENS, d_model=16, n_layers=2, n_heads=4, max_seq_len=64),
    "opt": lambda: t.OPTConfig(
        **{name: value for name, value in PLAIN.items() if name != "intermediate_size"},
        ffn_dim=32,
        word_embed_proj_dim=8,  # as OPT-350m has it: tokens are embedded in fewer dimensions than the layers have
    ),
    "phi3": lambda: t.Phi3Config(**SHARED),
    "qwen3": lambda: t.Qwen3Config(**SHARED, head_dim=8),
    "starcoder2": lambda: t.Starcoder2Config(**SHARED),
    "xglm": lambda: t.XGLMConfig(
        **TOKENS, d_model=16, num_layers=2, attention_heads=4, ffn_dim=32, max_position_embeddings=64
    ),
}
UNLIKE = {"falcon", "mamba", "mpt", "opt", "xglm"}
"""PEFT finds no sizes of their own for these, or (Falcon, OPT) others than the model has."""


@pytest.fixture
def saved(request, tiny_folder, tmp_path):
    """The folder of a model of a family, with wide random weights so that a prompt tells."""
    torch.manual_seed(0)
    model = t.AutoModelForCausalLM.from_config(FAMILIES[request.param]())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    model.save_pretrained(tmp_path / "model")
    for path in tiny_folder.glob("*token*"):
        shutil.copy(path, tmp_path / "model")
    return request.param, str(tmp_path / "model")


@pytest.mark.parametrize("saved", FAMILIES, indirect=True)
def test_peft_loads_what_is_saved_and_gives_the_same_logits(saved, tiny_model, tmp_path):
    family, name = saved
    record = tune(TuneConfig(model=tiny_model, n_tokens=2, max_steps=1, answer_every=0, device="cpu"), progress=False)
    for method in ("prompt-tuning", "p-tuning-v2")[: 1 if family == "mamba" else 2]:
        model, _ = models.load_model(name, device="cpu")
        config = TuneConfig(model=name, method=method, n_tokens=5, device="cpu")
        if method == "prompt-tuning":
            values = torch.randn(5, model.get_input_embeddings().weight.shape[1])
        else:
            shape = StateShape.of(model)
            values = torch.randn(shape.layers, 5, shape.points)
        prompt = SoftPrompt.resume(config, model, values)
        ids = torch.tensor([[11, 45, 7]])
        with torch.no_grad():
            ours = model(**model_inputs([Encoded(ids[0].tolist(), [])], prompt, model)[1]).logits[0, -3:]
            assert (ours - model(input_ids=ids).logits[0]).abs().max() > 1e-2, "the prompt tells"
        save_adapter(dataclasses.replace(record, config=config, prompts={3: values}), tmp_path / method)
        loaded = PeftModel.from_pretrained(model, str(tmp_path / method)).eval()
        with torch.no_grad():
            theirs = loaded(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -3:]
        torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)
        assert torch.equal(load_adapter(tmp_path / method).values, values)
        if family not in UNLIKE:
            kind = PromptTuningConfig if method == "prompt-tuning" else PrefixTuningConfig
            fresh, _ = models.load_model(name, device="cpu")
            own = get_peft_model(fresh, kind(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=5)).peft_config["default"]
            sizes = ("token_dim", "num_layers", "num_attention_heads")
            assert [getattr(loaded.active_peft_config, size) for size in sizes] == [
                getattr(own, size) for size in sizes
            ]

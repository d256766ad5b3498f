"""A folder that is no whole causal language model is refused in one line, which names what is wrong with it."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    MambaConfig,
    MambaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tslib.__main__ import main
from tslib.errors import ResourceError
from tslib.models.loading import load_model

LLAMA = {
    "vocab_size": 600,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """Save a model beside the tokenizer of the small one."""

    def save(model):
        shutil.copytree(tiny_folder, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
        model.save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return save


def test_a_model_without_its_head(folder):
    path = folder(LlamaModel(LlamaConfig(**LLAMA)))
    with pytest.raises(ResourceError, match=r"^the checkpoint of .* it lacks lm_head\.weight; give one"):
        load_model(str(path), device="cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda kept: kept.pop("model.norm.weight"), r"it lacks model\.norm\.weight;"),
        (lambda kept: [kept.pop(name) for name in list(kept)[:5]], "it lacks .*, .*, .* and 2 more;"),
        (lambda kept: kept.update(extra=torch.zeros(2)), "that model has no place for extra;"),
        (lambda kept: kept.update({"model.norm.weight": torch.zeros(17)}), "could not be loaded from .*size"),
    ],
    ids=["one is missing", "five are missing", "one too many", "another shape"],
)
def test_weights_that_are_not_those_of_the_model(folder, change, said):
    path = folder(LlamaForCausalLM(LlamaConfig(**LLAMA))) / "model.safetensors"
    kept = load_file(path)
    change(kept)
    save_file(kept, path, {"format": "pt"})
    with pytest.raises(ResourceError, match=said):
        load_model(str(path.parent), device="cpu")


def test_tied_weights_are_not_missing(folder):
    path = folder(LlamaForCausalLM(LlamaConfig(**LLAMA, tie_word_embeddings=True)))
    model, _ = load_model(str(path), device="cpu")
    assert model.lm_head.weight is model.model.embed_tokens.weight


def refused(capsys, path, *more):
    """The one line that a command says."""
    command = [
        "tune",
        "--model",
        str(path),
        "--store",
        str(path.parent / "runs"),
        "--device",
        "cpu",
        "--max-steps",
        "2",
    ]
    assert main([*command, *more]) == 1
    out, err = capsys.readouterr()
    assert (out, "Traceback" in err) == ("", False)
    return err.strip().splitlines()[-1]


def test_an_encoder_with_a_decoder(folder, capsys):
    path = folder(T5ForConditionalGeneration(T5Config(vocab_size=600, d_model=16, d_ff=16, num_layers=1, num_heads=2)))
    assert "is a t5, of which transformers has no causal language model" in refused(capsys, path)


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_sees_later_tokens(folder, capsys):
    path = folder(BertForMaskedLM(BertConfig(**LLAMA)))
    assert "BertLMHeadModel is no causal language model: its state at a token changes" in refused(capsys, path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["prefix-tuning", "p-tuning-v2"])
def test_a_prefix_in_every_layer_of_a_model_without_keys(folder, capsys, method):
    path = folder(MambaForCausalLM(MambaConfig(vocab_size=49_152, hidden_size=16, state_size=4, num_hidden_layers=1)))
    said = refused(capsys, path, "--method", method)
    assert "MambaForCausalLM does not keep keys and values of each token in each layer" in said

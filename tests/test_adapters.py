"""PEFT's adapters, out and in, against PEFT itself."""

import dataclasses
import json

import pytest
import torch
from huggingface_hub import ModelCard
from peft import LoraConfig, PeftModel, PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import save_file

from tslib import models
from tslib.__main__ import main
from tslib.adapters import load_adapter, save_adapter
from tslib.config import TuneConfig
from tslib.decoding import generate
from tslib.encoding import Encoded
from tslib.errors import InputError, ResourceError
from tslib.prompts import SoftPrompt, lay_out
from tslib.records import RunStore
from tslib.topology import persistence_diagrams
from tslib.tuning import tune

pytestmark = [  # PEFT says these of its own calls
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Position ids are not supported for parameter efficient:UserWarning"),
]
QUESTIONS = [[11, 450, 7, 23, 90], [300, 12, 45]]


@pytest.fixture(params=["smollm2-135m", "gemma3-270m"])
def real(request):
    """A copy of an embedded model, since PEFT would keep hold of the shared one."""
    if request.param != "smollm2-135m":
        request.getfixturevalue("gemma3_270m")
    return request.param, models.load_model(request.param, device="cpu", dtype="float32")


@pytest.mark.parametrize("scale", ["none", "sqrt_d"])
def test_peft_computes_the_same(real, scale, two_steps, tmp_path):
    name, (model, tokenizer) = real
    width = model.get_input_embeddings().weight.shape[1]
    config = TuneConfig(model=name, n_tokens=5, prompt_scale=scale, device="cpu")
    values = 0.02 * torch.randn(5, width, generator=torch.Generator().manual_seed(3))
    record = dataclasses.replace(two_steps, config=config, prompts={0: torch.zeros(5, width), 7: values})
    prompt = SoftPrompt.resume(config, model, values)
    rows = [Encoded(question, []) for question in QUESTIONS]
    with torch.no_grad():
        ours = [model(inputs_embeds=lay_out([row], prompt, model)[1]).logits[0] for row in rows]
    replies = [generate(model, tokenizer, prompt, [row], max_new_tokens=6)[0] for row in rows]

    save_adapter(record, tmp_path / "adapter")
    tuned = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).eval()
    for row, question in enumerate(QUESTIONS):
        ids = torch.tensor([question])
        with torch.no_grad():
            theirs = tuned(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            reply = tuned.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False
            )
        torch.testing.assert_close(theirs[0], ours[row], rtol=1e-5, atol=1e-5)
        assert reply[0, len(question) :].tolist() == replies[row][: reply.shape[1] - len(question)]

    again = load_adapter(tmp_path / "adapter")
    assert again.base_model == name
    assert torch.equal(again.values, values * (width**0.5 if scale == "sqrt_d" else 1))
    again.check(model)
    with pytest.raises(InputError, match=rf"virtual tokens of 3 dimensions.*{width}"):
        dataclasses.replace(again, values=torch.zeros(2, 3)).check(model)


def test_an_adapter_that_peft_made(real, tmp_path, capsys):
    _, (model, _) = real
    tuned = get_peft_model(model, PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=8))
    tuned.save_pretrained(str(tmp_path), save_embedding_layers=False)
    values = tuned.prompt_encoder["default"].embedding.weight.detach()
    assert torch.equal(load_adapter(tmp_path).values, values)
    assert main(["topology", str(tmp_path), "--figure", str(tmp_path / "diagram.png")]) == 0
    said = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:-1])
    deaths = persistence_diagrams(values.numpy())[0][:-1, 1]
    assert float(said["h0_mean_lifespan"]) == pytest.approx(deaths.mean(), rel=1e-5)
    assert said["h0_count"] == "8"
    assert (tmp_path / "diagram.png").stat().st_size > 1000


def test_command_line_out_and_in(tiny_model, own_cache, tmp_path, capsys):
    store = RunStore(tmp_path / "runs")
    config = TuneConfig(model=tiny_model, n_tokens=4, max_steps=2, topology_every=1, answer_every=0, device="cpu")
    record = store.run(config, progress=False)
    assert main(["adapter", str(store.path(config)), str(tmp_path / "out"), "--step", "1"]) == 0
    assert torch.equal(load_adapter(tmp_path / "out").values, record.prompts[1])
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.library_name == "peft"
    assert "| max_steps | 2 |" in card.text
    capsys.readouterr()
    assert main(["topology", str(store.path(config)), "--metric", "cosine"]) == 0
    assert "4 virtual tokens in 16 dimensions, cosine distance" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"no prompt of step 9; it has \[0, 1, 2\]"):
        save_adapter(record, tmp_path / "no", step=9)
    with pytest.raises(ResourceError, match="not in this machine's cache"):
        save_adapter(dataclasses.replace(record, prompts={}), tmp_path / "no")
    suffix = tune(dataclasses.replace(config, placement="suffix"), progress=False)
    with pytest.raises(InputError, match="is a suffix"):
        save_adapter(suffix, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def good(folder):
    config = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2, "token_dim": 3, "base_model_name_or_path": "m"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file({"prompt_embeddings": torch.arange(6.0).view(2, 3)}, folder / "adapter_model.safetensors")
    return config


def test_what_is_no_adapter_is_named(tmp_path):
    said = good(tmp_path)
    assert load_adapter(tmp_path).values.tolist() == [[0, 1, 2], [3, 4, 5]]
    weights, config = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    forged = [
        ({"num_virtual_tokens": 3}, r"says shape \(3, 3\), .* has \(2, 3\)"),
        ({"peft_type": 5}, "are texts"),
        ({"base_model_name_or_path": ["m"]}, "are texts"),
    ]
    for change, message in forged:
        config.write_text(json.dumps(said | change))
        with pytest.raises(ResourceError, match=message):
            load_adapter(tmp_path)
    for text in ("", "[]", "{}", "null", '"x"'):
        config.write_text(text)
        with pytest.raises(ResourceError, match="is not a PEFT adapter"):
            load_adapter(tmp_path)
    good(tmp_path)
    weights.write_bytes(b"\xff" * 7 + b"\x7f" + b"{}")  # a header of 2^63 bytes
    with pytest.raises(ResourceError, match=r"adapter_model\.safetensors"):
        load_adapter(tmp_path)
    save_file({"prompt_embeddings": torch.zeros(6)}, weights)
    with pytest.raises(ResourceError, match=r"shape \(6,\)"):
        load_adapter(tmp_path)
    weights.rename(tmp_path / "adapter_model.bin")
    with pytest.raises(ResourceError, match="pickled weights"):
        load_adapter(tmp_path)
    with pytest.raises(ResourceError, match="neither a folder here nor an adapter on the hub"):
        load_adapter(tmp_path / "nowhere" / "at" / "all")


def test_a_lora_adapter_is_refused(tiny_model, tmp_path):
    model, _ = models.load_model(tiny_model, device="cpu", dtype="float32")
    tuned = get_peft_model(model, LoraConfig(task_type=TaskType.CAUSAL_LM, target_modules=["q_proj"]))
    tuned.save_pretrained(str(tmp_path))
    with pytest.raises(InputError, match="of kind LORA"):
        load_adapter(tmp_path)

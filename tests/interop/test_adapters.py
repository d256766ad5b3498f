"""PEFT's adapters, out and in, against PEFT itself."""

import dataclasses
import json
import shutil
from functools import partial

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import LocalEntryNotFoundError
from peft import (
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from safetensors.torch import save_file

from tslib.__main__ import main
from tslib.config import TuneConfig
from tslib.errors import InputError, ResourceError
from tslib.interop.adapters import Adapter, load_adapter, push_adapter, save_adapter
from tslib.models import loading as models
from tslib.prompts import probe
from tslib.prompts.decoding import generate
from tslib.prompts.encoding import Encoded, stop_ids, until
from tslib.prompts.forward import forward
from tslib.prompts.soft_prompt import SoftPrompt, StateShape, model_inputs
from tslib.runs.store import RunStore
from tslib.topology.diagrams import persistence_diagrams
from tslib.tuning.loop import tune

pytestmark = [  # PEFT says these of its own calls
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Position ids are not supported for parameter efficient:UserWarning"),
]
LAYERED = ("prefix-tuning", "p-tuning-v2")
QUESTIONS = [[11, 450, 7, 23, 90], [300, 12, 45]]


@pytest.fixture(scope="module", params=["smollm2-135m", "gemma3-270m"])
def real(request):
    """A copy of an embedded model, since PEFT would keep hold of the shared one."""
    if request.param != "smollm2-135m":
        request.getfixturevalue("gemma3_270m")
    loaded = models.load_model(request.param, device="cpu", dtype="float32")
    probe.remember(loaded.model, request.param)
    return request.param, loaded


def with_prompt(name, record, model, method, scale, encoding="none"):
    """A run's record with a prompt of its method, and that prompt at work."""
    entering = {"prompt_scale": scale, "position_encoding": encoding}
    config = TuneConfig(model=name, method=method, n_tokens=5, device="cpu", **entering)
    shape = StateShape.of(model)
    size = (shape.layers, 5, shape.points) if method in LAYERED else (5, shape.width)
    values = (0.2 if method in LAYERED else 0.02) * torch.randn(*size, generator=torch.Generator().manual_seed(3))
    record = dataclasses.replace(record, config=config, prompts={0: torch.zeros(*size), 7: values})
    return record, SoftPrompt.resume(config, model, values)


@pytest.mark.parametrize(
    ("method", "scale", "encoding"),
    [
        *(("prompt-tuning", "none", "none"), ("prompt-tuning", "sqrt_d", "none"), ("p-tuning", "none", "none")),
        *(
            ("prompt-tuning", "sqrt_d", "sinusoidal"),
            ("prefix-tuning", "none", "none"),
            ("p-tuning-v2", "none", "none"),
        ),
    ],
)
def test_peft_computes_the_same(real, method, scale, encoding, two_steps, tmp_path):
    """Logits to 1e-5 in float32, and the same replies, from what is saved; what is read again is the same."""
    name, (model, tokenizer) = real
    record, prompt = with_prompt(name, two_steps, model, method, scale, encoding)
    rows = [Encoded(question, []) for question in QUESTIONS]
    with torch.no_grad():
        ours = [model(**model_inputs([row], prompt, model)[1]).logits[0] for row in rows]
    replies = [generate(model, tokenizer, prompt, [row], max_new_tokens=4)[0] for row in rows]

    save_adapter(record, tmp_path / "adapter")
    tuned = PeftModel.from_pretrained(model, str(tmp_path / "adapter")).eval()
    for row, question in enumerate(QUESTIONS):
        ids = torch.tensor([question])
        mask = torch.ones_like(ids)
        with torch.no_grad():
            theirs = tuned(input_ids=ids, attention_mask=mask).logits
            reply = tuned.generate(input_ids=ids, attention_mask=mask, max_new_tokens=4, do_sample=False)
        torch.testing.assert_close(theirs[0], ours[row], rtol=1e-5, atol=1e-5)
        ends = stop_ids(tokenizer, model.generation_config)
        assert until(reply[0, len(question) :].tolist(), ends) == replies[row]

    again = load_adapter(tmp_path / "adapter")
    assert again.base_model == name
    values = record.prompts[7]
    scaled = values * (values.shape[-1] ** 0.5 if scale == "sqrt_d" else 1)
    assert torch.equal(again.values, scaled if prompt.encoding is None else scaled + prompt.encoding)
    again.check(model)


def test_an_adapter_of_another_model_is_refused(real):
    _, (model, _) = real
    width = model.get_input_embeddings().weight.shape[1]
    with pytest.raises(InputError, match=rf"virtual tokens of 3 dimensions, for the model 'm'; .* in {width}"):
        Adapter(torch.zeros(2, 3), "m").check(model)
    with pytest.raises(InputError, match=r"shape \(2, 3, 4\) is for another model: this one has \d+ layers"):
        Adapter(torch.zeros(2, 3, 4), "m").check(model)


PEFT_CONFIGS = {
    "prompt-tuning": PromptTuningConfig,
    "p-tuning": PromptEncoderConfig,
    "prefix-tuning": partial(PrefixTuningConfig, prefix_projection=True),
    "p-tuning-v2": PrefixTuningConfig,
}


@pytest.mark.parametrize("method", PEFT_CONFIGS)
def test_an_adapter_that_peft_made_goes_on_here(real, method, tmp_path):
    """Loaded for analysis and put into our forward pass, it gives PEFT's own loss."""
    _, (model, _) = real
    made = PEFT_CONFIGS[method](task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4)
    tuned = get_peft_model(model, made).eval()
    tuned.save_pretrained(str(tmp_path), save_embedding_layers=False)
    values = load_adapter(tmp_path).values
    assert values.shape[-2] == 4
    ids, labels = torch.tensor([[11, 450, 7, 41, 8]]), torch.tensor([[-100, -100, -100, 41, 8]])
    with torch.no_grad():
        theirs = tuned(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
    prompt = SoftPrompt.resume(TuneConfig(method=method, n_tokens=4), model, values)
    loss = forward(model, prompt, [Encoded([11, 450, 7], [41, 8])], grad=False).loss
    torch.testing.assert_close(loss, theirs, rtol=2e-5, atol=1e-5)


def test_the_topology_of_an_adapter_that_peft_made(real, tmp_path, capsys):
    _, (model, _) = real
    tuned = get_peft_model(model, PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=8))
    tuned.save_pretrained(str(tmp_path), save_embedding_layers=False)
    values = tuned.prompt_encoder["default"].embedding.weight.detach()
    assert torch.equal(load_adapter(tmp_path).values, values)
    assert main(["topology", str(tmp_path), "--figure", str(tmp_path / "diagram.png")]) == 0
    out = capsys.readouterr().out
    said = dict(line.split()[:2] for line in out.splitlines()[1:-1])
    deaths = persistence_diagrams(values.numpy())[0][:-1, 1]
    longest = ", ".join(f"[0, {death:.4g})" for death in sorted(deaths, reverse=True))
    assert f"H0: [0, inf), {longest}\n" in out
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
        ({"num_virtual_tokens": 3}, r"says shape \(3, 3\), prompt_embeddings has \(2, 3\)"),
        ({"peft_type": "PREFIX_TUNING", "num_layers": 2}, r"says shape \(2, 12\), .* has \(2, 3\)"),
        ({"peft_type": "PREFIX_TUNING", "num_layers": None}, "TypeError"),
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
    with pytest.raises(ResourceError, match=r"shape \(2, 3\), prompt_embeddings has \(6,\)"):
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
    with pytest.raises(InputError, match="cannot be read: it is of kind LORA"):
        load_adapter(tmp_path)


def test_the_topology_of_layers(tiny_model, own_cache, tmp_path, capsys):
    store = RunStore(tmp_path / "runs")
    fields = {"n_tokens": 4, "max_steps": 2, "answer_every": 0, "device": "cpu"}
    config = TuneConfig(model=tiny_model, method="p-tuning-v2", **fields)
    record = store.run(config, progress=False)
    assert main(["adapter", str(store.path(config)), str(tmp_path / "out")]) == 0
    assert torch.equal(load_adapter(tmp_path / "out").values, record.prompts[2])
    capsys.readouterr()
    assert main(["topology", str(tmp_path / "out"), "--figure", str(tmp_path / "layers.png")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("4 virtual tokens in 16 dimensions, euclidean distance, in each of 2 layers\n")
    mean = sum(persistence_diagrams(points)[0][:-1, 1].mean() for points in record.prompts[2].numpy()) / 2
    assert f"h0_mean_lifespan     {mean:.6g}\n" in out
    assert (tmp_path / "layers.png").stat().st_size > 1000
    nothing = tune(TuneConfig(model=tiny_model, method="lora", **fields), progress=False)
    with pytest.raises(InputError, match="no soft prompt to save: it is the reference line with LoRA"):
        save_adapter(nothing, tmp_path / "no")


class Hub:
    """What is asked of the hub, which cannot be reached here: a folder in its place."""

    endpoint = "https://hub.example"

    def __init__(self, root):
        self.root, self.made = root, {}

    def create_repo(self, name, *, private, exist_ok):
        assert exist_ok
        self.made[name] = private
        (self.root / name).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id, folder_path, allow_patterns):
        for pattern in allow_patterns:
            shutil.copy(folder_path / pattern, self.root / repo_id / pattern)

    def download(self, name, *, allow_patterns):
        if name not in self.made:
            raise LocalEntryNotFoundError("no network")
        assert "adapter_model.safetensors" in allow_patterns
        return str(self.root / name)


def test_to_the_hub_and_back(tiny_model, own_cache, tmp_path, monkeypatch, capsys):
    """The adapter that is uploaded is the one that comes back; nothing else of its folder goes up."""
    store = RunStore(tmp_path / "runs")
    config = TuneConfig(model=tiny_model, n_tokens=4, max_steps=2, answer_every=0, device="cpu")
    record = store.run(config, progress=False)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "secret.txt").write_text("mine")
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.download)
    assert main(["adapter", str(store.path(config)), str(folder), "--push", "someone/prompt"]) == 0
    assert capsys.readouterr().out.endswith("https://hub.example/someone/prompt\n")
    assert hub.made == {"someone/prompt": True}
    assert not (tmp_path / "hub" / "someone" / "prompt" / "secret.txt").exists()
    assert torch.equal(load_adapter("someone/prompt").values, record.prompts[2])
    assert main(["topology", "someone/prompt"]) == 0
    with pytest.raises(ResourceError, match="neither a folder here nor an adapter on the hub"):
        load_adapter("someone/else")


def test_what_the_hub_refuses_is_told_in_one_line(tmp_path, monkeypatch):
    """The real client: a name that is none, and an address where nobody answers."""
    good(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    with pytest.raises(ResourceError, match=r"could not be uploaded as 'a/b/c' \(HFValidationError"):
        push_adapter(tmp_path, "a/b/c")
    with pytest.raises(ResourceError, match="neither a folder here nor an adapter"):
        push_adapter(tmp_path / "nothing", "someone/prompt")
    nowhere = partial(huggingface_hub.HfApi, endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub, "HfApi", nowhere)
    with pytest.raises(ResourceError, match=r"could not be uploaded as 'someone/prompt' \(\w+: .*\): check the name"):
        push_adapter(tmp_path, "someone/prompt")

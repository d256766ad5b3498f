"""Prompt methods: against PEFT's own modules, against real words, and in real runs."""

import pytest
import torch
from made_models import keep_first_layers
from peft import PrefixTuningConfig, PromptEncoderConfig, TaskType, get_peft_model
from pydantic import ValidationError
from torch.testing import assert_close

from tslib.config import EvalConfig, TuneConfig
from tslib.errors import InputError
from tslib.losses.tsloss import TSLoss
from tslib.models import loading as models
from tslib.prompts import methods
from tslib.prompts.decoding import generate
from tslib.prompts.encoding import Encoded, encode
from tslib.prompts.forward import forward
from tslib.prompts.methods import METHODS, Method, Trained, start
from tslib.prompts.soft_prompt import SoftPrompt, StatePrompt, StateShape, model_inputs
from tslib.records.checkpoints import Checkpoint
from tslib.runs.evaluation import evaluate, of_run
from tslib.runs.store import RunStore
from tslib.runs.sweeps import Sweep
from tslib.tasks import load_task
from tslib.topology.diagrams import persistence_diagrams, summarize
from tslib.tuning.loop import _Run, tune

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT's
LAYERED = ("prefix-tuning", "p-tuning-v2")
OF_TEXT = sorted(name for name, method in METHODS.items() if method.resume is None)  # others need pictures
ROWS = [Encoded([11, 450, 7, 23, 90], [41, 8]), Encoded([300, 12, 45], [17, 9, 33])]


@pytest.fixture(scope="module", params=["smollm2-135m", "gemma3-270m"])
def real(request):
    """The first layers of an embedded model in float64; a copy, since PEFT would keep hold of the shared one."""
    if request.param != "smollm2-135m":
        request.getfixturevalue("gemma3_270m")
    model, tokenizer = models.load_model(request.param, device="cpu", dtype="float32")
    keep_first_layers(model)
    return model.double(), tokenizer


def batch_of(row):
    ids = [*row.question, *row.target]
    labels = [-100] * len(row.question) + row.target
    return {
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
        "labels": torch.tensor([labels]),
    }


@pytest.mark.parametrize("fields", [{"init": "superposition"}, {"method": "residual", "init": "vocabulary"}], ids=str)
def test_a_reparameterised_prompt_is_what_its_parameters_give(smollm2_135m, fields):
    """The gradient of a sum over the prompt, carried back, against differences of the prompt itself."""
    config = TuneConfig(n_tokens=3, seed=2, device="cpu", **fields)
    trained = start(config, *smollm2_135m)
    before = trained.prompt.weight.detach().clone()
    assert_close(before, SoftPrompt.from_config(config, *smollm2_135m).weight.detach())
    with torch.no_grad():  # away from the start, where the network's last layer is 0
        for parameter in trained.parameters.values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    trained.refresh()
    assert not torch.equal(trained.prompt.weight, before)
    probe = torch.randn(before.shape, generator=torch.Generator().manual_seed(3))
    trained.zero_grad()
    trained.prompt.weight.grad = probe
    trained.pull_back()
    for parameter in trained.parameters.values():
        along = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * 1e-3 * along
            trained.refresh()
            sides.append(float((trained.prompt.weight.detach() * probe).double().sum()))
            with torch.no_grad():
                parameter -= sign * 1e-3 * along
        assert (sides[0] - sides[1]) / 2e-3 == pytest.approx(float((parameter.grad * along).sum()), rel=0.02, abs=0.02)


@pytest.mark.parametrize("kind", ["p-tuning", "prefix-tuning", "p-tuning-v2"])
def test_loss_and_gradient_are_those_of_peft(real, kind):
    """PEFT's model with the same encoder, row by row; ours takes both rows at once, padded and packed.

    In float64; packed attention and losses are in float32 even so, of which the layers leave a gradient four digits.
    """
    model, tokenizer = real
    trained = start(TuneConfig(method=kind, n_tokens=4, seed=3, device="cpu"), model, tokenizer)
    with torch.no_grad():
        for parameter in (trained.prompt.weight, *trained.parameters.values()):
            parameter.data = parameter.double()
        for parameter in trained.parameters.values():  # away from the small start, where little depends on it
            parameter *= 3.0
    trained.refresh()
    got = []
    for way in ("padded", "packed"):
        trained.zero_grad()
        outcome = forward(model, trained.prompt, ROWS, grad=True, way=way)
        outcome.loss.backward()
        trained.pull_back()
        got.append((outcome.loss.detach(), {name: p.grad.clone() for name, p in trained.parameters.items()}))

    shared = {"task_type": TaskType.CAUSAL_LM, "num_virtual_tokens": 4}
    width = model.get_input_embeddings().weight.shape[1]
    config = (
        PromptEncoderConfig(**shared, encoder_hidden_size=width)
        if kind == "p-tuning"
        else PrefixTuningConfig(**shared, prefix_projection=kind == "prefix-tuning")
    )
    tuned = get_peft_model(model, config).eval()
    theirs = tuned.prompt_encoder["default"].double()
    with torch.no_grad():
        if kind == "p-tuning-v2":
            flat = trained.prompt.weight.transpose(0, 1).flatten(1)  # of a token: layer, key then value, head
            theirs.embedding.weight.copy_(flat)
        else:
            theirs.load_state_dict(trained.parameters)
    losses = [tuned(**batch_of(row)).loss for row in ROWS]
    expected = (2 * losses[0] + 3 * losses[1]) / 5  # each is the mean over its own target
    expected.backward()
    for (loss, gradients), close in zip(got, (1e-6, 1e-3), strict=True):
        assert_close(loss.double(), expected.detach().double(), rtol=1e-5, atol=0)
        for name, parameter in theirs.named_parameters():
            own = gradients["weight"].transpose(0, 1).flatten(1) if kind == "p-tuning-v2" else gradients[name]
            assert (own - parameter.grad).norm() < close * parameter.grad.norm(), name
    if kind == "p-tuning":
        return
    # greedy replies: ours of both rows at once, padded; PEFT's one by one
    replies = generate(model, tokenizer, trained.prompt, [Encoded(row.question, []) for row in ROWS], max_new_tokens=5)
    for row, reply in zip(ROWS, replies, strict=True):
        ids = torch.tensor([row.question])
        mask = torch.ones_like(ids)
        theirs_reply = tuned.generate(input_ids=ids, attention_mask=mask, max_new_tokens=5, do_sample=False)
        said = theirs_reply[0, len(row.question) :].tolist()
        assert reply[: len(said)] == said


def test_a_prefix_that_starts_as_words_is_these_words(smollm2_135m):
    """Keys and values of words in every layer are what these words, embedded before the question, come to."""
    model, tokenizer = smollm2_135m
    rows = [encode(tokenizer, example) for example in load_task("gsm-symbolic", "train", limit=2, seed=191)]
    text = {"init": "text", "init_text": "Think about it step by step", "n_tokens": 6, "device": "cpu"}
    states, tokens = (
        start(TuneConfig(method=kind, **text), model, tokenizer).prompt for kind in ("p-tuning-v2", "prompt-tuning")
    )
    assert states.weight.shape == (30, 6, 384)
    for way in ("padded", "packed"):
        one, other = (forward(model, prompt, rows, grad=False, way=way) for prompt in (states, tokens))
        assert_close(one.loss, other.loss, rtol=1e-5, atol=1e-6)
        assert torch.equal(one.matches, other.matches)
    questions = [Encoded(row.question, []) for row in rows]
    one, other = (generate(model, tokenizer, prompt, questions, max_new_tokens=8) for prompt in (states, tokens))
    assert one == other


def test_the_cloud_of_a_layer_is_its_keys_and_values(smollm2_135m):
    model, tokenizer = smollm2_135m
    prompt = start(TuneConfig(method="p-tuning-v2", n_tokens=5, device="cpu"), model, tokenizer).prompt
    keys, values = prompt.states()[7]
    assert keys.shape == values.shape == (1, 3, 5, 64)
    point = torch.cat([keys[0, :, 2].flatten(), values[0, :, 2].flatten()])
    assert torch.equal(prompt.weight[7, 2], point)
    assert torch.equal(prompt.shape.clouds(prompt.states()), prompt.weight)


def short(model: str, **fields) -> TuneConfig:
    settings = {"n_tokens": 5, "max_steps": 6, "topology_every": 3, "answer_every": 0, "device": "cpu", "lr": 0.01}
    return TuneConfig(model=model, **settings | fields)


@pytest.mark.parametrize(
    ("name", "samples"), [*((name, 2) for name in OF_TEXT), ("prompt-tuning", 1), ("prefix-tuning", 1)]
)
def test_each_trains_on_a_real_task(name, samples, smollm2_135m, tmp_path, own_cache):
    """The embedded model on GSM8K's stand-in: the loss falls, and the record can be kept and read again."""
    regularizer = "none" if name == "lora" else "tsloss"
    # what comes out of an encoder, or is in every layer, moves further at the same rate
    rates = {"prompt-tuning": 1e-2, "p-tuning": 3e-4}
    fields = {"regularizer": regularizer, "lr": rates.get(name, 1e-3), "sample_seed": 191}  # short rows
    fields |= {"max_steps": 2, "topology_every": 1}
    config = short("smollm2-135m", method=name, samples=samples, **fields)
    store = RunStore(tmp_path)
    record = store.run(config, progress=False)
    assert record.status == "finished"
    assert record.results["final_cross_entropy"] < 0.998 * record.steps["cross_entropy"].iloc[0]
    assert record.steps["grad_norm_ce"].gt(0).all()
    again = store.load(store.path(config))
    assert again.config == config
    assert again.steps["cross_entropy"].tolist() == pytest.approx(record.steps["cross_entropy"].tolist(), rel=1e-6)
    assert list(again.topology.get("step", [])) == ([] if name == "lora" else [0, 1, 2])
    if name == "lora":
        assert again.prompts == {}
        return
    assert record.steps["grad_norm_reg"].gt(0).all()
    assert again.prompts[2].shape == ((30, 5, 384) if name in LAYERED else (5, 576))
    assert not torch.equal(again.prompts[2], again.prompts[0])
    assert record.steps["h0"].iloc[0] == pytest.approx(float(TSLoss().terms(again.prompts[0])["h0"].mean()), rel=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", LAYERED)
def test_topology_of_layers(name, metric, tiny_model):
    """A checkpoint has the mean over the layers; the bars say of which layer they are."""
    record = tune(short(tiny_model, method=name, metric=metric), progress=False)
    clouds = record.prompts[3].numpy()
    summaries = []
    for layer, points in enumerate(clouds):
        diagrams = persistence_diagrams(points, metric=metric)
        summaries.append(summarize(diagrams, points, metric=metric))
        bars = record.diagrams.query(f"step == 3 and layer == {layer} and dimension == 0")
        assert bars["death"].tolist() == diagrams[0][:, 1].tolist()
    row = record.topology.set_index("step").loc[3]
    for field in ("h0_mean_lifespan", "persistence_entropy", "mean_distance", "h1_count"):
        assert row[field] == pytest.approx(sum(getattr(s, field) for s in summaries) / len(clouds), rel=1e-6)
    assert row["h0_wasserstein"] > 0


@pytest.mark.parametrize("name", OF_TEXT)
def test_a_resumed_run_has_the_same_bits(name, tiny_model, resumed):
    config = short(tiny_model, method=name)
    whole, again = tune(config, progress=False), resumed(config, 4)
    drop = {"columns": "seconds"}
    assert again.steps.drop(**drop).equals(whole.steps.drop(**drop))
    assert again.topology.equals(whole.topology)
    assert again.diagrams.equals(whole.diagrams)
    assert all(torch.equal(again.prompts[step], whole.prompts[step]) for step in whole.prompts)
    assert again.results["final_cross_entropy"] == whole.results["final_cross_entropy"]


@pytest.mark.parametrize("name", OF_TEXT)
def test_the_seed_says_how_it_starts(name, tiny_model):
    model, tokenizer = models.shared_model(tiny_model, "cpu", "float32")

    def values(seed):
        torch.rand(1)  # the global generator goes on; nothing may depend on it
        trained = start(short(tiny_model, method=name, seed=seed), model, tokenizer)
        trained.close()
        return torch.cat([parameter.detach().flatten() for parameter in trained.parameters.values()])

    assert torch.equal(values(1), values(1))
    assert not torch.equal(values(1), values(2))


def test_lora_leaves_the_model_as_it_was(tiny_model, tmp_path):
    model, _ = models.shared_model(tiny_model, "cpu", "float32")
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    record = tune(short(tiny_model, method="lora"), progress=False)
    assert record.steps["cross_entropy"].iloc[-1] < record.steps["cross_entropy"].iloc[0]
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(parameter.requires_grad for parameter in after.values())

    class Fails(Checkpoint):
        def restore(self, run):
            raise MemoryError

    config = short(tiny_model, method="lora")
    with pytest.raises(MemoryError):
        tune(config, progress=False, checkpoint=Fails(tmp_path / "unused", config))
    assert dict(model.named_parameters()).keys() == before.keys(), "however the run ends"


def test_a_long_pass_of_a_padded_prefix_keeps_its_states(tiny_model):
    """Checkpointed layers of transformers drop a cache: the loss would be that of no prefix at all."""
    model, tokenizer = models.shared_model(tiny_model, "cpu", "float32")
    prompt = start(short(tiny_model, method="p-tuning-v2"), model, tokenizer).prompt
    with torch.no_grad():
        prompt.weight.normal_(generator=torch.Generator().manual_seed(0))
    whole, long = (
        forward(model, prompt, ROWS, grad=True, way=way, pass_tokens=1).loss.detach() for way in ("padded", "packed")
    )
    assert_close(whole, long, rtol=1e-5, atol=1e-6)
    nothing = forward(model, SoftPrompt(torch.zeros(0, 16)), ROWS, grad=False).loss
    assert abs(float(whole - nothing)) > 1e-3


def test_states_go_where_their_layers_are(tiny_model):
    """On the device of a model that is said to be divided; a layer kept on the CPU is computed there, too."""
    model, tokenizer = models.load_model(tiny_model, device="cpu", dtype="float32")
    prompt = start(short(tiny_model, method="p-tuning-v2"), model, tokenizer).prompt
    places = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "meta"}
    model.hf_device_map = places | {"model.norm": "meta", "lm_head": "meta"}
    _, given = model_inputs(ROWS, prompt, model)
    assert [layer.keys.device.type for layer in given["past_key_values"].layers] == ["meta", "meta"]
    assert given["inputs_embeds"].device.type == "cpu"


@pytest.mark.parametrize("name", ["p-tuning", "prefix-tuning"])
def test_a_tuned_prompt_is_evaluated(name, tiny_model, own_cache, tmp_path):
    """Its answer loss on one row is the cross-entropy of that row behind the last prompt."""
    record = RunStore(tmp_path).run(short(tiny_model, method=name), progress=False)
    config = of_run(EvalConfig(limit=1, max_new_tokens=3, split="train"), record)
    evaluation = evaluate(config, record, progress=False)
    model, tokenizer = models.shared_model(tiny_model, "cpu", "float32")
    example = load_task("gsm-symbolic", "train", limit=None)
    (row,) = [encode(tokenizer, e) for e in example if e.id == evaluation.rows["id"].iloc[0]]
    prompt = SoftPrompt.resume(record.config, model, record.prompts[6])
    loss = forward(model, prompt, [row], grad=False).loss
    assert evaluation.results["answer_loss"] == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "prefix-tuning", "placement": "suffix"}, "placement is prefix; given suffix"),
        ({"method": "p-tuning-v2", "prompt_scale": "sqrt_d"}, "puts nothing among the embedded tokens"),
        ({"method": "prefix-tuning", "position_encoding": "sinusoidal"}, "puts nothing among the embedded tokens"),
        ({"method": "p-tuning", "prompt_dtype": "float16"}, "p-tuning is trained in float32; given .*=float16"),
        ({"method": "p-tuning", "init": "text"}, "p-tuning: init is one of gaussian; given text"),
        ({"init": "superposition", "prompt_dtype": "float16"}, "init=superposition is trained in float32"),
        (
            {"method": "prefix-tuning", "lr_unit": "embedding"},
            "prefix-tuning trains no embedded tokens: lr_unit is one",
        ),
        ({"method": "residual", "init": "superposition"}, "residual: init is one of gaussian, .*; given superposition"),
        ({"method": "lora", "regularizer": "tsloss"}, "no virtual tokens to regularise"),
        ({"method": "adapters"}, "unknown; known: prompt-tuning, p-tuning, prefix-tuning, residual, p-tuning-v2, lora"),
    ],
)
def test_what_does_not_go_together_is_named(fields, message):
    with pytest.raises(ValidationError, match=message):
        TuneConfig(**fields)


def test_a_prefix_of_another_model_is_named(tiny_model):
    model, _ = models.shared_model(tiny_model, "cpu", "float32")
    with pytest.raises(InputError, match=r"shape \(3, 5, 8\) is for another model: this one has 2 layers"):
        StatePrompt(torch.zeros(3, 5, 8), StateShape.of(model))


def test_a_new_one_takes_one_line(tiny_model, tmp_path, monkeypatch):
    """A prompt that is one vector, repeated: named by a config, in a sweep."""

    def repeated(config, model, tokenizer):
        vector = torch.nn.Parameter(SoftPrompt.from_config(config, model, tokenizer).weight[:1].detach().clone())

        def values():
            return vector.expand(config.n_tokens, -1)

        return Trained(SoftPrompt.resume(config, model, values()), [("vector", vector)], values)

    monkeypatch.setitem(methods.METHODS, "repeated", Method(repeated))
    path = tmp_path / "sweep.yaml"
    fields = {"model": tiny_model, "n_tokens": 4, "max_steps": 3, "answer_every": 0, "device": "cpu", "lr": 0.01}
    lines = "".join(f"      {name}: {value}\n" for name, value in fields.items())
    path.write_text(f"title: New\ngrids:\n  - name: one\n    fields:\n      method: [prompt-tuning, repeated]\n{lines}")
    config = Sweep.load(path).configs[1]
    record = tune(config, progress=False)
    assert record.steps["cross_entropy"].iloc[-1] < record.steps["cross_entropy"].iloc[0]
    assert torch.equal(record.prompts[3], record.prompts[3][:1].expand(4, -1))
    assert not torch.equal(record.prompts[3], record.prompts[0])


def test_several_passes_are_one(tiny_model):
    """The encoder's gradient is the same whether a batch goes through the model at once or in parts."""
    model, tokenizer = models.shared_model(tiny_model, "cpu", "float32")
    gradients = []
    for pass_tokens in (4096, 12):
        config = short(tiny_model, method="prefix-tuning", samples=2, pass_tokens=pass_tokens)
        run = _Run(config, model, tokenizer, [], ROWS)
        run._update(run._losses(ROWS, grad=True).loss)
        gradients.append({name: parameter.grad for name, parameter in run.trained.parameters.items()})
    for name, gradient in gradients[0].items():
        assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-7)

"""Which rows a model sees together, against PEFT at work: what it feeds to the layers, and what has a gradient."""

import json
from functools import partial

import pytest
import torch
from made_models import NARROW
from peft import (
    CartridgeConfig,
    CPTConfig,
    MultitaskPromptTuningConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForQuestionAnswering,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
    TrainingArguments,
)

from tslib.__main__ import main
from tslib.errors import InputError, ResourceError
from tslib.interop.adapters import clouds, load_adapter
from tslib.interop.clouds import KINDS
from tslib.interop.trainer import add_regularizer, cloud_of
from tslib.losses.controls import AdaptiveTSLoss, BalancedTSLoss, RandomDirection
from tslib.losses.tsloss import TSLoss
from tslib.topology.diagrams import persistence_diagrams

pytestmark = [  # PEFT says these of its own calls
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Could not find a config file:UserWarning"),
]
N = 5
SIZES = NARROW | {"max_position_embeddings": 64}
IDS, LABELS = torch.tensor([[5, 9, 11, 7]]), torch.tensor([[8, 3, 4]])
METHODS = {
    "prompt tuning": PromptTuningConfig,
    "P-tuning": partial(PromptEncoderConfig, encoder_hidden_size=16, encoder_reparameterization_type="LSTM"),
    "multitask prompt tuning": partial(MultitaskPromptTuningConfig, num_tasks=2, num_ranks=2),
    "CPT": partial(CPTConfig, cpt_token_ids=[5, 9, 40, 7, 3], cpt_tokens_type_mask=[1, 2, 3, 4, 1]),
    "prefix tuning": partial(PrefixTuningConfig, prefix_projection=True, encoder_hidden_size=16),
    "P-tuning v2": PrefixTuningConfig,
    "cartridge": CartridgeConfig,
}
PAIRED = [name for name in METHODS if name != "CPT"]


def llama(kind=LlamaForCausalLM, **settings):
    torch.manual_seed(0)
    return kind(LlamaConfig(**SIZES | settings))


def t5(layers=4, decoder=4):
    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_heads": 4, "pad_token_id": 0}
    return T5ForConditionalGeneration(
        T5Config(**sizes, num_layers=layers, num_decoder_layers=decoder, decoder_start_token_id=0)
    )


def bart(layers=4, decoder=4):
    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "d_model": 16, "max_position_embeddings": 64, "encoder_layers": layers}
    sizes |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    return BartForConditionalGeneration(BartConfig(**sizes, decoder_layers=decoder))


def tuned(model, method, task="CAUSAL_LM", **settings):
    torch.manual_seed(1)
    given = {} if method == "CPT" else {"num_virtual_tokens": N}
    made = get_peft_model(model, METHODS[method](task_type=task, **given, **settings)).eval()
    with torch.no_grad():
        for parameter in made.prompt_encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def loss(model, **given):
    labels = LABELS if model.config.is_encoder_decoder else IDS
    multitask = "MULTITASK" in str(model.peft_type)
    given |= {"task_ids": torch.tensor([1])} if multitask else {}
    return model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=labels, **given).loss


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize("method", METHODS)
def test_trainer_and_adapter_read_what_a_decoder_is_fed(method, tmp_path, capsys):
    model = tuned(llama(), method)
    cloud = cloud_of(model).detach()
    if method in ("prefix tuning", "P-tuning v2", "cartridge"):
        for points, layer in zip(cloud, model.get_prompt(1).layers, strict=True):
            states = [part[0].transpose(0, 1).flatten(1) for part in (layer.keys, layer.values)]
            assert torch.equal(points, torch.cat(states, 1))
    else:
        tasks = torch.arange(2) if "task" in method else None
        with torch.no_grad():
            fed = model.get_prompt(1 if tasks is None else 2, task_ids=tasks)
        torch.testing.assert_close(cloud, fed[0] if tasks is None else fed, rtol=0, atol=1e-6)
    model.save_pretrained(str(tmp_path))
    torch.testing.assert_close(clouds(tmp_path).values, cloud, rtol=0, atol=1e-6)
    assert main(["topology", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    each = cloud if cloud.ndim == 3 else cloud[None]
    mean = sum(persistence_diagrams(points)[0][:-1, 1].mean() for points in each.numpy()) / len(each)
    assert float(out.split("h0_mean_lifespan     ")[1].split()[0]) == pytest.approx(mean, rel=1e-4)
    assert ("task 1" in out) == ("task" in method)


@pytest.mark.parametrize("make", [t5, bart])
@pytest.mark.parametrize("sides", [None, 1])
@pytest.mark.parametrize("method", ["prompt tuning", "P-tuning"])
def test_an_encoder_sees_the_first_rows_only(make, sides, method, tmp_path, capsys):
    """PEFT makes 2n rows for an encoder-decoder; the loss depends on n of them, which come out in the encoder."""
    model = tuned(make(), method, "SEQ_2_SEQ_LM", num_transformer_submodules=sides)
    seen = []
    model.get_encoder().register_forward_pre_hook(
        lambda module, args, given: seen.append(given["inputs_embeds"][0]), with_kwargs=True
    )
    loss(model).backward()
    cloud = cloud_of(model).detach()
    torch.testing.assert_close(cloud, seen[0][:N], rtol=0, atol=1e-7)
    assert len(seen[0]) == N + IDS.shape[1]
    if method == "prompt tuning":
        gradient = model.prompt_encoder["default"].embedding.weight.grad
        assert (gradient.norm(dim=1) > 0).tolist() == [True] * N + [False] * (0 if sides else N)
    model.save_pretrained(str(tmp_path))
    assert torch.equal(load_adapter(tmp_path).values, cloud)
    assert main(["topology", str(tmp_path)]) == 0
    assert f"{N} virtual tokens in 16 dimensions, euclidean distance\n" in capsys.readouterr().out


@pytest.mark.parametrize("make", [t5, bart])
@pytest.mark.parametrize(("layers", "decoder"), [(4, 4), (3, 3), (4, 2)])
@pytest.mark.parametrize("sides", [2, 1])
def test_a_decoder_gets_prefixes_in_its_own_order(make, layers, decoder, sides, tmp_path):
    """By the gradient of the loss: PEFT's layout for two sides leaves every other prefix of an even number unused."""
    model = tuned(make(layers, decoder), "P-tuning v2", "SEQ_2_SEQ_LM", num_transformer_submodules=sides)
    flat = model.prompt_encoder["default"].embedding.weight
    loss(model).backward()
    used = flat.grad.view(N, layers, -1).transpose(0, 1).flatten(1).norm(dim=1) > 0
    order = [sides * layer % layers for layer in range(decoder)]
    assert used.nonzero().flatten().tolist() == sorted(set(order))
    prefixes = flat.detach().view(N, layers, -1).transpose(0, 1)
    assert torch.equal(cloud_of(model).detach(), prefixes[order])
    cache = model.get_prompt(1)
    for points, layer in zip(cloud_of(model), getattr(cache, "self_attention_cache", cache).layers, strict=False):
        states = [part[0].transpose(0, 1).flatten(1) for part in (layer.keys, layer.values)]
        assert torch.equal(points, torch.cat(states, 1))
    model.save_pretrained(str(tmp_path))
    found = clouds(tmp_path)
    assert torch.equal(found.values[:decoder], prefixes[order])
    assert found.names[1] == "decoder layer 1"


def test_several_tasks_of_an_encoder_decoder_have_a_cloud_on_each_side(tmp_path, capsys):
    model = tuned(t5(), "multitask prompt tuning", "SEQ_2_SEQ_LM")
    seen = {}
    for side, part in (("encoder", model.get_encoder()), ("decoder", model.get_decoder())):
        part.register_forward_pre_hook(
            lambda module, args, given, side=side: seen.update({side: given["inputs_embeds"][0, :N]}), with_kwargs=True
        )
    loss(model)
    model.save_pretrained(str(tmp_path))
    found = clouds(tmp_path)
    assert found.names == ("task 0, encoder", "task 0, decoder", "task 1, encoder", "task 1, decoder")
    torch.testing.assert_close(found.values[2], seen["encoder"], rtol=0, atol=1e-7)
    torch.testing.assert_close(found.values[3], seen["decoder"], rtol=0, atol=1e-7)
    torch.testing.assert_close(cloud_of(model).detach(), found.values, rtol=0, atol=1e-7)
    assert main(["topology", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "in each of 4 clouds\n" in out
    assert "\ntask 1, decoder" in out


def trainer(model, folder, **settings):
    labels = LABELS if model.config.is_encoder_decoder else IDS
    rows = [{"input_ids": IDS[0].tolist(), "attention_mask": [1] * 4, "labels": labels[0].tolist()}] * 2
    if "MULTITASK" in str(model.peft_type):
        rows = [row | {"task_ids": number} for number, row in enumerate(rows)]
    given = {"max_steps": 1, "optim": "sgd", "learning_rate": 0.1, "logging_steps": 1, "lr_scheduler_type": "constant"}
    given |= {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True, "max_grad_norm": 0.0}
    given |= {"dataloader_pin_memory": False, "weight_decay": 0.0, "remove_unused_columns": False}
    return Trainer(model=model, args=TrainingArguments(str(folder), **given | settings), train_dataset=rows)


@pytest.mark.parametrize(
    ("make", "task", "method"),
    [(llama, "CAUSAL_LM", name) for name in METHODS] + [(t5, "SEQ_2_SEQ_LM", name) for name in PAIRED],
)
def test_a_step_of_the_trainer_moves_the_rows_that_are_seen(make, task, method, tmp_path):
    """A step of SGD with TSLoss, less one without it, is the gradient of TSLoss of those rows, written out."""
    weights = []
    for weight in (0.0, 0.5):
        model = tuned(make(), method, task)
        start = [parameter for parameter in model.prompt_encoder.parameters() if parameter.requires_grad]
        own = torch.autograd.grad(TSLoss(0.5)(cloud_of(model)), start, allow_unused=True)
        running = trainer(model, tmp_path)
        add_regularizer(running, TSLoss(weight))
        cloud = cloud_of(model).detach().clone()
        running.train()
        weights.append([parameter.detach().clone() for parameter in start])
    line = running.state.log_history[0]
    assert line["ts/zeta"] == pytest.approx(float(TSLoss().terms(cloud)["zeta"].mean()), rel=1e-4)
    each = cloud if cloud.ndim == 3 else cloud[None]
    lifespans = [persistence_diagrams(points)[0][:-1, 1].mean() for points in each.numpy()]
    assert line["topology/h0_mean_lifespan"] == pytest.approx(sum(lifespans) / len(lifespans), rel=1e-4)
    for before, after, gradient in zip(*weights, own, strict=True):
        expected = torch.zeros_like(before) if gradient is None else -0.1 * gradient
        torch.testing.assert_close(after - before, expected, rtol=2e-3, atol=2e-6)


def test_the_topology_that_is_logged_is_by_the_metric_of_the_loss(tmp_path):
    for kind in (TSLoss, AdaptiveTSLoss, BalancedTSLoss, RandomDirection):
        model = tuned(t5(), "prompt tuning", "SEQ_2_SEQ_LM")
        points = cloud_of(model).detach().clone()
        running = trainer(model, tmp_path)
        add_regularizer(running, kind(0.1, metric="cosine"))
        running.train()
        deaths = persistence_diagrams(points.numpy(), metric="cosine")[0][:-1, 1]
        line = running.state.log_history[0]
        assert line["topology/h0_max_lifespan"] == pytest.approx(deaths.max(), rel=1e-5)
        assert line["topology/max_distance"] <= 2, "a cosine distance is no more"

    own = TSLoss()
    own.metric = "manhattan"
    with pytest.raises(InputError, match=r"has the metric 'manhattan', which the topology has not .*topology_every"):
        add_regularizer(trainer(tuned(llama(), "prompt tuning"), tmp_path), own)
    add_regularizer(trainer(tuned(llama(), "prompt tuning"), tmp_path), own, topology_every=0)


def test_what_does_not_enter_the_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="leaves its virtual tokens out where the config has no task_type"):
        add_regularizer(trainer(PeftModel(llama(), PromptTuningConfig(num_virtual_tokens=N)), tmp_path), TSLoss())
    torch.manual_seed(0)
    sizes = SIZES | {"head_dim": 8, "sliding_window": 4}
    gemma = Gemma3ForCausalLM(Gemma3TextConfig(**sizes, layer_types=["sliding_attention", "full_attention"]))
    with pytest.raises(InputError, match=r"Gemma3ForCausalLM prefixes of different shapes .* fewer of them"):
        add_regularizer(trainer(tuned(gemma, "P-tuning v2"), tmp_path), TSLoss())
    model = tuned(llama(), "P-tuning")
    model.peft_config["default"].num_transformer_submodules = 2
    with pytest.raises(InputError, match="for 2 submodules and the task CAUSAL_LM"):
        add_regularizer(trainer(model, tmp_path), TSLoss())


@pytest.mark.parametrize("method", ["prompt tuning", "P-tuning", "P-tuning v2", "CPT"])
def test_an_adapter_loaded_for_inference_has_its_rows_as_they_are(method, tmp_path):
    """Without an encoder; where they are not trained, that is said before the first step."""
    model = tuned(llama(), method)
    cloud = cloud_of(model).detach()
    model.save_pretrained(str(tmp_path))
    again = PeftModel.from_pretrained(llama(), str(tmp_path))
    torch.testing.assert_close(cloud_of(again).detach(), cloud, rtol=0, atol=1e-6)
    again.prompt_encoder.requires_grad_(False)
    with pytest.raises(InputError, match="are not trained: load the adapter with is_trainable=True"):
        add_regularizer(trainer(again, tmp_path), TSLoss())


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("SEQ_CLS", LlamaForSequenceClassification),
        ("TOKEN_CLS", LlamaForTokenClassification),
        ("QUESTION_ANS", LlamaForQuestionAnswering),
    ],
)
def test_an_adapter_with_a_head_of_its_own(task, kind, tmp_path):
    model = tuned(llama(kind), "prompt tuning", task)
    model.save_pretrained(str(tmp_path))
    assert len(load_file(tmp_path / "adapter_model.safetensors")) > 1
    assert torch.equal(load_adapter(tmp_path).values, model.prompt_encoder["default"].embedding.weight.detach())


def test_an_adapter_with_the_embeddings_and_one_of_several(tmp_path):
    model = tuned(llama(), "prompt tuning")
    model.save_pretrained(str(tmp_path / "one"), save_embedding_layers=True)
    names = load_file(tmp_path / "one" / "adapter_model.safetensors")
    assert any("embed_tokens" in name for name in names)
    assert load_adapter(tmp_path / "one").values.shape == (N, 16)
    model.add_adapter("second", METHODS["prompt tuning"](task_type=TaskType.CAUSAL_LM, num_virtual_tokens=3))
    model.set_adapter("second")
    assert cloud_of(model).shape == (3, 16)
    model.save_pretrained(str(tmp_path / "two"), selected_adapters=["second"])
    with pytest.raises(ResourceError, match=r"no adapter_config\.json; give the folder of one that it has: second\)"):
        load_adapter(tmp_path / "two")
    second = model.prompt_encoder["second"].embedding.weight.detach()
    assert torch.equal(load_adapter(tmp_path / "two" / "second").values, second)


def made(folder, values, **settings):
    folder.mkdir()
    said = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": len(values), "token_dim": values.shape[1]}
    (folder / "adapter_config.json").write_text(json.dumps(said | settings))
    save_file({"prompt_embeddings": values}, folder / "adapter_model.safetensors")
    return folder


def test_the_command_on_odd_adapters(tmp_path, capsys):
    square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert main(["topology", str(made(tmp_path / "промпт ✓", square.half()))]) == 0
    assert "H0: [0, inf), [0, 1), [0, 1), [0, 1)\nH1: [1, 1.414)" in capsys.readouterr().out
    figure = tmp_path / "одна.png"
    one = made(tmp_path / "one", square[1:2].bfloat16())
    assert main(["topology", str(one), "--metric", "cosine", "--figure", str(figure)]) == 0
    assert "1 virtual tokens in 2 dimensions, cosine distance\nh0_count             1\n" in capsys.readouterr().out
    assert figure.stat().st_size > 1000
    assert main(["topology", str(made(tmp_path / "same", square[:1].repeat(3, 1)))]) == 0
    assert "h0_count             1\n" in capsys.readouterr().out
    wrong = [
        (made(tmp_path / "nan", square / square), [], "NaN or infinity in row"),
        (tmp_path / "same", ["--metric", "cosine"], "zero vectors"),
        (made(tmp_path / "two sides", square, task_type="CAUSAL_LM", num_transformer_submodules=2), [], "2 submodules"),
        (made(tmp_path / "long", square, num_virtual_tokens=3), [], "says shape (3, 2), prompt_embeddings has (4, 2)"),
        (made(tmp_path / "ints", square.long()), [], "no floats"),
        (made(tmp_path / "lora", square, peft_type="LORA"), [], "of kind LORA: only PROMPT_TUNING, P_TUNING"),
        (tmp_path, [], "no adapter_config.json; give the folder of one that it has: "),
        (figure, [], "neither a folder here nor an adapter on the hub"),
    ]
    renamed = made(tmp_path / "renamed", square)
    (renamed / "adapter_model.safetensors").rename(renamed / "model-00001-of-00002.safetensors")
    wrong.append((renamed, [], "no adapter_model.safetensors, but model-00001-of-00002.safetensors"))
    for folder, further, message in wrong:
        assert main(["topology", str(folder), *further]) != 0
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_all_of_pefts_prompt_methods_are_known():
    """A newer one is refused by its name, which this test would tell."""
    from peft.config import PromptLearningConfig
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    learned = {
        name.value for name, kind in PEFT_TYPE_TO_CONFIG_MAPPING.items() if issubclass(kind, PromptLearningConfig)
    }
    assert learned == set(KINDS)

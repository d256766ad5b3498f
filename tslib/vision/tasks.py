"""Benchmarks about pictures seen from above: generated scenes, and the two of RSVQA.

Scoring is by the benchmark's buckets: an area is right if it is in the bucket of the true one, and so is a count of the
low-resolution set. RSVQA is of Lobry et al., 2020 (arXiv:2003.07333); its generator and metrics were not read.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from tqdm import tqdm

from tslib.errors import InputError, ResourceError
from tslib.models import loading as models
from tslib.tasks.base import Example, Reading, Refused, Row, Task, made, prompt_key
from tslib.tasks.sources import DATA_DIR, data_dir, is_file, read_json
from tslib.vision import questions as asked
from tslib.vision import scenes
from tslib.vision.pictures import SCENES, check_picture
from tslib.vision.questions import AREAS, INSTRUCTIONS, Question, area_bucket, balanced, question_of, questions
from tslib.vision.scenes import make_scene

__all__ = ["COUNTS", "RSVQA", "TASKS", "AerialScenes", "PictureTask", "kind_of"]

COUNTS = {
    "0": 0.0,
    "1 to 10": 10.0,
    "11 to 100": 100.0,
    "101 to 1000": 1000.0,
    "more than 1000": float("inf"),
}
"""Names of the buckets of counts in the low-resolution set, each with the largest count in it."""


LONGEST = 12
"""Words of a reply that are decoded at most."""


def kind_of(example_id: str) -> str:
    """Return the kind of question that an example of these benchmarks asks, by its id."""
    return example_id.split("/")[2]


class PictureTask(Task):
    """A benchmark about pictures. The id of an example is task, split, kind of question, and number.

    Attributes
    ----------
    side
        Pixels of a side of its pictures.
    counts
        Largest count of each bucket; empty where a count has to be exact.
    """

    max_new_tokens = 16
    side: int
    counts: Mapping[str, float] = {}

    def key(self, example: Example) -> str:
        """What two rows share that ask the same: the picture and the words."""
        return f"{example.picture} {prompt_key(example.prompt)}"

    def extract(self, text: str) -> str | None:
        """Answer found in generated text, or None: yes or no, rural or urban, a bucket's name, or a number."""
        lowered = " ".join(text.lower().split())
        word = re.search(r"\b(yes|no|rural|urban)\b", lowered)
        if word:
            return word[1]
        buckets = sorted((*AREAS, *COUNTS), key=len, reverse=True)
        named = next((name for name in buckets if re.search(rf"(?<!\d){re.escape(name)}(?!\d| to )", lowered)), None)
        number = re.search(r"\d[\d,]*", lowered)
        return named if named and not named.isdigit() else number[0].replace(",", "") if number else None

    def score(self, text: str, example: Example) -> float:
        """1 if the answer found is the true one, or in its bucket; else 0."""
        found, kind = self.extract(text), kind_of(example.id)
        if found is not None and found.isdigit():
            if kind == "area":
                found = area_bucket(float(found))
            elif kind == "count" and self.counts:
                found = _bucket(float(found), self.counts)
            else:
                found = str(int(found))
        return float(found in example.answers)

    def complete(self, text: str) -> bool:
        """Whether a reply's first line has ended, or is longer than any answer in words."""
        return "\n" in text.lstrip() or len(text.split()) > LONGEST


def _bucket(number: float, buckets: Mapping[str, float]) -> str:
    return next(name for name, most in buckets.items() if number <= most)


class AerialScenes(PictureTask):
    """Generated aerial-like scenes, not satellite images, with balanced questions of RSVQA's kinds.

    Parameters
    ----------
    closed
        Whether yes-or-no questions alone are asked.
    """

    licence = "Apache-2.0 (generated)"
    source = "https://arxiv.org/abs/2003.07333"
    splits = ("train", "test", "validation", "align")
    side = 224
    pictures: Mapping[str, int] = {"train": 1000, "test": 600, "validation": 200, "align": 1500}
    """Scenes of a split; ``align`` is for a projector, ``validation`` for what it has learnt."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.name = f"aerial-scenes{'/closed' * closed}"
        self.title = f"generated aerial-like scenes, not satellite images{', yes or no' * closed}"
        self.subsets = () if closed else ("closed",)

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        whole = _made(split, self.pictures[split])
        return made(row for row in whole.examples if row.choices) if self.closed else whole


@cache
def _made(split: str, pictures: int) -> Reading:
    return made(_kept(split, pictures))


def _kept(split: str, pictures: int) -> list[Example]:
    """Return the balanced questions of a split, out of the cache where they are there: scenes are drawn once."""
    code = b"".join(Path(module.__file__ or "").read_bytes() for module in (scenes, asked))
    file = models.cache_dir() / "scenes" / f"{split}-{pictures}-{hashlib.sha256(code).hexdigest()[:16]}.json"
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [_example(str(name), str(words), str(answer)) for name, words, answer in rows]
    except (OSError, ValueError, TypeError, IndexError):  # none, or a broken one: it is made again
        found = balanced(_drawn(split, pictures), pictures)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [(example.id, question_of(example.prompt), example.answer) for example in found]
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(file)
    except OSError:  # a cache that cannot be written to costs time alone
        with suppress(OSError):
            temporary.unlink()
    return found


def _drawn(split: str, pictures: int) -> Iterator[Example]:
    for number in tqdm(range(pictures), desc=f"scenes of {split}", delay=2, leave=False):
        for index, one in enumerate(questions(make_scene(f"{SCENES}{split}/{number}"))):
            yield _example(f"{SCENES}{split}/{one.kind}/{number}.{index}", one.words, one.answer)


def _example(name: str, words: str, answer: str) -> Example:
    _, split, kind, number = name.split("/")
    question, picture = Question(kind, words, answer), f"{SCENES}{split}/{number.partition('.')[0]}"
    return Example(name, question.prompt, answer, answer, question.choices, picture)


FOLDS = 5


class RSVQA(PictureTask):
    """Questions about real pictures from above, in the files of the published data set.

    Parameters
    ----------
    resolution
        ``hr`` or ``lr``.
    fold
        Of the training pictures, a fold to be the test; the others are the training rows then. 0: as published.
    """

    licence = "CC BY 4.0 according to secondary sources; answers from OpenStreetMap (ODbL), imagery USGS or Sentinel-2"
    source = "https://rsvqa.sylvainlobry.com"
    stand_in = "aerial-scenes"

    def __init__(self, resolution: str = "hr", fold: int = 0) -> None:
        high = resolution == "hr"
        self.name = f"rsvqa-{resolution}{f'/fold-{fold}' if fold else ''}"
        self.title = f"RSVQA, {'high' if high else 'low'} resolution{f', fold {fold} of {FOLDS}' if fold else ''}"
        self.folder, self.prefix = f"rsvqa_{resolution}", "USGS" if high else "LR"
        self.images, self.side = ("Data", 512) if high else ("Images_LR", 256)
        self.counts = {} if high else COUNTS
        self.fold = fold
        self.subsets = tuple(f"fold-{number}" for number in range(1, FOLDS + 1)) if high and not fold else ()
        self.splits = ("train", "test") if fold else ("train", "test", "val", *(["test-phili"] if high else []))
        self.layout = (
            f"{self.folder}/{self.prefix}_split_{{train,val,test}}_{{images,questions,answers}}.json and "
            f"{self.folder}/{self.images}/ID.{'png' if high else 'tif'}"
        )

    def read(self, split: str) -> Reading:
        """Rows of a split that is known to exist."""
        folder = data_dir()
        if folder is None:
            raise ResourceError(
                f"no rows for task {self.name}: set {DATA_DIR} to a folder that holds {self.layout}; the task "
                f"{self.stand_in} needs none"
            )
        folder /= self.folder
        source = "train" if self.fold else split.replace("-", "_")
        answers = {row.value("id"): row for row in self._file(folder, source, "answers")}
        images = {row.value("id"): row for row in self._file(folder, source, "images") if self._is_active(row)}
        ranks = {number: rank for rank, number in enumerate(sorted(images))}
        rows = self._file(folder, source, "questions")
        examples: list[Example] = []
        refused: list[Refused] = []
        elsewhere = 0
        for row in tqdm(rows, desc=f"{self.name} {split}", delay=2, leave=False):
            if not self._is_active(row):
                refused.append(Refused(row.where, "not active"))
                continue
            image = row.value("img_id")
            if image not in images:
                raise InputError(f"{row.where}: expected an image of {source}, found img_id {image!r}: mend the row")
            if self.fold and (ranks[image] % FOLDS == self.fold - 1) != (split == "test"):
                elsewhere += 1
                continue
            examples.append(self._example(row, answers, folder, split))
        return Reading(examples, len(rows), tuple(refused), elsewhere)

    def _file(self, folder: Path, source: str, what: str) -> list[Row]:
        rows = read_json(self, folder / f"{self.prefix}_split_{source}_{what}.json", what)
        path = folder / f"{self.prefix}_split_{source}_{what}.json"
        # often all of it is one line
        return [Row(row.index, f"{path} {what[:-1]} {row.fields.get('id', row.index)}", row.fields) for row in rows]

    @staticmethod
    def _is_active(row: Row) -> bool:
        return bool(row.fields.get("active", True))

    def _example(self, row: Row, answers: Mapping[object, Row], folder: Path, split: str) -> Example:
        given = row.value("answers_ids")
        found = [answers[one] for one in given if one in answers] if isinstance(given, list) else []
        if not found:
            raise InputError(f"{row.where}: expected an answer, found none of {given!r} in the answers: mend the row")
        kind = {"comp": "comparison"}.get(row.text("type"), row.text("type"))
        if kind not in INSTRUCTIONS:
            raise InputError(f"{row.where}: unknown type {kind!r}; known: comp, {', '.join(INSTRUCTIONS)}")
        answer = self._answer(found[0], kind)
        files = [folder / self.images / f"{row.value('img_id')}.{ending}" for ending in ("png", "tif")]
        path = next(filter(is_file, files), files[0])
        check_picture(path, self.side, row.where)
        choices = ("yes", "no") if answer in ("yes", "no") else ()
        prompt = f"{' '.join(row.text('question').split())}\n{INSTRUCTIONS[kind]}"
        name = f"{self.folder.replace('_', '-')}/{split}/{kind}/{row.value('id')}"
        return Example(name, prompt, answer, answer, choices, str(path))

    def _answer(self, row: Row, kind: str) -> str:
        """The answer as it is scored: an area, and in the low-resolution set a count, by its bucket."""
        answer = row.text("answer").strip().lower()
        if kind in ("presence", "comparison") and answer in ("yes", "no"):
            return answer
        if kind == "rural_urban" and answer in ("rural", "urban"):
            return answer
        number = re.fullmatch(r"(\d+(?:\.\d+)?)(m2)?", answer)
        if kind == "area" and number:
            return area_bucket(float(number[1]))
        if kind == "count" and number and not number[2]:
            return _bucket(float(number[1]), self.counts) if self.counts else str(int(number[1]))
        raise InputError(f"{row.where}: expected an answer to a question of the kind {kind}, found {answer!r}: mend it")


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        *(AerialScenes(), AerialScenes(closed=True)),
        *(RSVQA("hr"), *(RSVQA("hr", fold + 1) for fold in range(FOLDS)), RSVQA("lr")),
    )
}
"""The benchmarks with pictures; `tslib.tasks.registry` hands them on by their names."""

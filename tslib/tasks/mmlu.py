"""MMLU, exam questions of 57 subjects with four choices, and MMLU-CF, questions made so that no model has seen them.

Hendrycks et al., Measuring Massive Multitask Language Understanding, arXiv:2009.03300; Zhao et al., MMLU-CF,
arXiv:2412.15194.
"""

from pathlib import Path
from typing import Any, ClassVar

from tslib.errors import InputError, ResourceError
from tslib.tasks.base import Example, Hub, Row, SourceTask, Task
from tslib.tasks.choice import LETTERS, ChoiceTask, ask
from tslib.tasks.sources import data_dir, find_rows, is_file, read_csv

__all__ = ["CATEGORIES", "MMLU", "MMLUCF", "SUBJECTS"]

_SUBJECTS = """
    abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
    college_computer_science college_mathematics college_medicine college_physics computer_security
    conceptual_physics econometrics electrical_engineering elementary_mathematics formal_logic global_facts
    high_school_biology high_school_chemistry high_school_computer_science high_school_european_history
    high_school_geography high_school_government_and_politics high_school_macroeconomics high_school_mathematics
    high_school_microeconomics high_school_physics high_school_psychology high_school_statistics
    high_school_us_history high_school_world_history human_aging human_sexuality international_law jurisprudence
    logical_fallacies machine_learning management marketing medical_genetics miscellaneous moral_disputes
    moral_scenarios nutrition philosophy prehistory professional_accounting professional_law professional_medicine
    professional_psychology public_relations security_studies sociology us_foreign_policy virology world_religions
"""
_CATEGORIES = """
    Biology Business Chemistry Computer_Science Economics Engineering Health History Law Math Other Philosophy
    Physics Psychology
"""

SUBJECTS = tuple(_SUBJECTS.split())
CATEGORIES = tuple(_CATEGORIES.split())

_COLUMNS = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
_CF_COLUMNS = ("Question", *LETTERS, "Answer")


class _Exam(ChoiceTask, SourceTask):
    """What both have in common: the whole, or one of its subsets, asked by the same prompt."""

    stand_in = "multiple-choice"
    family: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]

    def __init__(self, subset: str | None = None) -> None:
        if subset is not None and subset not in self.parts:
            raise InputError(f"unknown subset {subset!r} of task {self.family}: choose one of {', '.join(self.parts)}")
        self.name = self.family
        self.subset = subset
        if subset is None:
            self.subsets = self.parts
        else:
            self.name += f"/{subset}"
            self.title += f": {_spoken(subset)}"

    @property
    def _wanted(self) -> tuple[str, ...]:
        return self.parts if self.subset is None else (self.subset,)

    def _example(self, row: Row, split: str, question: str, choices: list[Any], answer: Any) -> Example | str:
        """Make an example of a question, its choices, and the gold one as a letter or a number from 0."""
        for letter, choice in zip(LETTERS, choices, strict=True):
            if choice is None or (isinstance(choice, str) and not choice.strip()):
                return f"choice {letter} is blank"
            if not isinstance(choice, str):
                raise InputError(f"{row.where}: expected text in choice {letter}, found {type(choice).__name__}")
        gold = dict(zip((*LETTERS, *"0123"), LETTERS * 2, strict=True)).get(str(answer).strip())
        if gold is None:
            raise InputError(f"{row.where}: expected an answer A to D, or 0 to 3, found {answer!r}")
        prompt = ask(_spoken(row.subset), question, choices)
        return Example(f"{self.family}/{row.subset}/{split}/{row.index}", prompt, gold, gold, LETTERS)


class MMLU(_Exam):
    """MMLU, or one of its 57 subjects, from ``$TSLIB_DATA_DIR`` when that variable is set, else from the hub.

    The few-shot examples that the source calls ``dev``, five a subject, are the training split. Files may have the
    header ``question,choice0,...,answer`` and answers 0 to 3, or, as in the original release, no header and answers
    A to D; the hub is read subject by subject. Ids keep the index in the subject's file: ``mmlu/anatomy/test/17``.
    A question that stands in two subjects is a row of the first.
    """

    family = "mmlu"
    title = "MMLU"
    licence = "MIT"
    source = "https://github.com/hendrycks/test"
    splits = ("train", "test", "dev")
    source_splits: ClassVar = {"train": "dev", "test": "test", "dev": "dev"}
    hub: Hub = Hub("cais/mmlu", "all", "c30699e8356da336a370243923dbaf21066bb9fe")
    layout = "mmlu/{dev,test}/SUBJECT_{dev,test}.csv"
    parts = SUBJECTS

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source, and the subjects that the folder lacks."""
        return find_rows(
            self,
            self._wanted,
            lambda subject: f"mmlu/{source_split}/{subject}_{source_split}.csv",
            lambda task, path: read_csv(task, path, _COLUMNS),
            lambda subject: (Hub(self.hub.repo, subject, self.hub.revision), source_split),
        )

    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row; one with a blank choice is not used."""
        question = row.text("question").strip()
        if "choices" in row.fields:
            choices = row.fields["choices"]
            if not isinstance(choices, list) or len(choices) != len(LETTERS):
                raise InputError(f"{row.where}: expected four texts in the field 'choices', found {choices!r:.80}")
        else:
            choices = [row.value(column) for column in _COLUMNS[1:5]]
        return self._example(row, source_split, question, choices, row.value("answer"))


class MMLUCF(_Exam):
    """MMLU-CF, or one of its 14 categories, from ``$TSLIB_DATA_DIR`` when that variable is set, else from the hub.

    The few-shot examples that the source calls ``dev`` are the training split. The authors keep the test split to
    themselves, so ``test`` is their validation split ``val`` here, as in OpenCompass. Files are CSV with the header
    ``Question,A,B,C,D,Answer``, or parquet with these columns, as on the hub. This reader was tested on rows of that
    shape, never on the real ones.
    """

    family = "mmlu-cf"
    title = "MMLU-CF"
    licence = "CDLA-Permissive-2.0"
    source = "https://huggingface.co/datasets/microsoft/MMLU-CF"
    splits = ("train", "test", "dev", "val")
    source_splits: ClassVar = {"train": "dev", "test": "val", "dev": "dev", "val": "val"}
    hub: Hub = Hub("microsoft/MMLU-CF", None, "c25b89a968a2062e422dd96ddf0fe3387507f0dd")
    layout = "mmlu-cf/{dev,val}/CATEGORY_{dev,val}.{csv,parquet}"
    parts = CATEGORIES

    def rows(self, source_split: str) -> tuple[list[Row], tuple[str, ...]]:
        """Rows of a split of the source, and the categories that the folder lacks."""

        def local(category: str) -> str:
            csv, parquet = (f"mmlu-cf/{source_split}/{category}_{source_split}.{kind}" for kind in ("csv", "parquet"))
            folder = data_dir() or Path()
            only_parquet = is_file(folder / parquet) and not is_file(folder / csv)
            return parquet if only_parquet else csv

        return find_rows(
            self, self._wanted, local, _read_table, lambda category: (self.hub, f"{category}_{source_split}")
        )

    def example(self, row: Row, source_split: str) -> Example | str:
        """Make an example of a row; one with a blank choice is not used."""
        question, choices = row.text("Question").strip(), [row.value(letter) for letter in LETTERS]
        return self._example(row, source_split, question, choices, row.text("Answer"))


def _spoken(subset: str) -> str:
    return subset.replace("_", " ").lower()


def _read_table(task: Task, path: Path) -> list[Row]:
    """Read a file of MMLU-CF, CSV or parquet by its name."""
    if path.suffix == ".csv":
        return read_csv(task, path, _CF_COLUMNS)
    import pyarrow
    import pyarrow.parquet

    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"{path}: expected a parquet file ({' '.join(str(error).split())[:200]})") from None
    except OSError as error:
        raise ResourceError(f"no rows for task {task.name}: {path} cannot be read ({error})") from error
    if not records:
        raise InputError(f"{path}: expected at least one row, found none")
    return [Row(index, f"{path} row {index}", record) for index, record in enumerate(records)]

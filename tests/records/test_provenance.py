"""What identifies the code of a record: what it computes, not where it stands or what is said of it."""

import functools

import pytest

from tslib.records import provenance
from tslib.records.provenance import NUMBERS, SAME_CODE, code, digest, same_bits

ONE = '''"""A module."""

import math

__all__ = ["double"]

FACTOR = 2
"""What doubles."""


def double(value: float) -> float:
    """Return twice a value."""
    return FACTOR * value  # in floating point


def half(value: float) -> float:
    return value / FACTOR
'''


def test_what_computes_nothing_does_not_count():
    bare = "FACTOR = 2\ndef double(value: float) -> float:\n    return FACTOR * value\n"
    rest = (
        "from elsewhere import FACTOR\n\ndef half(value: float) -> float:\n    return (value\n            / FACTOR)\n"
    )
    assert digest([ONE]) == digest([bare + rest]) == digest([rest, bare])


@pytest.mark.parametrize(
    ("old", "new"),
    [("FACTOR = 2", "FACTOR = 3"), ("FACTOR * value", "value * FACTOR"), ("half", "part")],
)
def test_what_computes_counts(old, new):
    assert old in ONE
    assert digest([ONE]) != digest([ONE.replace(old, new)])


def test_every_rule_finds_sources_and_a_change_of_one_changes_the_code(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "_defined", functools.cache(provenance._defined))  # one source changes at a time
    root = provenance.Path(provenance.__file__).parents[1]
    for rule in NUMBERS:
        found = sorted(root.glob(rule))
        assert found, rule
        (tmp_path / "tslib" / "records").mkdir(parents=True, exist_ok=True)
        for path in found:
            copy = tmp_path / "tslib" / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "tslib" / "records" / "provenance.py"))
    assert code.__wrapped__() == code()
    for rule in NUMBERS:
        (path, *_) = sorted((tmp_path / "tslib").glob(rule))
        before = path.read_text(encoding="utf-8")
        path.write_text(f"# a remark\n{before}", encoding="utf-8")
        assert code.__wrapped__() == code(), path
        path.write_text(f"{before}\nANEW = 1\n", encoding="utf-8")
        assert code.__wrapped__() != code(), path
        path.write_text(before, encoding="utf-8")


def test_records_of_before_the_move_are_of_the_same_code():
    """Their digest is of other files, and names the code that gave the same bits after it."""
    shared = dict.fromkeys(("packages", "platform", "machine", "device", "threads", "model", "dtype"), "x")
    ((old, new),) = SAME_CODE.items()
    assert same_bits(shared | {"code": old}, shared | {"code": new})
    assert same_bits(shared | {"code": new}, shared | {"code": old})
    assert not same_bits(shared | {"code": "0123456789ab"}, shared | {"code": new})
    assert not same_bits(shared, shared)  # a record that does not say promises nothing
    assert not same_bits(shared | {"code": old, "threads": "y"}, shared | {"code": new})


def test_bits_are_promised_only_where_the_same_lengths_were_replayed():
    promised = ("code", "packages", "platform", "machine", "device", "threads", "model", "dtype")
    one = dict.fromkeys(promised, "x") | {"replayed": {"run": "0" * 12, "lengths": "1" * 12}}
    assert same_bits(one, dict(one))
    assert not same_bits(one, one | {"replayed": {"run": "0" * 12, "lengths": "2" * 12}})
    assert not same_bits(one, dict.fromkeys(promised, "x"))


def test_bits_are_promised_only_where_no_product_is_by_other_kernels():
    promised = ("code", "packages", "platform", "machine", "device", "threads", "model", "dtype")
    one = dict.fromkeys(promised, "x")
    assert same_bits(one | {"kernels": {"mkl": "1x2x3"}}, one | {"kernels": {"mkl": "1x2x3 4x5x6"}})
    assert not same_bits(one | {"kernels": {"mkl": "1x2x3"}}, one | {"kernels": {"onednn": "1x2x3"}})
    assert same_bits(one, one | {"kernels": {"onednn": "1x2x3"}}), "of before it was said"

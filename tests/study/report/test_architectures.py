"""The table of architectures, from three that were made up."""

import json

from tslib.study.report.architectures import architectures, read_architectures


def test_three_by_hand(tmp_path):
    def found(way, states, questions, decoding):
        return {
            "rows": {"short": way, "long": "alone"},
            "states": {"short": states, "long": "no"},
            "questions": {"short": questions, "long": False},
            "decoding": decoding,
        }

    table = {
        "one": found("packed", "packed", True, "several rows"),
        "two": found("packed", "no", False, "no cache"),
        "three": {"refused": "it sees later tokens"},
    }
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"transformers": "5.0", "found": table}))
    rows = architectures(path)
    assert rows["architectures"].tolist() == [2, 0, 0, 1]
    assert rows["which"].tolist() == ["one, two", "", "", "three"]
    said = read_architectures(path)
    assert "of 3 architectures of transformers 5.0 were tried; for 2 of them" in said
    assert (
        "can be had with 1, and a question's states can be kept with 1. Decoded without a cache, which is slow, are 1"
        in said
    )

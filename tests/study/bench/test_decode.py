"""Both ways of decoding, on a small model and by hand."""

import torch

from tslib.study.bench import decode as bench_decode


def test_both_ways_decode_the_same_in_turns(tiny_folder, monkeypatch):
    order = []
    once = bench_decode.decoding.generate
    monkeypatch.setattr(bench_decode.decoding, "generate", lambda *a, **k: order.append("ours") or once(*a, **k))
    found = bench_decode.decode(3, tokens=5, rounds=2, model=str(tiny_folder))
    assert (found["rows"], found["tokens"], found["alike"]) == (3, 5, 1.0)
    assert {way: len(seconds) for way, seconds in found["seconds"].items()} == {"generate": 2, "ours": 2}
    assert all(one > 0 for seconds in found["seconds"].values() for one in seconds)
    assert order == ["ours"] * 3
    assert torch.is_grad_enabled()


def test_share_of_tokens_that_agree():
    assert bench_decode._alike([[1, 2], [3]], [[1, 5], [3, 4]]) == 0.5
    assert bench_decode._alike([[]], [[]]) == 1


def test_where_the_time_of_replies_goes(tiny_folder):
    spent = bench_decode.profile(2, tokens=4, model=str(tiny_folder))
    assert set(spent) == {"products", "attention", "rest"}
    assert all(seconds > 0 for seconds in spent.values())
    assert torch.is_grad_enabled()

"""What is timed of prompts that are tied to places: real steps, and a real look."""

from tslib.study.bench import places


def test_each_way_has_its_steps():
    found = places.steps(rounds=2, few=2, rows=1)
    assert {way: len(seconds) for way, seconds in found.items()} == {"static": 2, "grasp": 2}
    assert min(map(min, found.values())) > 0


def test_a_picture_is_drawn_and_looked_at():
    assert 0 < places.looking(pictures=2) < 60

"""Pictures."""

from pathlib import Path

from tyro.conf import OmitArgPrefixes

from tslib.commands.registry import command
from tslib.tuning.align_config import AlignConfig


@command
def align(config: OmitArgPrefixes[AlignConfig], file: Path | None = None) -> None:
    """Train the projector that lets a language model see pictures, and measure whether it does.

    That takes an hour and a quarter on two cores. What was trained is kept before it is measured: if that is
    interrupted, the same command goes on from there.

    Parameters
    ----------
    config
        How it is trained.
    file
        Where it goes, with its record beside it; by default data/projectors, where runs look for it.

    Examples
    --------
    python -m tslib align
    python -m tslib align --steps 20 --scenes 100 --file my-projector.safetensors
    """
    from tslib.tuning import alignment
    from tslib.vision.projector import Projector

    path = alignment.unmeasured(config, file)
    if path is None:
        path = alignment.keep(alignment.align(config)[0], file)
    else:
        print(f"{path} was trained before and is only measured")
    gate = alignment.measure_gate(Projector.read(path), config)
    alignment.record(path, gate)
    print(path)
    for kind, accuracy in gate.seen.items():
        print(f"{kind}: {accuracy:.3f} of the answers are right, blind {gate.blind[kind]:.3f}")
    print(
        f"presence and comparison: {100 * gate.difference:+.1f} points over the blind table (95 % interval "
        f"{100 * gate.low:+.1f} to {100 * gate.high:+.1f}, {gate.pictures} pictures); the gate asks for +10: "
        f"{'open' if gate.is_open else 'closed'}"
    )

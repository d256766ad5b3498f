"""Pictures."""

from pathlib import Path

from tyro.conf import OmitArgPrefixes

from tslib.commands.registry import command
from tslib.tuning.align_config import AlignConfig


@command
def align(config: OmitArgPrefixes[AlignConfig], file: Path | None = None) -> None:
    """Train the projector that lets a language model see pictures, and measure whether it does. Up to half an hour.

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
    from tslib.tuning.alignment import align as train
    from tslib.tuning.alignment import measure_gate, save_aligned

    projector, steps = train(config)
    gate = measure_gate(projector, config)
    print(save_aligned(projector, steps, gate, config, file))
    for kind, accuracy in gate.seen.items():
        print(f"{kind}: {accuracy:.3f} of the answers are right, blind {gate.blind[kind]:.3f}")
    print(
        f"presence and comparison: {100 * gate.difference:+.1f} points over the blind table (95 % interval "
        f"{100 * gate.low:+.1f} to {100 * gate.high:+.1f}, {gate.pictures} pictures); the gate asks for +10: "
        f"{'open' if gate.is_open else 'closed'}"
    )

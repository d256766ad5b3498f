"""The verdict on each of the paper's claims, computed from the records by the criteria of ``book/claims.md``.

That page was written before the runs and is where the criteria stand; a function here applies each. A claim whose runs
are not all there has no verdict yet, unless those that are there decide already ("in any of them ...").
"""

from collections.abc import Callable

from tslib.study.claims import held_out, iterations, structure
from tslib.study.claims.amended import AMENDED
from tslib.study.claims.criteria import Finding
from tslib.study.evidence import Evidence

__all__ = ["AMENDED", "JUDGES", "judge"]

JUDGES: dict[str, Callable[[Evidence], Finding]] = {
    "C1": structure.h0_count,
    "C2": structure.on_structure(structure.h1_falls),
    "C3": structure.multi_falls_faster,
    "C4": structure.on_structure(structure.h0_lengthens),
    "C5": structure.on_structure(structure.entropy_drops),
    "C6": structure.on_structure(structure.density_falls),
    "C7": structure.on_structure(structure.goes_with_accuracy),
    "C8": structure.on_structure(structure.other_features),
    "C9": iterations.fewer_everywhere,
    "C10": iterations.largest_for_the_smallest,
    "C11": iterations.weight,
    "C12": iterations.loss_near_zero,
    "C13": held_out.stable_and_compact,
    "C14": held_out.held_out,
    "C15": iterations.factors,
}


def judge(evidence: Evidence | None = None, *, amended: bool = False) -> dict[str, Finding]:
    """Return what the committed records say of each claim: as registered, or by the amended rules."""
    evidence = evidence or Evidence()
    return {claim: decide(evidence) for claim, decide in (AMENDED if amended else JUDGES).items()}

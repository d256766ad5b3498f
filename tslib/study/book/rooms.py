"""The rooms of the library: which file imports which, read from the sources, and the picture of it.

``python -m tslib.study.book.rooms`` draws ``book/figures/rooms.svg`` anew. A room is a package, or a module on top; one
imports only from rooms below it in `ORDER`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tslib.study.book.build import ROOT

__all__ = ["ORDER", "PICTURE", "arrows", "circle", "draw", "module_of", "room"]

ORDER = (
    *(
        "errors",
        "topology",
        "tasks",
        "models",
        "stats",
        "losses",
        "presets",
        "config",
        "kernels",
        "prompts",
        "vision",
        "records",
    ),
    *("tuning", "runs", "interop", "trainer", "study", "study.bench", "study.claims", "study.report", "study.plots"),
    *("study.book", "commands", "__main__"),
)
"""Rooms from the lowest to the highest; ``study`` alone is its files that lie in no package of its own."""

PICTURE = ROOT / "book" / "figures" / "rooms.svg"
"""Where the picture is kept."""

ABOUT = {
    "errors": "errors that a reader can act on",
    "topology": "what a cloud looks like",
    "tasks": "named benchmarks",
    "models": "named models, fetched and loaded",
    "stats": "statistics of paired, censored runs",
    "losses": "TSLoss and other regularisers",
    "presets": "settings by name",
    "config": "what defines a run",
    "kernels": "arithmetic of a frozen model",
    "prompts": "a soft prompt in a frozen model",
    "vision": "pictures, and prompts tied to places",
    "records": "what a run leaves behind",
    "tuning": "the loop",
    "runs": "many runs: store, sweeps, audits",
    "interop": "PEFT, Trainer, TRL",
    "study": "evidence of this study",
    "study.bench": "what a step costs",
    "study.claims": "verdicts on the paper's claims",
    "study.report": "sentences and tables",
    "study.plots": "figures",
    "study.book": "pages",
    "commands": "the command line",
}
"""The rooms of the picture, each in a few words."""


def module_of(path: Path, root: Path = ROOT) -> str:
    """Return a module's name without ``tslib.``; of the package itself an empty string."""
    parts = path.relative_to(root / "tslib").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """Return the room of a module: the longest of `ORDER` that its name begins with.

    Raises
    ------
    ValueError
        If it is in none.
    """
    found = [name for name in ORDER if module == name or module.startswith(f"{name}.")]
    if not found:
        raise ValueError(f"tslib.{module} is in no room: add it to ORDER of tslib.study.book.rooms, or move it")
    return max(found, key=len)


def arrows(root: Path = ROOT) -> Iterator[tuple[str, str, bool]]:
    """Yield what imports what: two modules, and whether the import stands in a function."""
    paths = {module_of(path, root): path for path in sorted((root / "tslib").rglob("*.py"))}
    for module, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            for name in _imported(node):
                target = name if name in paths else name.rpartition(".")[0]
                if target in paths and target not in ("", module):
                    yield module, target, node in inside


def _imported(node: ast.AST) -> list[str]:
    """Return what of tslib a statement imports, without ``tslib.``; of ``from`` each name as if it were a module."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return []
    return [name.removeprefix("tslib.") for name in names if name.startswith("tslib.")]


def circle(found: set[tuple[str, str]]) -> list[str]:
    """Return the names along a circle of arrows, the first one again at the end; nothing where there is none."""
    after: dict[str, list[str]] = {}
    for one, other in sorted(found):
        after.setdefault(one, []).append(other)
    done: set[str] = set()

    def follow(path: list[str]) -> list[str]:
        for name in after.get(path[-1], []):
            if name in path:
                return [*path[path.index(name) :], name]
            if name not in done and (ahead := follow([*path, name])):
                return ahead
        done.add(path[-1])
        return []

    return next((ahead for name in after if name not in done and (ahead := follow([name]))), [])


def draw(root: Path = ROOT) -> str:
    """Return the picture as SVG: one row a room, the highest on top, with a mark below each room that it imports.

    A pale mark is a name of before a move, handed on when it is asked for.
    """
    pairs = {(room(one), room(other)) for one, other, _ in arrows(root) if one}
    rooms = [name for name in ORDER if name in ABOUT]
    size, left, top = 24, 400, 116
    width, height = left + size * len(rooms) + 60, top + size * len(rooms) + 8
    marks = []
    for row, name in enumerate(reversed(rooms)):
        y = top + size * row
        marks.append(f'<text x="8" y="{y + 16}" font-weight="bold">{name}</text>')
        marks.append(f'<text x="124" y="{y + 16}">{ABOUT[name]}</text>')
        for column, other in enumerate(rooms):
            x = left + size * column
            colour = "#999" if name == other else "#0b5394" if (name, other) in pairs else "#eee"
            if ORDER.index(name) < ORDER.index(other) and (name, other) in pairs:
                colour = "#9fc5e8"  # handed on when it is asked for
            marks.append(f'<rect x="{x + 2}" y="{y + 2}" width="{size - 4}" height="{size - 4}" fill="{colour}"/>')
    for column, name in enumerate(rooms):
        x = left + size * column + 16
        marks.append(f'<text x="{x}" y="{top - 6}" transform="rotate(-60 {x} {top - 6})">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="14">\n<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(marks) + "\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE)

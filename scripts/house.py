"""Counts what keeps the code readable: files, lines, long files and functions, circles, modules that nothing
but tests imports. A report, not a limit: run by `make check`, it fails nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nattools"
LONG_FILE = 400
LONG_FUNCTION = 50


def module_of(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, known: set[str]) -> Iterator[tuple[str, bool]]:
    """The package's modules that a tree imports, and whether that happens at once, not in a function or for
    types alone."""
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        if not isinstance(node, ast.If) or "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            late.add(id(node))  # imported by its name
            names = [node.value]
        for name in names:
            if name in known:
                yield name, id(node) not in late


def reachable(starts: set[str], graph: dict[str, set[str]]) -> set[str]:
    """All modules that the starts lead to; with a module come the packages that it is in."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in found and name in graph:
            found.add(name)
            waiting += [*graph[name], name.rpartition(".")[0]]
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that need each other (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            cut = stack.index(name)
            if len(stack) - cut > 1:
                found.append(sorted(stack[cut:]))
            del stack[cut:]

    for name in graph:
        if name not in index:
            visit(name)
    return found


def long_functions(path: Path, tree: ast.AST) -> Iterator[str]:
    """Functions of more lines than can be seen at once."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONG_FUNCTION:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}, {lines} lines"


def started_by_name(texts: list[str]) -> set[str]:
    """Modules that are started as programs: `-m nattools.x`, or by their name in a list of arguments."""
    pattern = re.compile(r"""-m["', ]+(nattools[\w.]*)""")
    return {name for text in texts for name in pattern.findall(text)}


def names_used_twice(trees: dict[Path, ast.Module]) -> tuple[list[str], list[str]]:
    """Public classes, and modules, that share their name with another."""
    classes: dict[str, list[str]] = {}
    modules: dict[str, list[str]] = {}
    for path, tree in trees.items():
        name = module_of(path)
        if not path.stem.startswith("__"):
            modules.setdefault(path.stem, []).append(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(name)
    found = [
        sorted(f"{one}: {', '.join(places)}" for one, places in table.items() if len(places) > 1)
        for table in (classes, modules)
    ]
    return found[0], found[1]


def tell(what: str, rows: list[str]) -> None:
    """A count, and what is counted."""
    print(f"{what}: {len(rows)}")
    for row in rows:
        print(f"  {row}")


def main() -> None:
    """Print the counts."""
    paths = sorted(PACKAGE.rglob("*.py"))
    texts = {path: path.read_text() for path in paths}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    known = {module_of(path) for path in paths}
    graph: dict[str, set[str]] = {}
    at_once: dict[str, set[str]] = {}
    for path, tree in trees.items():
        found = set(imports(tree, known))
        graph[module_of(path)] = {name for name, _ in found}
        at_once[module_of(path)] = {name for name, soon in found if soon} - {module_of(path)}
    starts = {"nattools.__main__"} | started_by_name([*texts.values(), (ROOT / "Makefile").read_text()])
    lines = {path.relative_to(ROOT): text.count("\n") for path, text in texts.items()}
    classes, modules = names_used_twice(trees)
    print(f"nattools/: {len(paths)} files, {sum(lines.values()):,} lines")
    tell(f"files over {LONG_FILE} lines", [f"{path} {n}" for path, n in lines.items() if n > LONG_FILE])
    tell(f"functions over {LONG_FUNCTION} lines", [row for p in paths for row in long_functions(p, trees[p])])
    tell("import circles", [" <-> ".join(names) for names in circles(at_once)])
    tell("modules that only tests import", sorted(known - reachable(starts, graph)))
    tell("class names used more than once", classes)
    tell("module names used more than once", modules)


if __name__ == "__main__":
    main()

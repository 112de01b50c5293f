"""A hash of the code that a job runs, which is part of each rule's parameters.

Snakemake tracks scripts by modification time and imported modules not at all. This hash covers a script and all
faithtune modules that it imports, directly or not. It ignores what cannot change a result: comments, formatting,
docstrings, and the texts of errors, warnings and log lines.
"""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = "faithtune"
# Functions whose text arguments are messages, besides `raise`.
_MESSAGE_FUNCTIONS = ("print", "warn")
_SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_fingerprint(script: str | Path, *modules: str) -> str:
    """sha256 (hex) of a script's code; modules: further faithtune modules, which it imports by name at run time.

    >>> code_fingerprint("workflow/scripts/questions.py", "faithtune.data.gsm8k")  # doctest: +SKIP
    """
    script = Path(script).resolve()
    pending, seen = [script, *(p for m in modules for p in _files(m, script.parent))], {}
    while pending:
        path = pending.pop()
        if path not in seen:
            seen[path], imported = _parse(path, path.stat().st_mtime_ns)
            pending += [file for name in imported for file in _files(name, script.parent)]
    names = sorted((str(path.relative_to(script.parent)), digest) for path, digest in seen.items())
    return hashlib.sha256(repr(names).encode()).hexdigest()


@functools.cache
def _parse(path: Path, mtime_ns: int) -> tuple[str, list[str]]:
    """(digest of a file's statements, names that it imports from faithtune)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and _is_message(node.value)):
            for call in ast.walk(node):
                if isinstance(call, ast.Call):
                    call.args = [ast.Constant("text") if _is_text(argument) else argument for argument in call.args]
        if isinstance(node, _SCOPES):
            node.body = [part for part in node.body if not _is_description(part)] or [ast.Pass()]
    imported = [name for name in imported if name.split(".")[0] == PACKAGE]
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest(), imported


def _is_message(node: ast.expr) -> bool:
    """Whether an expression calls one of _MESSAGE_FUNCTIONS, of whatever module."""
    function = getattr(node, "func", None)
    return getattr(function, "attr", getattr(function, "id", None)) in _MESSAGE_FUNCTIONS


def _is_description(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, of a setting too."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a string, literal or formatted."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _plain(node: ast.AST | list | object) -> tuple | str | None:
    """A syntax tree without empty fields, the same for all versions of Python (`ast.dump` differs)."""
    if isinstance(node, ast.AST):
        fields = ((name, _plain(value)) for name, value in ast.iter_fields(node))
        return type(node).__name__, *(field for field in fields if field[1] not in (None, ()))
    if isinstance(node, list):
        return tuple(map(_plain, node))
    return None if node is None else repr(node)


@functools.cache
def _files(name: str, root: Path) -> list[Path]:
    """The files that importing a dotted name executes, packages included."""
    parts = name.split(".")
    files = [root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    return [file for file in (*files, root.joinpath(*parts).with_suffix(".py")) if file.is_file()]

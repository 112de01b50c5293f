"""Which code a job really runs, as a hash.

Snakemake tracks scripts by modification time and imported modules not at all.
This hash covers a script and every faithtune module that it imports, however
indirectly, and leaves out what cannot change a result: comments, layout,
docstrings, and the texts of errors, warnings and log lines. It is part of each rule's parameters.
"""

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = "faithtune"
# Functions that tell a user something; errors do so where they are raised.
_TELLING = ("print", "warn")
_SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_fingerprint(script: str | Path, *modules: str) -> str:
    """sha256 (hex) of a script's code; `modules` are first-party modules it loads by name.

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
    """Digest of a file's statements, and the first-party names it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and _tells(node.value)):
            for call in ast.walk(node):
                if isinstance(call, ast.Call):
                    call.args = [ast.Constant("text") if _is_text(argument) else argument for argument in call.args]
        if isinstance(node, _SCOPES):
            node.body = [part for part in node.body if not _is_description(part)] or [ast.Pass()]
    imported = [name for name in imported if name.split(".")[0] == PACKAGE]
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest(), imported


def _tells(node: ast.expr) -> bool:
    """Whether an expression is a call of one of _TELLING, in whatever module."""
    function = getattr(node, "func", None)
    return getattr(function, "attr", getattr(function, "id", None)) in _TELLING


def _is_description(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, or a text below a key of the settings that describes it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is a text, written out or formatted."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _plain(node: ast.AST | list | object) -> tuple | str | None:
    """A syntax tree without its empty fields: so all Pythons write it down alike (`ast.dump` differs)."""
    if isinstance(node, ast.AST):
        fields = ((name, _plain(value)) for name, value in ast.iter_fields(node))
        return type(node).__name__, *(field for field in fields if field[1] not in (None, ()))
    if isinstance(node, list):
        return tuple(map(_plain, node))
    return None if node is None else repr(node)


def _files(name: str, root: Path) -> list[Path]:
    """The files that importing a dotted name would execute, packages included."""
    parts = name.split(".")
    files = [root.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)]
    return [file for file in (*files, root.joinpath(*parts).with_suffix(".py")) if file.is_file()]

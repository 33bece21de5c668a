"""Plug-in files as text: what a file imports and which classes it has; nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import UserError

_GIVEN = frozenset({"root", "split"})
"""Arguments of a data set's constructor that are not options: the harness gives them."""


class _Unknown:
    """A value that is required or computed, so that the text does not tell it."""

    def __repr__(self) -> str:
        return "…"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Attribute:
    """A value that the body of a class sets.

    Attributes:
        name: of the attribute.
        node: the value's expression.
        line: where it is set.
        annotated: whether its type stands there.
    """

    name: str
    node: ast.expr
    line: int
    annotated: bool

    @property
    def value(self) -> Any:
        """The value, `UNKNOWN` where it is not a literal."""
        return _literal(self.node)

    def line_of(self, path: tuple[Any, ...]) -> int:
        """The line of what stands inside the value at these keys and indices."""
        node, line = self.node, self.line
        for step in path:
            if isinstance(node, ast.Dict):
                inside = {_literal(k): v for k, v in zip(node.keys, node.values, strict=True)}
            elif isinstance(node, (ast.Tuple, ast.List)):
                inside = dict(enumerate(node.elts))
            else:
                break
            if step not in inside:
                break
            node = inside[step]
            line = node.lineno
        return line


@dataclass(frozen=True)
class ClassText:
    """A class as it is written.

    Attributes:
        name: of the class.
        line: where it begins.
        bases: its base classes as written, e.g. `base.Detector`; other expressions are left out.
        attributes: set in its body, in order.
        methods: number of arguments of each method, without `self`.
        names: all that its body defines or declares.
        options: its constructor's arguments with their defaults, None without a constructor.
        doc: its docstring.
    """

    name: str
    line: int
    bases: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    methods: dict[str, int]
    names: frozenset[str]
    options: dict[str, Any] | None
    doc: str

    @property
    def registry_name(self) -> str | None:
        """The value of its `name`, if that is a string."""
        found = [a.value for a in self.attributes if a.name == "name"]
        return found[-1] if found and isinstance(found[-1], str) else None


@dataclass(frozen=True)
class SourceFile:
    """A scanned file.

    Attributes:
        path: where it is.
        module: its dotted name, e.g. `detectors.mshnet`; of a plug-in file its stem.
        builtin: whether `module` can be imported.
        imports: what its imports (and plain `A = B` beside them) bind, as dotted names.
        classes: those at the top level.
        nested: those inside an `if`, `try` or `with`.
    """

    path: Path
    module: str
    builtin: bool
    imports: dict[str, str]
    classes: tuple[ClassText, ...]
    nested: tuple[ClassText, ...]

    def dotted(self, name: str) -> str | None:
        """The full name that `name` stands for in this file, None for one that it does not bind."""
        head, dot, rest = name.partition(".")
        if head in self.imports:
            return self.imports[head] + dot + rest
        return f"{self.module}.{name}" if any(c.name == head for c in self.classes) else None


def read_file(path: Path, package: str | None = None) -> SourceFile:
    """Parse a file.

    Args:
        path: of the file.
        package: the one it belongs to; None for a plug-in file.

    Raises:
        UserError: it cannot be read, or is not valid Python.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as Python source ({error})") from None
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from None
    module = path.stem if package is None else f"{package}.{path.stem}"
    imports: dict[str, str] = {}
    classes: list[ClassText] = []
    nested: list[ClassText] = []
    for node, at_top in _statements(tree.body):
        if isinstance(node, ast.ClassDef):
            (classes if at_top else nested).append(_class(node))
        else:
            imports |= _bound(node, module, imports)
    return SourceFile(path, module, package is not None, imports, tuple(classes), tuple(nested))


def _statements(body: list[ast.stmt], at_top: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """The statements of a module, and whether each is at the top level."""
    for node in body:
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            inner += [s for handler in getattr(node, "handlers", []) for s in handler.body]
            yield from _statements(inner, at_top=False)
        else:
            yield node, at_top


def _bound(node: ast.stmt, module: str, known: dict[str, str]) -> dict[str, str]:
    """Names that an import statement binds, or an assignment of an imported name to another."""
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]:
            alias.name if alias.asname else alias.name.partition(".")[0]
            for alias in node.names
        }  # fmt: skip
    if isinstance(node, ast.ImportFrom):
        above = module.split(".")[: -node.level] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        names = [alias for alias in node.names if alias.name != "*"]
        return {a.asname or a.name: f"{origin}.{a.name}".lstrip(".") for a in names}
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, name = node.targets[0], _name(node.value)
        head, dot, rest = (name or "").partition(".")
        if isinstance(target, ast.Name) and head in known:
            return {target.id: known[head] + dot + rest}
    return {}


def _class(node: ast.ClassDef) -> ClassText:
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    attributes = tuple(_attributes(node))
    declared = [i.target for i in node.body if isinstance(i, ast.AnnAssign)]
    names = {a.name for a in attributes} | {m.name for m in methods}
    names |= {target.id for target in declared if isinstance(target, ast.Name)}
    return ClassText(
        node.name,
        node.lineno,
        tuple(name for name in map(_name, node.bases) if name),
        attributes,
        {m.name: len([*m.args.posonlyargs, *m.args.args]) - 1 for m in methods},
        frozenset(names),
        next((_options(m.args) for m in methods if m.name == "__init__"), None),
        ast.get_docstring(node) or "",
    )


def _attributes(node: ast.ClassDef) -> Iterator[Attribute]:
    """Attributes that the body of a class sets; `a, b = 1, 2` sets two."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and item.value is not None:
            if isinstance(item.target, ast.Name):
                yield Attribute(item.target.id, item.value, item.lineno, annotated=True)
        elif isinstance(item, ast.Assign):
            for target in item.targets:
                for name, value in _pairs(target, item.value):
                    yield Attribute(name, value, item.lineno, annotated=False)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Names that an assignment sets, each with its value (or the whole one's)."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
        if len(parts) != len(target.elts):
            parts = [ast.Name("computed")] * len(target.elts)
        for one, part in zip(target.elts, parts, strict=True):
            yield from _pairs(one, part)


def _options(args: ast.arguments) -> dict[str, Any]:
    """Arguments of `__init__` with their defaults."""
    named = [*args.posonlyargs, *args.args][1:]  # without self
    defaults = [None] * (len(named) - len(args.defaults)) + args.defaults
    pairs = [*zip(named, defaults, strict=True)]
    pairs += zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return {a.arg: _literal(d) for a, d in pairs if a.arg not in _GIVEN}


def _literal(node: ast.expr | None) -> Any:
    try:
        return UNKNOWN if node is None else ast.literal_eval(node)
    except (ValueError, TypeError):  # TypeError: a key that cannot be one
        return UNKNOWN


def _name(node: ast.expr) -> str | None:
    """A dotted name as it is written, None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _name(node.value)
        return before and f"{before}.{node.attr}"
    return None

"""Classes that look like plug-ins but are not registered: each is named, with the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.registry.inherit import Family
from benchmark.registry.scan import ClassText, SourceFile


def lookalikes(files: Sequence[SourceFile], families: Sequence[Family]) -> list[str]:
    """A line for each class in scanned files that seems to be meant as a plug-in but is not one.

    A class looks like one if it sets `name = "..."` and has a base or a `forward`, if a base of
    unknown origin is named like those of plug-ins, or if it derives from a plug-in's base class
    without a name and is nobody's base.

    Args:
        files: those that were scanned.
        families: of the kinds that were looked for in them.
    """
    return [line for file in files for line in _of_file(file, families)]


def _of_file(file: SourceFile, families: Sequence[Family]) -> Iterator[str]:
    for text in (*file.classes, *file.nested):
        if text.name.startswith("_"):
            continue
        place = f"{file.path}, line {text.line}: class {text.name}"
        of_kind = next((f for f in families if f.has(file, text)), None)
        would_be = next((f for f in families if f.parent(file, text)), None)
        if of_kind is not None:
            if text.registry_name is None and not of_kind.is_base(file, text):
                yield f'{place} is a {of_kind.kind} without a name: add name = "..."'
        elif would_be is not None:  # of the nested ones
            yield (
                f"{place} is a {would_be.kind} inside an if, try or with, where it is not looked "
                "for: define it at the top level of the file"
            )
        elif _has_name(text) or _sounds(file, text, families) is not None:
            yield f"{place} {_unknown_base(file, text, families)}"


def _unknown_base(file: SourceFile, text: ClassText, families: Sequence[Family]) -> str:
    family = (
        _sounds(file, text, families)
        or _called(text.name, families)
        or next((f for f in families if f.kind == _kind_of_methods(text)), None)
    )
    roots = [f.root for f in families] if family is None else [family.root]
    what = "plug-in" if family is None else family.kind
    named = ", ".join(f"'{base}'" for base in text.bases)
    why = {0: "it has no base", 1: f"its base {named} is not known"}
    return (
        f"looks like a {what} but {why.get(len(text.bases), f'its bases {named} are not known')}: "
        f"derive it from {' or '.join(roots)}"
    )


def _kind_of_methods(text: ClassText) -> str:
    """The kind whose classes have such methods; "" if none has."""
    if "forward" in text.methods:  # of images; or of logits, target and epoch
        return "detector" if text.methods["forward"] == 1 else "loss"
    return "dataset" if "read" in text.methods else ""


def _has_name(text: ClassText) -> bool:
    return text.registry_name is not None and bool(text.bases or "forward" in text.methods)


def _sounds(file: SourceFile, text: ClassText, families: Sequence[Family]) -> Family | None:
    """The kind whose base class has the name of a base of this class, unless that is torch's."""
    theirs = [base for base in text.bases if not (file.dotted(base) or "").startswith("torch.")]
    return next((f for base in theirs if (f := _called(base, families))), None)


def _called(name: str, families: Sequence[Family]) -> Family | None:
    return next((f for f in families if name.endswith(f.root.rpartition(".")[2])), None)

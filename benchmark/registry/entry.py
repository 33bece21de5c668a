"""A registered plug-in: everything known about it, and how its class is imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from benchmark.registry.info import DatasetInfo, PluginInfo

I = TypeVar("I", bound=PluginInfo)  # noqa: E741  # the information of one kind


@dataclass(frozen=True)
class Entry(Generic[I]):
    """A registered class, as read from its source.

    Attributes:
        name: registry key, e.g. `mshnet`.
        file: where it is defined.
        class_name: the class in that file.
        module: dotted name for built-ins, None for plug-in files.
        info: its declarations, inherited ones included.
        places: where each declared attribute stands (`FILE, line N: CLASS.ATTRIBUTE`), in the
            order of declaration; what is not declared has its default.
        options: its constructor's arguments with their defaults, `UNKNOWN` where not a literal.
        doc: its docstring.
    """

    name: str
    file: Path
    class_name: str
    module: str | None
    info: I = field(hash=False)
    places: dict[str, str] = field(hash=False)
    options: dict[str, Any] = field(hash=False)
    doc: str

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    @property
    def variant_is_path(self) -> bool:
        """Whether the place of a variant in the name holds the path to the data."""
        return isinstance(self.info, DatasetInfo) and self.info.variant_is_root

    def of_variant(self, variant: str | None) -> Self:
        """The same with the declarations of a variant; None is the default one."""
        own = dict(self.info.variant_data.get(variant or "", {}))
        if self.variant_is_path and variant is not None:
            own["needs_root"] = False
        if not own:
            return self
        places = self.places | dict.fromkeys(own, self.places.get("variant_data", str(self.file)))
        return replace(self, info=self.info.replaced(own), places=places)

    def load(self) -> type[Any]:
        """Import the file and return the class."""
        if self.module is not None:
            module = importlib.import_module(self.module)
        else:
            key = f"_plugin_{self.file.stem}"
            known = sys.modules.get(key)
            if known is not None and Path(str(known.__file__)) == self.file:
                module = known
            else:
                spec = importlib.util.spec_from_file_location(key, self.file)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                sys.modules[key] = module
                try:
                    spec.loader.exec_module(module)
                except BaseException:
                    del sys.modules[key]
                    raise
        return getattr(module, self.class_name)

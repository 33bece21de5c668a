"""Names for people and for folders on disk."""

from __future__ import annotations

import re
from pathlib import PurePath

_SPECIAL = re.compile(r"[^\w.=:+-]")


def short_dataset(name: str) -> str:
    """The name of a data set without the way to it: `folder:/home/me/night` is `folder:night`.

    What would be special in a table, a link or a file name becomes an underscore there.
    """
    key, _, rest = name.partition(":")
    if "/" not in rest:
        return name
    return f"{key}:{_SPECIAL.sub('_', PurePath(rest).name)}"

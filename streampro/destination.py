"""Where rows are written that leave the warehouse: a file, or a database."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote, urlsplit

from streampro.errors import ConfigError, PipelineError, hide
from streampro.names import MASK

KINDS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".json": "json",
    ".xlsx": "xlsx",
}
"""The kind of a file by how its name ends."""
POSTGRES = "postgresql"
_SCHEMES = {"postgresql": POSTGRES, "postgres": POSTGRES}
_VARIABLE = re.compile(r"\$\{\w+\}|\$\w+")


@dataclass(frozen=True)
class Destination:
    """What a text such as `out/revenue.csv` or `postgresql://host/db` says.

    Attributes:
        text: the text, in which `${NAME}` stands for a variable of the environment.
        kind: `postgresql`, or one of `KINDS`; empty where only the variable tells.
    """

    text: str
    kind: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file on this machine."""
        return self.kind != POSTGRES

    def resolved(self) -> "Destination":
        """Return it with the values of variables, which no message shows from then on; those
        within a URL are quoted. Raises `ConfigError` for one that is not set.
        """
        template = Template(self.text)
        values = {}
        for name in template.get_identifiers():
            if name not in os.environ:
                raise ConfigError(f"{self.text!r} uses ${{{name}}}, which is not set.")
            values[name] = os.environ[name]
            hide(values[name], f"${{{name}}}")
        if self.kind == POSTGRES:
            values = {name: quote(value, safe="") for name, value in values.items()}
        text = template.substitute(values)
        if password := _password(text):
            hide(password, MASK)
        return Destination(text, self.kind or _kind_of(text, self.text, ConfigError))

    @property
    def path(self) -> Path:
        """The path of a file."""
        return Path(self.text)


def destination_of(text: str, kind: Callable[[str], Exception] = PipelineError) -> Destination:
    """Return what a text says. Raises an error of a kind for one that says nothing, and for a
    password in it: that is given as `${NAME}`.
    """
    try:
        if not Template(text).is_valid():
            raise ValueError("a dollar sign that stands for itself is written $$")
        password = _password(text)
    except ValueError as error:
        raise kind(f"'to' cannot be read: {error}.") from error
    if password and not _VARIABLE.fullmatch(password):
        raise kind(
            "'to' holds a password. Put it into the environment, and write its name instead: "
            "postgresql://me:${PGPASSWORD}@host/database."
        )
    is_variable = bool(_VARIABLE.fullmatch(text))
    return Destination(text, "" if is_variable else _kind_of(text, text, kind))


def _kind_of(text: str, shown: str, kind: Callable[[str], Exception]) -> str:
    scheme, separator, _ = text.partition("://")
    found = _SCHEMES.get(scheme.lower()) if separator else _kind_of_file(text)
    if found is None:
        raise kind(
            f"to is {shown!r}, but must be a file on this machine whose name ends in "
            f"{', '.join(KINDS)}, or postgresql://..."
        )
    return found


def _kind_of_file(text: str) -> str | None:
    name = text.lower()
    return next((kind for suffix, kind in KINDS.items() if name.endswith(suffix)), None)


def _password(text: str) -> str | None:
    """Return the password that a URL tells."""
    if "://" not in text:
        return None
    url = urlsplit(text)
    inside = parse_qs(url.query).get("password", [])
    return next((each for each in (url.password, *inside) if each), None)

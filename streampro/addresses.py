"""Where databases are, and how their tables are called."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from string import Template
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from streampro.errors import ConfigError, did_you_mean, hide
from streampro.names import MASK

SCHEMES = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
"""The kind of a database by how its address begins."""
_EXTRACTED = f"extracted-{token_hex()}"
"""How the address of a folder begins in which all tables lie already, for trials; no configuration
can say it.
"""
PORTS = {"postgresql": 5432, "mysql": 3306}
_SECRET = re.compile("passw", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{\w+\}|\$\w+")
_TABLE = re.compile(r'([^/]+)/((?:"(?:[^"]|"")+"|[^".]+)(?:\.(?:"(?:[^"]|"")+"|[^".]+))?)')
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True)
class Address:
    """What a URL says; `shown` tells it without user and password."""

    kind: str
    host: str
    port: int | None
    user: str | None
    database: str
    options: dict[str, str] = field(repr=False)
    shown: str
    password: str | None = field(repr=False, default=None)

    def dataset(self, table: Sequence[str]) -> tuple[str, str]:
        """Return the namespace and the name that OpenLineage gives a table."""
        if self.kind == "sqlite":
            return "file", f"{Path(self.database).absolute().as_posix()}/{'.'.join(table)}"
        kind = "postgres" if self.kind == "postgresql" else self.kind
        port = self.port or PORTS[self.kind]
        return f"{kind}://{self.host}:{port}", ".".join((self.database, *table))


def wanted_table(file: str) -> str | None:
    """Return what the name of a table must be like, None if it can be read."""
    if _TABLE.fullmatch(file) and "\0" not in file:
        return None
    return (
        "a database of the target and a table in it, such as 'crm/users' or 'crm/public.users'; a "
        "name with a dot or a quote in it is put in double quotes, as 'crm/public.\"odd.name\"'"
    )


def table_of(file: str) -> tuple[str, tuple[str, ...]]:
    """Return the database that a file of a source names, and the parts of its table's name."""
    found = _TABLE.fullmatch(file)
    assert found, "refused before"
    parts = (quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(found[2]))
    return found[1], tuple(parts)


def checked(url: str) -> str:
    """Return a setting that says where a database is. Raises `ValueError` for what says nothing,
    and for a password in it: that is given as `${NAME}`.
    """
    _refuse_passwords(url)
    if not Template(url).is_valid():
        raise ValueError("a dollar sign that stands for itself is written $$")
    if _VARIABLE.fullmatch(url):
        return url
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in (*SCHEMES, _EXTRACTED):
        hint = did_you_mean(scheme, [*SCHEMES]) if "://" in url else ""
        raise ValueError(
            f"it must be sqlite:///file.db, postgresql://... or mysql://... {hint}".strip()
        )
    return url


def _refuse_passwords(url: str) -> None:
    """Raise `ValueError` for a password that stands in a setting, whatever else is wrong with it;
    no message shows it from then on.
    """
    _, _, rest = url.partition("://")
    user, _, place = rest.rpartition("@")
    options = parse_qsl(place.partition("?")[2])
    given = [user.partition(":")[2], *(value for key, value in options if _SECRET.search(key))]
    for password in given:
        if password and not _VARIABLE.fullmatch(password):
            hide(password, MASK)
            raise ValueError(
                "a password stands in the environment, and its name here: "
                "postgresql://me:${PGPASSWORD}@host/database"
            )


def address_of(name: str, url: str) -> Address:
    """Return where the database of a name is. Values of variables within a URL are quoted, and no
    message shows them from then on.

    Raises `ConfigError` for a variable that is not set, and for what is no address.
    """
    values = {}
    for variable in Template(url).get_identifiers():
        if variable not in os.environ:
            raise ConfigError(f"database {name!r} uses ${{{variable}}}, which is not set.")
        values[variable] = os.environ[variable]
        hide(values[variable], f"${{{variable}}}")
    if not _VARIABLE.fullmatch(url):
        values = {key: quote(value, safe="") for key, value in values.items()}
    text = Template(url).substitute(values)
    try:
        found = urlsplit(text)
        kind, port = SCHEMES.get(found.scheme.lower()), found.port
    except ValueError:
        kind, port, found = None, None, urlsplit("")
    if kind is None:
        raise ConfigError(
            f"database {name!r}: its address is none of sqlite:///file.db, postgresql://... and "
            "mysql://..."
        )
    password = unquote(found.password) if found.password else None
    if password:
        hide(password, MASK)
    path = unquote(found.path)
    if kind == "sqlite":
        if found.netloc or len(path) < 2 or found.query or found.fragment:
            raise ConfigError(
                f"database {name!r}: a file of SQLite is sqlite:///in/this/folder.db, or "
                "sqlite:////from/the/root.db; ? and # in its name are %3F and %23."
            )
        return Address(kind, "", None, None, path[1:], {}, f"sqlite:///{path[1:]}")
    host = found.hostname or "localhost"
    shown = f"{kind}://{host}{f':{port}' if port else ''}{path}"
    options = dict(parse_qsl(found.query))
    user = unquote(found.username) if found.username else None
    return Address(kind, host, port, user, path[1:], options, shown, password)


def extracted(folder: Path) -> str:
    """Return the address that says that all tables lie in a folder already."""
    return f"{_EXTRACTED}://{folder.absolute()}"


def folder_of(url: str) -> Path | None:
    """Return the folder that such an address says, None for another."""
    start = f"{_EXTRACTED}://"
    return Path(url.removeprefix(start)) if url.startswith(start) else None

"""How templates become pages and drawings: whatever stands in the data is text, never markup."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from streampro.errors import printable


@cache
def environment(*packages: str) -> Environment:
    """Return what renders the folder `templates` of packages of ours, of the first that has one."""
    return Environment(
        loader=ChoiceLoader([*map(PackageLoader, packages)]),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(package: str, name: str) -> Markup:
    """Return a file of such a folder, which goes into a page as it is."""
    return Markup((files(package) / "templates" / name).read_text(encoding="utf-8"))


def _shown(value: Any) -> Any:
    """Return a text of the data with its control signs as escapes; markup is our own."""
    return printable(value) if type(value) is str else value

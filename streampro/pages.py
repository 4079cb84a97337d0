"""How templates become pages and drawings: whatever stands in the data is text, never markup."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from streampro.errors import printable


def environment(package: str) -> Environment:
    """Return what renders the folder `templates` of a package of ours."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Return a text of the data with its control signs as escapes; markup is our own."""
    return printable(value) if type(value) is str else value

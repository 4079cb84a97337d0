"""A new project: a small pipeline of one source and two models that runs and is tested at once.

The files of `template` are its files, rendered by Jinja: `{name}` in a path is the project's name,
`gitignore` becomes `.gitignore`.
"""

import json
import keyword
import re
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from streampro.errors import ConfigError, writes

_TEMPLATE = Path(__file__).parent / "template"
_SUFFIX = ".jinja"


def create(name: str, folder: Path = Path()) -> Path:
    """Make the project `name` in a folder of that name inside `folder`, and return its folder.

    It asks pip for the StreamPro that makes it. Raises `ConfigError` for a name that no package can
    have and for a folder that is not empty.
    """
    _refuse_unfit(name)
    project = folder / name
    values = {"name": name, "requirement": requirement_of(distribution("streampro"))}
    jinja = Environment(keep_trailing_newline=True, undefined=StrictUndefined)
    with writes(project):
        if project.is_dir() and any(project.iterdir()):
            raise ConfigError(f"{project} is not empty. Choose another name, or remove it.")
        for template in sorted(_TEMPLATE.rglob(f"*{_SUFFIX}")):
            place = project / _place(template, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            text = template.read_text(encoding="utf-8")
            place.write_text(jinja.from_string(text).render(values), encoding="utf-8")
    return project


def requirement_of(installed: Distribution) -> str:
    """Return how pip can install again what is installed.

    What came from a folder, a file or a repository is found there, as pip has recorded it
    (PEP 610); anything else is a version of a package index.
    """
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if "url" not in origin:
        return f"{installed.name}=={installed.version}"
    url = origin["url"]
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{installed.name} @ {url}"


def _refuse_unfit(name: str) -> None:
    folders = {path.name for path in _TEMPLATE.iterdir()} | {"warehouse"}
    if not re.fullmatch("[a-z]([a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(name):
        wrong = "is no name that a Python package can have"
    elif name in folders:
        wrong = "is a folder of every project"
    elif _is_taken(name):
        wrong = "is a package already, which the project would hide"
    else:
        return
    raise ConfigError(
        f"{name!r} {wrong}. Take lower-case letters, digits and _, such as 'my_sensors'."
    )


def _is_taken(name: str) -> bool:
    """Tell whether a module or package is installed; a folder without code does not count."""
    found = find_spec(name)
    return found is not None and found.origin is not None


def _place(template: Path, name: str) -> Path:
    path = template.relative_to(_TEMPLATE).as_posix().removesuffix(_SUFFIX)
    return Path(".gitignore" if path == "gitignore" else path.replace("{name}", name))

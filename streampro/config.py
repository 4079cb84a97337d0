"""Targets: which engine runs a pipeline, and where its raw data and its warehouse live."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streampro.errors import ConfigError, did_you_mean

CONFIGS = Path("configs")


class DuckDBSettings(BaseModel):
    """Settings of the DuckDB engine, passed on as they are.

    `memory_limit`, such as `1GB`, bounds DuckDB's buffers (default: 80 % of the machine's memory);
    what does not fit spills to `temp_directory` (default: inside the warehouse), which costs time.
    `threads` defaults to the number of cores.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_limit: str | None = None
    threads: int | None = Field(default=None, ge=1)
    temp_directory: Path | None = None


class Target(BaseModel):
    """One file of the `configs` folder: an engine and two places.

    Relative paths count from the working directory.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    engine: Literal["duckdb"] = "duckdb"
    raw: Path | None = None
    warehouse: Path = Path("warehouse")
    pipeline: str | None = None
    duckdb: DuckDBSettings = DuckDBSettings()


def load_target(name: str = "local", configs: Path = CONFIGS, **overrides: Any) -> Target:
    """Return the target `name` of the `configs` folder, with `overrides` that are not None on top.

    `local` has built-in defaults, so it needs no file. Raises `ConfigError` for an unknown target,
    a file that is not TOML, an unknown key or a value of the wrong type.
    """
    path = configs / f"{name}.toml"
    known = sorted({file.stem for file in configs.glob("*.toml")} | {"local"})
    if name not in known:
        raise ConfigError(
            f"no target {name!r}: there is no file {path}. {did_you_mean(name, known)}"
            f"Known targets: {', '.join(known)}."
        )
    settings = _read_toml(path) if path.is_file() else {}
    if "name" in settings:
        raise ConfigError(f"{path}: a target's name is that of its file; remove the key 'name'.")
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Target(**{**settings, **given, "name": name})
    except ValidationError as error:
        raise ConfigError(f"target {name!r} ({path}): {_explain(error)}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error


def _explain(error: ValidationError) -> str:
    reasons = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            *section, word = (str(part) for part in fault["loc"])
            model = DuckDBSettings if section else Target
            hint = did_you_mean(word, list(model.model_fields))
            reasons.append(f"unknown key {key!r}. {hint}".strip())
        else:
            reasons.append(f"{key}: {fault['msg']} (got {fault['input']!r})")
    return "; ".join(reasons)

"""Targets: which engine runs a pipeline, and where its raw data and its warehouse live."""

import os
import re
import tomllib
from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from streampro import addresses
from streampro.arguments import asks
from streampro.errors import ConfigError, did_you_mean, hide
from streampro.location import STORES, WEB, Location, holds, is_remote, scheme_of

CONFIGS = Path("configs")


Word = Annotated[str, Field(min_length=1)]


class _Settings(BaseModel):
    """Settings that cannot be changed, and that refuse by a `ConfigError` what they do not have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    if not TYPE_CHECKING:  # who checks types knows the fields

        @wraps(BaseModel.__init__)  # so that sections of another are not made by it
        def __init__(self, *given: Any, **settings: Any) -> None:
            name, first = type(self).__name__, next(iter(type(self).model_fields))
            if given:
                raise ConfigError(f"{name}() is given settings by name: {first}={given[0]!r}.")
            try:
                super().__init__(**settings)
            except ValidationError as error:
                raise ConfigError(f"{name}(): {_explain(error, type(self))}") from None

        def model_copy(
            self, *, update: Mapping[str, Any] | None = None, deep: bool = False
        ) -> Self:
            """Return settings that differ in what is given, which is checked."""
            copied = super().model_copy(deep=deep)
            return type(self)(**{**dict(copied), **update}) if update else copied


class DuckDBSettings(_Settings):
    """Settings of the DuckDB engine, passed on as they are.

    Attributes:
        memory_limit: bounds DuckDB's buffers, such as `1GB`; default: 80 % of the machine's memory.
            What does not fit spills to disk, which costs time; models that are `incremental_by` a
            key are computed in parts of the keys that fit.
        threads: cores that it uses; default: all.
        temp_directory: where it spills to; default: inside the warehouse.
    """

    memory_limit: str | None = None
    threads: int | None = Field(default=None, ge=1)
    temp_directory: Path | None = None

    @field_validator("memory_limit")
    @classmethod
    def _is_a_size(cls, limit: str | None) -> str | None:
        if limit is not None and not re.fullmatch(r"\d*\.?\d+ ?([KMGT]I?)?B", limit, re.I):
            raise ValueError("it is a number and a unit, such as 1GB, 500MB or 1.5GiB")
        return limit


class SparkSettings(_Settings):
    """Settings of the Spark engine; they count where StreamPro starts the session.

    Attributes:
        master: such as `local[*]` or `spark://host:7077`; default: what `spark-submit` says, else
            `local[*]`.
        jars: the three jars of Delta Lake, fetched beforehand, for networks without Maven. Default:
            those among Spark's own jars, else Spark resolves them from Maven, or from the mirror of
            `spark.jars.ivySettings`.
        remote: address of a server of Spark Connect, such as `sc://host:15002`, instead of a
            `master`; raw folder and warehouse are then on a disk that it and this machine share.
        catalog: in which tables are known by layer and name after a run, such as `main` for
            `main.mart.sales`, or `false` for none; default: the session's own.
        settings: Spark's own settings, passed on as they are. Of those of Spark SQL only what says
            how fast or where a query runs has a say in it; what could change rows is as StreamPro
            needs it.
    """

    master: Word | None = None
    jars: tuple[Word, ...] = ()
    remote: Word | None = None
    catalog: Annotated[str, Field(pattern="^[^`]+$")] | Literal[False] | None = None
    settings: dict[str, str | int | bool] = {}

    @field_validator("settings", mode="before")
    @classmethod
    def _names_as_spark_does(cls, settings: Any, given: ValidationInfo) -> Any:
        for name, value in settings.items() if isinstance(settings, dict) else ():
            if isinstance(value, dict):
                raise ValueError(f'put the name in quotes: "{_in_full(name, value)}" = ...')
            if not str(name).startswith("spark."):
                raise ValueError(f"names begin with 'spark.'. Did you mean 'spark.{name}'?")
            if name == "spark.master" and given.data.get("master"):
                raise ValueError("the key 'master' says what 'spark.master' does; remove one")
        return settings

    @field_validator("remote")
    @classmethod
    def _names_a_server_with_its_own(cls, remote: str | None, given: ValidationInfo) -> str | None:
        if remote and not re.match("sc://[^/]", remote):
            raise ValueError("the address of a server of Spark Connect begins with sc://")
        for name in ("master", "jars"):
            if remote and given.data.get(name):
                raise ValueError(f"it names a Spark that runs, so remove the key {name!r}")
        return remote


def _in_full(name: str, value: Any) -> str:
    """Return a name that TOML took for tables in each other, as it reads dots without quotes."""
    while isinstance(value, dict) and value:
        inner, value = next(iter(value.items()))
        name = f"{name}.{inner}"
    return name


class OpenLineageSettings(_Settings):
    """That runs are told as OpenLineage events, and where these go.

    Attributes:
        namespace: of the job; its name is that of the pipeline.
        transport: how the official client sends events, such as `type = "http"` with `url`, as in
            its own `openlineage.yml`. Default: what that file or `OPENLINEAGE_URL` says.
    """

    namespace: Word = "default"
    transport: dict[str, Any] = {}


class Target(_Settings):
    """Which engine runs a pipeline, and where: one file of the `configs` folder, or made in code.

    ```python
    target = streampro.Target(name="nightly", raw=Path("raw"), warehouse=Path("warehouse"))
    ```

    Relative paths count from the working directory, `~/` from the home folder; places of a Spark
    target may be on any file system that Spark reads and writes. `${NAME}` in a file is replaced by
    that environment variable, `$$` is a dollar sign; errors show `${NAME}`, never a value of four
    letters or more. A target cannot be changed; `target.model_copy(update={...})` is one that
    differs.

    Attributes:
        name: shown in messages and kept in the history; of a file, its name.
        engine: `duckdb` or `spark`.
        raw: folder of the raw files; what only asks a warehouse needs none.
        sources: folders of sources whose files are elsewhere, by name of the source: their patterns
            count from there.
        warehouse: folder of the tables, made by the first run.
        keep_runs: every so many runs on main, one removes what older runs than the newest so many
            need, as `streampro clean --keep` does; default: all stay readable.
        pipeline: `module:NAME` of the pipeline that commands use by default.
        duckdb: settings of DuckDB.
        spark: settings of Spark.
        databases: where the databases of sources are: `sqlite:///file.db`, `postgresql://...` or
            `mysql://...`, by name; a password stands in the environment, as
            `postgresql://me:${PGPASSWORD}@host/crm`, or the whole address does.
        openlineage: where runs are told as OpenLineage events; default: nowhere.

    Raises `ConfigError` for an unknown name, a value of the wrong type, and a raw folder that is
    the warehouse or in it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: Word
    engine: Literal["duckdb", "spark"] = "duckdb"
    raw: Location | None = None
    sources: dict[Word, Location] = {}
    warehouse: Location = Path("warehouse")
    keep_runs: int | None = Field(default=None, ge=1)
    pipeline: Word | None = None
    duckdb: DuckDBSettings = DuckDBSettings()
    spark: SparkSettings = SparkSettings()
    openlineage: OpenLineageSettings | None = None
    databases: dict[Word, Annotated[str, AfterValidator(addresses.checked)]] = {}

    @model_validator(mode="after")
    def _local_engine_reaches_its_places(self) -> "Target":
        read = [(folder, (*STORES, *WEB)) for folder in self.raw_folders]
        for place, schemes in (*read, (self.warehouse, STORES)):
            if self.engine == "duckdb" and is_remote(place):
                if scheme_of(str(place)) in schemes:
                    continue
                local = re.match("file:/*(/.+)", str(place))
                hint = f": write {local[1]}" if local else ""
                known = ", ".join(f"{each}://" for each in schemes)
                raise ValueError(f"DuckDB reaches local folders and {known}, not {place}{hint}")
        return self

    @model_validator(mode="after")
    def _server_has_shared_places(self) -> "Target":
        for place in (*self.raw_folders, self.warehouse):
            if self.engine == "spark" and self.spark.remote and is_remote(place):
                raise ValueError(
                    f"by Spark Connect, files are on a disk that this machine and Spark share, not "
                    f"at {place}: name a folder there, or leave `remote` out and use spark-submit"
                )
        return self

    @model_validator(mode="after")
    def _cleaned_warehouse_is_reached(self) -> "Target":
        is_reached = not is_remote(self.warehouse) or scheme_of(str(self.warehouse)) in STORES
        if self.keep_runs and not is_reached:
            raise ValueError(
                "keep_runs is of warehouses on disks and in object stores; "
                f"{self.warehouse} is neither"
            )
        return self

    @model_validator(mode="after")
    def _tables_are_not_read_as_raw_files(self) -> "Target":
        for folder in self.raw_folders:
            if holds(self.warehouse, folder):
                raise ValueError(
                    f"the raw folder {folder} is in the warehouse {self.warehouse}, so runs would "
                    "read their own tables. Give each a folder of its own"
                )
        return self

    @property
    def raw_folders(self) -> tuple[Location, ...]:
        """The raw folder, if there is one, and those of sources of their own."""
        return tuple(dict.fromkeys((*((self.raw,) if self.raw else ()), *self.sources.values())))

    def raw_of(self, source: str) -> Location | None:
        """Return the folder from which the patterns of a source count."""
        return self.sources.get(source, self.raw)


def with_engine(target: Target, engine: str) -> Target:
    """Return a target on any engine, wherever its folders are: for what reads tables only."""
    return BaseModel.model_copy(target, update={"engine": engine})


def unheard(target: Target, warehouse: Location) -> Target:
    """Return a target for trials in a warehouse of their own, of whose runs neither a lineage
    service nor a catalog hears, and which keeps all of them.
    """
    spark = target.spark.model_copy(update={"catalog": False})
    of_trials = {"warehouse": warehouse, "keep_runs": None, "openlineage": None, "spark": spark}
    return target.model_copy(update=of_trials)


_BUILT_IN: dict[str, dict[str, Any]] = {"local": {}, "spark-local": {"engine": "spark"}}
_LATER = {"databases"}
"""Settings whose variables are looked up where they are needed, and quoted as URLs need it."""
_SECTIONS: dict[str, type[BaseModel]] = {
    "duckdb": DuckDBSettings,
    "spark": SparkSettings,
    "openlineage": OpenLineageSettings,
}


@asks
def load_target(name: str = "local", configs: Path = CONFIGS, **overrides: Any) -> Target:
    """Return the target `name` of the `configs` folder, with `overrides` that are not None on top.

    ```python
    target = streampro.load_target("local", raw="raw", warehouse="warehouse")
    ```

    `local` and `spark-local` have built-in defaults, so they need no file.

    Args:
        name: name of the file, without `.toml`.
        configs: the folder of the files.
        overrides: attributes of `Target` that count more than those of the file.

    Raises `ConfigError` for an unknown target, a file that is not TOML, an unknown key or a value
    of the wrong type.
    """
    path = configs / f"{name}.toml"
    known = known_targets(configs)
    if name not in known:
        raise ConfigError(
            f"no target {name!r}: there is no file {path}. {did_you_mean(name, known)}"
            f"Known targets: {', '.join(known)}."
        )
    settings = _read_toml(path) if path.is_file() else _BUILT_IN[name]
    if "name" in settings:
        raise ConfigError(f"{path}: a target's name is that of its file; remove the key 'name'.")
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Target.model_validate({**settings, **given, "name": name})
    except ValidationError as error:
        faulty = {str(part) for fault in error.errors() for part in fault["loc"][:1] or given}
        where = f" ({path})" if path.is_file() and not faulty & given.keys() else ""
        raise ConfigError(f"target {name!r}{where}: {_explain(error)}") from None  # shows values


def known_targets(configs: Path = CONFIGS) -> list[str]:
    """Return the names of the targets that there are, the built-in ones among them."""
    return sorted({file.stem for file in configs.glob("*.toml")} | _BUILT_IN.keys())


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error
    try:
        databases = {key: found.pop(key) for key in _LATER & found.keys()}
        return {key: _expanded(value) for key, value in found.items()} | databases
    except KeyError as error:
        raise ConfigError(f"{path} uses ${{{error.args[0]}}}, which is not set.") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}. A dollar sign is written $$.") from error


def _expanded(value: Any) -> Any:
    """Replace `${NAME}` in every text of a setting; no error shows what stands there then.

    Raises `KeyError` for an unset variable.
    """
    if isinstance(value, dict):
        return {key: _expanded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    if not isinstance(value, str):
        return value
    template = Template(value)
    expanded = template.substitute(os.environ)
    for name in template.get_identifiers():
        hide(os.environ[name], f"${{{name}}}")
    return expanded


def _explain(error: ValidationError, settings: type[BaseModel] = Target) -> str:
    """Return what is wrong with settings, in one line."""
    reasons = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            *section, word = (str(part) for part in fault["loc"])
            model = _SECTIONS.get("".join(section), settings)
            hint = did_you_mean(word, list(model.model_fields))
            reasons.append(f"unknown key {key!r}. {hint}".strip())
        elif fault["type"] == "missing":
            reasons.append(f"{key} is missing")
        else:
            said = fault["msg"].removeprefix("Value error, ")
            words = re.findall("'([^']+)'", said) if fault["type"] == "literal_error" else []
            hint = did_you_mean(str(fault["input"]), words)
            is_shown = not isinstance(fault["input"], dict) and "databases" not in fault["loc"][:1]
            got = f" (got {fault['input']!r})" if is_shown else ""
            told = f"{key}: {said}{got}" if key else said
            reasons.append(f"{told}. {hint}".strip() if hint else told)
    return "; ".join(reasons)

"""`streampro check` on small projects: what is wrong is told with model, file and line."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streampro.cli import cli
from streampro.errors import PipelineError

START = """\
import sys

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Contract, Pipeline, Source, column, model, rule

"""
SOURCE = """\
raw_orders = Source(
    name="raw_orders", files=("orders*.jsonl",), format="json_lines", fields={"order": ("order",)}
)


"""
CONTRACT = """\
class Orders(Contract):
    '''One row per order.'''

    order: str = column("Order.", nullable=True)


"""
MODEL = """\
@model(contract=Orders)
def orders(raw_orders: ir.Table) -> ir.Table:
    return raw_orders.select("order")


"""
END = 'PIPELINE = Pipeline("shop", [sys.modules[__name__]])\n'

Project = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Write a project of one module and call a command on it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def call(source: str, *command: str) -> Result:
        Path("models").mkdir(exist_ok=True)
        Path("configs").mkdir(exist_ok=True)
        Path("models/mart.py").write_text(source)
        sys.modules.pop("models.mart", None)
        words = command or ("check",)
        return CliRunner().invoke(cli, [*words, "--pipeline", "models.mart:PIPELINE"])

    yield call
    sys.modules.pop("models.mart", None)
    sys.modules.pop("models", None)


def made(source: str = SOURCE, contract: str = CONTRACT, model: str = MODEL, end: str = END) -> str:
    return START + source + contract + model + end


def returning(value: str) -> str:
    return made(model=MODEL.replace('raw_orders.select("order")', value))


def line_of(source: str, text: str) -> str:
    """Return the place of the only line with a text."""
    [number] = [n for n, line in enumerate(source.splitlines(), 1) if text in line]
    return f"models/mart.py:{number}: "


def refused(result: Result) -> PipelineError:
    assert isinstance(result.exception, PipelineError), result.exception
    assert result.exception.exit_code == 2
    return result.exception


TRANSFORMS = {
    "column as attribute": (
        "raw_orders.select(order=raw_orders.odrer)",
        "AttributeError: 'Table' object has no attribute 'odrer'. Did you mean 'order'?",
    ),
    "column as text": ('raw_orders.select("odrer")', "IbisTypeError: Column 'odrer' is not found"),
    "wrong type": ("raw_orders.select(order=raw_orders.order.sqrt())", "AttributeError: 'String"),
    "decimals of which neither holds the other": (
        "raw_orders.mutate(a=ibis.null('decimal(18, 2)') * ibis.null('decimal(9, 4)'))",
        "IbisTypeError: Cannot compute precedence for `decimal(18, 2)` and `decimal(9, 4)` types. "
        "Cast one of them, such as .cast('decimal(20, 4)').",
    ),
    "any exception": ("{}['order']", "KeyError: 'order'"),
    "exception without words": ("[].__class__([1 / 0])", "ZeroDivisionError: division by zero"),
    "clock and connection": ("raw_orders.execute()", "IbisError"),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_a_transform_raises_is_told_with_model_and_line(project: Project, name: str) -> None:
    value, said = TRANSFORMS[name]
    source = returning(value)
    told = refused(project(source))
    assert str(told).startswith(line_of(source, value) + "model mart.orders: " + said)
    assert "\n" not in str(told)
    assert told.__cause__ is not None


RETURNED = {
    "nothing": ("None", "None: is `return` missing?"),
    "a frame": ("ibis.literal(1).as_table().to_pandas()", "DataFrame."),
    "a column": ("raw_orders.order", "StringColumn."),
    "a scalar": ("raw_orders.count()", "IntegerScalar."),
}


@pytest.mark.parametrize("name", RETURNED)
def test_what_is_returned_and_no_table_is_told(project: Project, name: str) -> None:
    value, kind = RETURNED[name]
    source = returning(value)
    told = str(refused(project(source)))
    assert told == (
        line_of(source, "@model") + "model mart.orders: a model returns an Ibis table, this one "
        f"{kind}"
    )


def test_place_is_the_innermost_line_that_is_the_users_own(project: Project) -> None:
    helper = "def helper(rows):\n    return rows.filter(rows.amount > 0)\n\n\n"
    source = made(model=helper + MODEL.replace("raw_orders.select", "helper(raw_orders).select"))
    told = str(refused(project(source)))
    assert told.startswith(line_of(source, "rows.amount") + "model mart.orders: AttributeError")


RULE = """\
    @rule()
    def order_is_told(cls, orders):
        return {}


"""
RULES = {
    "raises": ("orders.odrer.notnull()", "AttributeError: 'Table' object has no attribute 'odrer'"),
    "returns text": ("orders.order", "a rule returns a boolean column, this one a StringColumn."),
    "returns a truth": ("True", "a rule returns a boolean column, this one a bool."),
    "returns one truth": (
        "orders.count() > 0",
        "a rule returns a boolean column, this one a BooleanScalar.",
    ),
    "returns nothing": ("None", "a rule returns a boolean column, this one a NoneType."),
}


@pytest.mark.parametrize("name", RULES)
def test_rule_that_raises_or_is_no_boolean_is_told(project: Project, name: str) -> None:
    value, said = RULES[name]
    source = made(contract=CONTRACT.rstrip() + "\n\n" + RULE.format(value))
    place = line_of(source, f"return {value}" if name == "raises" else "@rule")
    what = "model mart.orders: rule order_is_told of contract Orders: "
    assert str(refused(project(source))).startswith(place + what + said)


def test_check_that_does_not_fit_the_column_is_told(project: Project) -> None:
    source = made(contract=CONTRACT.replace("nullable=True", "nullable=True, ge=1"))
    told = str(refused(project(source)))
    said = "model orders: column 'order': no string compares to 1."
    assert told == line_of(source, "class Orders") + said


KEY = "\n\n    class Config:\n        unique = {}\n\n\n"
IMPORTS = {
    "model without brackets": (
        made(model=MODEL.replace("(contract=Orders)", "")),
        "@model",
        "@model stands above 'orders' without brackets: write @model(contract=...).",
    ),
    "model without a contract": (
        made(model=MODEL.replace("contract=Orders", "")),
        "@model",
        "model(): missing a required argument: 'contract'.",
    ),
    "contract that is none": (
        made(model=MODEL.replace("contract=Orders", "contract='Orders'")),
        "@model",
        "@model(contract='Orders'): a contract is a class derived from Contract.",
    ),
    "model of a value": (
        made(model="orders = model(contract=Orders)(7)\n"),
        "(7)",
        "@model stands above 7, which is no function, but int: write it above `def`.",
    ),
    "argument of model": (
        made(model=MODEL.replace("contract=Orders", "contract=Orders, incremental_bye='order'")),
        "@model",
        "model() has no argument 'incremental_bye'. Did you mean 'incremental_by'? Arguments: ",
    ),
    "argument of column": (
        made(contract=CONTRACT.replace("nullable", "nulable")),
        "nulable",
        "column() has no argument 'nulable'. Did you mean 'nullable'? Arguments: description, ",
    ),
    "argument of source": (
        made(source=SOURCE.replace("format=", "fromat=")),
        "Source(",
        "Source() has no argument 'fromat'. Did you mean 'format'? Arguments: name, files, ",
    ),
    "text for the path of a field": (
        made(source=SOURCE.replace('("order",)', '"order"')),
        "Source(",
        "source 'raw_orders': fields['order'] is 'order', but must be a tuple of texts, such as "
        "('order',).",
    ),
    "text for files": (
        made(source=SOURCE.replace('("orders*.jsonl",)', '"*"')),
        "Source(",
        "source 'raw_orders': files is '*', but must be a tuple of texts, such as ('*',).",
    ),
    "number for files": (
        made(source=SOURCE.replace('("orders*.jsonl",)', "(7,)")),
        "Source(",
        "source 'raw_orders': files is (7,), but must be a tuple of texts.",
    ),
    "list of fields": (
        made(source=SOURCE.replace('{"order": ("order",)}', '["order"]')),
        "Source(",
        "source 'raw_orders': fields is ['order'], but must be a mapping",
    ),
    "format that is no text": (
        made(source=SOURCE.replace('"json_lines"', '("json_lines",)')),
        "Source(",
        "source 'raw_orders': format is ('json_lines',), but must be a text.",
    ),
    "unknown format": (
        made(source=SOURCE.replace('"json_lines"', '"jsonlines"')),
        "Source(",
        "source 'raw_orders' has the unknown format 'jsonlines'. Did you mean 'json_lines'?",
    ),
    "text for a list of values": (
        made(contract=CONTRACT.replace("nullable=True", "nullable=True, isin='free'")),
        "isin=",
        "column(): isin is 'free', but must be a list: ['free'].",
    ),
    "name that is not there": (
        made(end="PIPELINE = Pipelin()\n"),
        "Pipelin()",
        "NameError: name 'Pipelin' is not defined",
    ),
    "line that is no Python": (made(end="PIPELINE = (\n"), "PIPELINE = (", "SyntaxError: "),
    "module that is not there": (
        made(end="import no_such_module\n"),
        "no_such_module",
        "ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "no model": (
        made(model=""),
        "Pipeline(",
        "pipeline 'shop' has no model: no module of it holds a function below "
        "@model(contract=...).",
    ),
    "key that is no column": (
        made(
            contract=CONTRACT.rstrip() + "\n\n    class Config:\n        unique = ['odrer']\n\n\n"
        ),
        "class Orders",
        "model orders: contract Orders: Config.unique names 'odrer', which is no column of it. "
        "Did you mean 'order'?",
    ),
    "key that is a text": (
        made(contract=CONTRACT.rstrip() + KEY.format("'odrer'")),
        "class Orders",
        "model orders: contract Orders: Config.unique names 'odrer', which is no column of it. ",
    ),
    "parameter that is no table": (
        made(model=MODEL.replace("(raw_orders", "(raw_odrers")),
        "@model",
        "model orders takes 'raw_odrers', which is neither a model nor a source of pipeline "
        "'shop'. Did you mean 'raw_orders'?",
    ),
    "reference to what is not taken": (
        made(
            model=MODEL + MODEL.replace("orders(raw", "others(raw").replace("=Orders", "=Others"),
            contract=CONTRACT
            + CONTRACT.replace("Orders", "Others").replace(
                "nullable", 'references="orders.order", nullable'
            ),
        ),
        "contract=Others",
        "mart.others.order references orders.order, but others does not take orders, so nobody "
        "would look. Give it the parameter 'orders', or leave the reference out.",
    ),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_what_is_declared_wrong_is_told_with_its_line(project: Project, name: str) -> None:
    source, line, said = IMPORTS[name]
    told = str(refused(project(source)))
    assert told.startswith(line_of(source, line) + said), told


LOOP = """\
def made(name):
    def orders(raw_orders):
        return raw_orders.filter(raw_orders.order == name).select("order")

    orders.__name__ = f"orders_{name}"
    return model(contract=Orders)(orders)


"""


@pytest.mark.parametrize(
    "kept",
    [
        'MODELS = {name: made(name) for name in ("a", "b")}\n',
        'MODELS = [made(name) for name in ("a", "b")]\n',
        'for _name in ("a", "b"):\n    globals()[f"orders_{_name}"] = made(_name)\n',
    ],
)
def test_models_of_a_loop_are_models(project: Project, kept: str) -> None:
    done = project(made(model=LOOP + kept))
    assert done.output == "shop: 2 models, 2 tables, all in order.\n"


def test_models_of_a_loop_without_names_are_refused_with_advice(project: Project) -> None:
    loop = LOOP.replace('    orders.__name__ = f"orders_{name}"\n', "")
    told = str(refused(project(made(model=loop + 'a, b = made("a"), made("b")\n'))))
    assert "two models named 'orders'" in told
    assert told.endswith("Give functions that a loop makes a `__name__` before `model`.")


def test_models_that_a_notebook_remembers_are_not_declared(project: Project) -> None:
    remembered = MODEL + "_ = _7 = orders\nOut = {7: orders}\n\n\n" + MODEL
    assert project(made(model=remembered)).output == "shop: 1 model, 1 table, all in order.\n"


def test_pipeline_that_is_not_there_is_told_without_a_place(project: Project) -> None:
    told = project(made(end=""))
    assert str(told.exception).startswith("there is no pipeline 'models.mart:PIPELINE'")


MEDIAN = """\
class Middle(Contract):
    '''One row.'''

    middle: dt.Float64 = column("Middle.", nullable=True)


@model(contract=Middle{})
def middle(raw_orders: ir.Table) -> ir.Table:
    return raw_orders.aggregate(middle=raw_orders.order.length().{}())
"""
NOW = CONTRACT.rstrip() + "\n\n" + RULE.format("orders.order.notnull() & ibis.now().notnull()")
CORRELATED = """\
@model(contract=Orders)
def orders(raw_orders: ir.Table, raw_others: ir.Table) -> ir.Table:
    others = raw_others.filter(raw_others.order < raw_orders.order)
    return raw_orders.select(order=others.order.max().as_scalar())
"""
REFUSED = {
    "clock in a rule": (made(contract=NOW), ("mart.orders: TimestampNow", "Use hexdigest")),
    "operation of one engine": (
        made(model=MEDIAN.format("", "kurtosis")),
        ("mart.middle: Kurtosis", "only DuckDB has it"),
    ),
    "columns that differ in case": (
        made(
            contract=CONTRACT.rstrip() + '\n    Order: str = column("Order.", nullable=True)\n\n\n',
            model=MODEL.replace('"order"', '"order", Order="order"'),
        ),
        ("mart.orders: names of the columns 'order' and 'Order' differ only in case",),
    ),
    "fields of a source that differ in case": (
        made(source=SOURCE.replace("fields={", 'fields={"ORDER": ("o",), ')),
        ("source 'raw_orders': fields 'ORDER' and 'order' differ only in case",),
    ),
    "value that looks at the row outside": (
        made(source=SOURCE + SOURCE.replace("raw_orders", "raw_others"), model=CORRELATED),
        ("mart.orders: ScalarSubquery: it looks at order of the row outside", "Join an aggregate"),
    ),
    "allowance of nothing": (
        made(model=MEDIAN.format(', allow={"Kurtosi": "of DuckDB"}', "kurtosis")),
        (
            "mart.middle: Kurtosis",
            "mart.middle allows 'Kurtosi', but nothing of that name is refused there. "
            "Did you mean 'Kurtosis'? Take it out of `allow`.",
        ),
    ),
    "allowance without a reason": (
        made(model=MEDIAN.format(', allow={"Kurtosis": " "}', "kurtosis")),
        ("model(): allow={'Kurtosis': ' '} tells no reason.",),
    ),
    "allowance of what no engine has": (
        made(
            contract="class Digest(Contract):\n    'One row.'\n\n"
            '    digest: dt.Binary = column("Digest.", nullable=True)\n\n\n',
            model="@model(contract=Digest, allow={'HashBytes': 'wanted'})\n"
            "def digest(raw_orders):\n"
            "    return raw_orders.select(digest=raw_orders.order.hashbytes())\n",
        ),
        ("mart.digest: HashBytes: duckdb has no such operation", "spark has no such operation"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("command", ["check", "run", "plan", "prove"])
def test_all_commands_refuse_the_same(
    project: Project, name: str, command: str, tmp_path: Path
) -> None:
    source, words = REFUSED[name]
    told = str(refused(project(source, *COMMANDS[command])))
    for word in words:
        assert word in told
    assert not (tmp_path / "w").exists()


TARGET = 'engine = "{}"\nraw = "raw"\nwarehouse = "w"\n'
COMMANDS = {
    "check": ("check",),
    "run": ("run", "--raw", "raw", "--warehouse", "w"),
    "plan": ("plan", "--raw", "raw", "--warehouse", "w"),
    "prove": ("prove", "--raw", "raw", "--warehouse", "w", "--right", "local"),
}


@pytest.mark.slow
def test_allowance_is_shown_and_holds_for_its_engine_only(project: Project) -> None:
    Path("raw").mkdir()
    Path("raw/orders.jsonl").write_text('{"order": "a"}\n{"order": "bcd"}\n')
    source = made(
        model=MEDIAN.format(', allow={"Kurtosis": "DuckDB only, seen in May"}', "kurtosis")
    )
    shown = "mart.middle allows Kurtosis: DuckDB only, seen in May"
    assert shown in project(source).output
    assert shown in project(source, *COMMANDS["plan"]).output
    assert project(source, *COMMANDS["run"]).exception is None
    Path("configs").mkdir(exist_ok=True)
    Path("configs/cluster.toml").write_text(TARGET.format("spark"))
    told = str(refused(project(source, "run", "--target", "cluster")))
    assert told == "mart.middle: Kurtosis: spark has no such operation. Use others."

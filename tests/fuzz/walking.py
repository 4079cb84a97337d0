"""Expressions as anybody may write them: calls of Ibis's public methods and operators with
arguments of any kind, as Python code, of which what Ibis takes is kept.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, NamedTuple

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from fuzz.drawing import COLUMNS

import streampro.portable as portable

MORE_COLUMNS: dict[str, str] = {
    "whole": "decimal(38, 0)",
    "part": "decimal(5, 5)",
    "ds": "array<date>",
    "ats": "array<timestamp('UTC', 6)>",
    "qs": "array<decimal(18, 4)>",
    "es": "array<struct<a: int64, b: string>>",
    "pp": "struct<d: date, at: timestamp('UTC', 6), x: float64, p: decimal(12, 2), "
    "ns: array<int64>>",
    "mx": "map<string, float64>",
    "ml": "map<string, array<int64>>",
}
"""Beside those of the nasty table."""
SCHEMA = {"i": "int64"} | COLUMNS | MORE_COLUMNS
OF_KEY = "t['i']"
NAMES: dict[str, Any] = {
    "ibis": ibis,
    "portable": portable,
    "Decimal": Decimal,
    "date": date,
    "datetime": datetime,
    "timedelta": timedelta,
    "UTC": UTC,
}
"""What the code may use, beside the table `t`."""


class Written(NamedTuple):
    """A piece of code and what it makes."""

    code: str
    value: Any


def written(code: str, names: dict[str, Any], kind: type[ir.Expr]) -> Written | None:
    """Return what code makes, if that is of a kind and Ibis knows its type."""
    try:
        made = eval(code, names)
        (made.schema if kind is ir.Table else made.type)()
    except Exception:
        return None
    return Written(code, made) if isinstance(made, kind) else None


LITERALS: dict[str, list[str]] = {
    "boolean": ["True", "False", "ibis.null('boolean')", "ibis.literal(True)"],
    "integer": ["0", "1", "2", "3", "7", "-1", "60", "100", "1000", "2**31", "-2", "2**53 + 1"],
    "float": ["0.0", "0.5", "1.0", "60.0", "0.1", "-2.5", "1e-3", "1e10", "3.0", "-0.0"],
    "decimal": ["Decimal('0.05')", "Decimal('1')", "Decimal('-3.50')", "Decimal('1E+3')"],
    "text": [
        *("''", "'a'", "'ab'", "'é'", "'Z'", "' '", "'%'", "'a_b'", "'12'", "'2024-02-29'"),
        *("'day'", "'1.5'", "'true'", "ibis.null('string')", "'\\\\'", '"\'"', "'\\u2028'"),
    ],
    "date": ["date(2024, 2, 29)", "ibis.date('2023-12-31')", "ibis.date(1970, 1, 1)"],
    "instant": [
        "datetime(2024, 2, 29, 23, 59, 59, 999999, UTC)",
        "ibis.timestamp('2024-02-29T10:00:00Z')",
        "datetime(1970, 1, 1, tzinfo=UTC)",
    ],
    "interval": [
        *("ibis.interval(days=1)", "ibis.interval(hours=3)", "ibis.interval(months=1)"),
        *("timedelta(days=3)", "timedelta(seconds=90)", "ibis.interval(weeks=2)"),
        *("ibis.interval(years=1)", "ibis.interval(microseconds=1)", "timedelta(milliseconds=5)"),
        "ibis.interval(days=1, hours=2)",
    ],
    "list": ["ibis.array([1, 2])", "[1, None]", "['a', 'é']", "ibis.array([])", "[0.5]"],
    "struct": ["ibis.struct({'a': 1, 'b': 'é'})", "ibis.struct({'x': 0.5})"],
    "map": ["ibis.map(['a'], [1])", "ibis.map({'a': 1, 'b': None})"],
    "null": ["None", "ibis.null()"],
}
TYPES = [
    *("'int64'", "'int32'", "'int16'", "'int8'", "'float64'", "'float32'", "'string'", "'date'"),
    *("'boolean'", "'timestamp'", "\"timestamp('UTC')\"", "'decimal(12, 2)'", "'decimal(38, 10)'"),
    *("'array<string>'", "'array<float64>'", "'decimal(5, 1)'", "int", "float", "str", "bool"),
    *("'uint8'", "'json'", "'time'", "'struct<a: string, b: string>'", "'map<string, float64>'"),
]
_WORDS: dict[str, list[str]] = {
    "how": ["'sample'", "'pop'", "'md5'", "'sha256'", "'inner'", "'left'"],
    "unit": ["'D'", "'W'", "'M'", "'Q'", "'Y'", "'h'", "'m'", "'s'", "'ms'", "'us'", "'ns'"],
    "part": ["'day'", "'week'", "'month'", "'hour'", "'second'", "'year'", "'microsecond'"],
    "pattern": ["'[0-9]+'", "'^a'", "'(a)(b)?'", "'a|b'", "'%a'", "'a%'", "'_'", "r'\\d'", "''"],
    "pat": ["'[0-9]+'", "'^a'", "'(a)(b)?'", "'a|b'", "'%a'", "'_'"],
    "format_str": ["'%Y-%m-%d'", "'%d.%m.%Y %H:%M'", "'%j'", "'%Y%m%d'", "'%H:%M:%S.%f'"],
    "dtype": TYPES,
    "target_type": TYPES,
    "zone": ["'Europe/Berlin'", "'America/New_York'", "'Asia/Kolkata'"],
    "digits": ["0", "1", "2", "-1", "6"],
    "quantile": ["0.5", "0.0", "0.25", "1.0", "[0.1, 0.9]"],
    "times": ["0", "1", "3", "-1", "t['n'] % 5"],
    "n": ["0", "1", "3", "-1", "t['n'] % 5"],
    "length": ["0", "1", "5", "-1", "t['n'] % 5", "t['t'] % 7", "None"],
    "include_null": ["False", "True"],
    "distinct": ["False", "True"],
    "closed": ["'left'", "'right'"],
    "nulls_first": ["True", "False"],
}
_SMALL = ("times", "length", "n")
"""Arguments that fill the memory if they are large."""
_SKIPPED = {
    *("execute", "compile", "to_csv", "to_delta", "to_json", "to_list", "to_pandas", "to_polars"),
    *("to_pandas_batches", "to_parquet", "to_parquet_dir", "to_pyarrow", "to_pyarrow_batches"),
    *("to_sql", "to_torch", "to_xlsx", "preview", "visualize", "get_backend", "unbind", "equals"),
    *("op", "type", "get_name", "pipe", "as_table", "topk", "value_counts", "asc", "desc"),
}
"""What writes, computes, or makes no value."""
_BINARY = [
    *("+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "&", "|", "^"),
    *("<<", ">>"),
]
_FAMILIES: list[tuple[str, str]] = [
    ("Boolean", "boolean"),
    ("Integer", "integer"),
    ("Floating", "float"),
    ("Numeric", "integer float decimal"),
    ("Decimal", "decimal"),
    ("String", "text"),
    ("Date", "date"),
    ("Timestamp", "instant"),
    ("Interval", "interval"),
    ("Array", "list"),
    ("Struct", "struct"),
    ("Map", "map"),
    ("int", "integer"),
    ("str", "text"),
    ("bool", "boolean"),
    ("float", "float"),
]
"""Families that an annotation of a parameter speaks of."""


_FUNCTIONS = """
ibis.ifelse({boolean}, {base}, {same})
ibis.cases(({boolean}, {base}), ({boolean}, {same}), else_={same})
{base}.cases(({same}, {any}), else_={any})
ibis.coalesce({same}, {base}, {same})
ibis.greatest({base}, {same})
ibis.least({base}, {same}, {same})
ibis.array([{base}, {same}])
ibis.struct({{'a': {base}, 'b': {any}}})
ibis.map([{text}], [{base}])
ibis.map({same}, {base})
ibis.range({base} % 5, {base} % 9)
ibis.date({base}, {integer}, {integer})
ibis.date({base})
ibis.timestamp({base})
ibis.literal({same})
ibis.interval({base} % 100, unit='D')
ibis.and_({base}, {same})
ibis.row_number().over(order_by=[{base}, 'i'])
ibis.rank().over(group_by={some}, order_by={base})
ibis.dense_rank().over(order_by=[{base}])
ibis.cume_dist().over(order_by={base})
ibis.percent_rank().over(order_by={base})
ibis.ntile(3).over(order_by=[{base}, 'i'])
{base}.isin([{same}, {same}])
t.count({base})
t.nunique(where={base})
"""
_PORTABLE = {
    name: word
    for name, word in vars(portable).items()
    if inspect.isfunction(word) and name not in ("mode", "versions_of")  # of tables
}
_LONGEST = 600
"""Letters of a piece of code."""


class Drawn(Mapping[str, object]):
    """What stands in the braces of a template, drawn anew for each of them."""

    def __init__(self, draws: Mapping[str, Callable[[], object]]) -> None:
        self.draws = draws

    def __getitem__(self, word: str) -> object:
        return self.draws[word]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.draws)

    def __len__(self) -> int:
        return len(self.draws)

    def code(self, random: Random, templates: str) -> str:
        """Return one of some templates, a line each, filled in."""
        return random.choice(templates.strip().splitlines()).format_map(self)


@cache
def family(kind: dt.DataType) -> str:
    """Return the kind of values of a type, in the words of this file."""
    names = [
        *(("boolean", kind.is_boolean()), ("integer", kind.is_integer())),
        *(("float", kind.is_floating()), ("decimal", kind.is_decimal())),
        *(("text", kind.is_string()), ("date", kind.is_date()), ("instant", kind.is_timestamp())),
        *(("interval", kind.is_interval()), ("list", kind.is_array())),
        *(("struct", kind.is_struct()), ("map", kind.is_map())),
    ]
    return next((name for name, is_one in names if is_one), "other")


@cache
def methods(kind: type) -> tuple[str, ...]:
    """Return the public methods of a class of values."""
    found = (name for name in dir(kind) if not name.startswith("_") and name not in _SKIPPED)
    return tuple(name for name in found if callable(getattr(kind, name)))


class Walk:
    """Draws code on a table; of what was kept later values are made."""

    def __init__(self, random: Random, table: ir.Table) -> None:
        self.random = random
        self.names = {**NAMES, "t": table}
        self.table = table
        self.kept: dict[int, list[Written]] = defaultdict(list)
        """By depth."""

    def value(self, depth: int) -> Written:
        """Return a value of up to so many calls inside each other; most often one that was kept."""
        if self.kept[depth] and self.random.randrange(4):
            return self.random.choice(self.kept[depth])
        return self.new(depth)

    def new(self, depth: int) -> Written:
        while True:
            made = self._made(depth)
            if made is not None:
                return made

    def _made(self, depth: int) -> Written | None:
        if depth == 0:
            return self._column()
        base = self.value(depth - 1 if self.random.randrange(3) else self.random.randrange(depth))
        return self.step(base, depth - 1)

    def step(self, base: Written, depth: int) -> Written | None:
        """Return a value made of another; None where Ibis does not take what was drawn."""
        choice = self.random.randrange(20)
        if choice < 11:
            return self._method(base, depth)
        if choice < 15:
            return self._operator(base, depth)
        if choice < 16:
            return self._item(base, depth)
        if choice < 19:
            return self._function(base, depth)
        return self._eval(f"(-{base.code})" if self.random.randrange(2) else f"(~{base.code})")

    def _eval(self, code: str) -> Written | None:
        return None if len(code) > _LONGEST else written(code, self.names, ir.Value)

    def _column(self, of: str | None = None) -> Written | None:
        names = [n for n, kind in self.table.schema().items() if of in (None, family(kind))]
        return self._eval(f"t[{self.random.choice(names)!r}]") if names else None

    def _method(self, base: Written, depth: int) -> Written | None:
        name = self.random.choice(methods(type(base.value)))
        if name == "over":
            return self._over(base)
        parameters = inspect.signature(getattr(base.value, name)).parameters.values()
        given = self._arguments(base, parameters, depth)
        return self._eval(f"{base.code}.{name}({', '.join(given)})")

    def _arguments(self, base: Written, parameters: Any, depth: int) -> Iterator[str]:
        by_name = False
        for each in parameters:
            if each.kind is each.VAR_KEYWORD:
                continue
            if each.kind is each.VAR_POSITIONAL:
                for _ in range(self.random.randint(1, 2)):
                    yield self._argument(base, each, depth)
                by_name = True
                continue
            if each.default is not each.empty and self.random.randrange(5) < 3:
                by_name = True
                continue
            given = self._argument(base, each, depth)
            yield f"{each.name}={given}" if by_name or each.kind is each.KEYWORD_ONLY else given

    def _argument(self, base: Written, of: inspect.Parameter, depth: int) -> str:
        said = str(of.annotation)
        if of.name in _SMALL or (of.name in _WORDS and self.random.randrange(20)):
            return self.random.choice(_WORDS[of.name])
        if of.name == "order_by":
            return self.order()
        if of.name == "where":
            return self.of("boolean", depth)
        is_function = "Callable" in said or ("Deferred" in said and self.random.randrange(3))
        if is_function and isinstance(base.value, ir.ArrayValue):
            return self._lambda(base, depth)
        families = [each for word, them in _FAMILIES if word in said for each in them.split()]
        if not families or not self.random.randrange(12):
            families = [*LITERALS]
            if self.random.randrange(2):
                families = [family(base.value.type())]
        chosen = self.random.choice(families)
        if "Sequence" in said and self.random.randrange(2):
            inside = ", ".join(self.of(chosen, depth) for _ in range(self.random.randint(1, 3)))
            return f"[{inside}]"
        return self.of(chosen, depth)

    def _lambda(self, base: Written, depth: int) -> str:
        """Return a function of an element."""
        element = ibis.table({"e": base.value.type().value_type}, name="elements").e
        made = Written("e", element)
        names, self.names = self.names, {**self.names, "e": element}
        for _ in range(self.random.randint(1, 2)):
            made = self.step(made, 0) or made
        self.names = names
        return f"lambda e: {made.code}"

    def of(self, of: str, depth: int) -> str:
        """Return a value of a family, if one is found soon; every other is a literal."""
        if self.random.randrange(2) and of in LITERALS:
            return self.random.choice(LITERALS[of])
        for _ in range(4 if depth else 0):
            made = self.value(self.random.randrange(depth + 1))
            if family(made.value.type()) == of:
                return made.code
        column = self._column(of)
        return column.code if column else self.random.choice(LITERALS.get(of, ["None"]))

    def order(self) -> str:
        keys = [self._column() for _ in range(self.random.randrange(3))]
        codes = [each.code + self.random.choice(["", ".desc()"]) for each in keys if each]
        return f"[{', '.join([*codes, OF_KEY])}]"

    def some(self) -> str:
        """Return a list of columns by name."""
        names = self.random.sample([*self.table.columns], min(2, len(self.table.columns)))
        return repr(names[: self.random.randint(1, 2)])

    def _over(self, base: Written) -> Written | None:
        by = self.random.choice(["", "", f"group_by={self.some()}, ", f"group_by={self.some()}, "])
        frame = self.random.choice(
            [
                *("", "", "", "rows=(-1, 1), ", "rows=(None, 0), ", "rows=(0, None), "),
                *("preceding=2, ", "following=1, ", "range=(-1, 1), ", "rows=(-3, -1), "),
            ]
        )
        order = "'i'" if "range" in frame else self.order()
        return self._eval(f"{base.code}.over({by}{frame}order_by={order})")

    def _operator(self, base: Written, depth: int) -> Written | None:
        operator = self.random.choice(_BINARY)
        of = family(base.value.type())
        near = {"integer": ["float", "decimal"], "float": ["integer"], "decimal": ["integer"]}
        near |= {"date": ["interval", "instant"], "instant": ["interval", "date"]}
        others = [of, of, *near.get(of, []), self.random.choice([*LITERALS])]
        chosen = self.random.choice(others)
        repeats = operator == "*" and {of, chosen} & {"text", "list"}
        other = self.random.choice(_WORDS["n"]) if repeats else self.of(chosen, depth)
        sides = [base.code, other]
        if not self.random.randrange(4):
            sides.reverse()
        return self._eval(f"({sides[0]} {operator} {sides[1]})")

    def _item(self, base: Written, depth: int) -> Written | None:
        of = family(base.value.type())
        if of == "struct":
            return self._eval(f"{base.code}[{self.random.choice(base.value.names)!r}]")
        if of == "map":
            return self._eval(f"{base.code}[{self.of('text', depth)}]")
        if of not in ("text", "list"):
            return None
        ends = [self.random.choice(["", self.of("integer", 0)]) for _ in range(2)]
        inside = ":".join(ends) if self.random.randrange(2) else self.of("integer", depth)
        return self._eval(f"{base.code}[{inside}]")

    def _function(self, base: Written, depth: int) -> Written | None:
        if self.random.randrange(2):
            return self._word(base, depth)
        of = family(base.value.type())
        drawn = Drawn(
            {
                "base": lambda: base.code,
                "same": lambda: self.of(of, depth),
                "any": lambda: self.of(self.random.choice([*LITERALS]), depth),
                "boolean": lambda: self.of("boolean", depth),
                "integer": lambda: self.of("integer", 0),
                "text": lambda: self.of("text", 0),
                "some": self.some,
            }
        )
        return self._eval(drawn.code(self.random, _FUNCTIONS))

    def _word(self, base: Written, depth: int) -> Written | None:
        """Return a call of `portable`."""
        name, word = self.random.choice([*_PORTABLE.items()])
        first, *rest = inspect.signature(word).parameters.values()
        of, said = family(base.value.type()), str(first.annotation)
        if not any(of in them.split() for kind, them in _FAMILIES if kind in said):
            return None
        given = [base.code, *self._arguments(base, rest, depth)]
        return self._eval(f"portable.{name}({', '.join(given)})")

    @staticmethod
    def is_aggregate(value: ir.Value) -> bool:
        """Tell whether a value is an aggregate of rows, or made of one."""
        return bool(value.op().find(ops.Reduction, filter=_is_no_window))


def _is_no_window(node: ops.Node) -> bool:
    return isinstance(node, ops.Value) and not isinstance(node, ops.WindowFunction)

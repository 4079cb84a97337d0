"""What stands in a contract is applied, or refused where it is written."""

import functools
from collections.abc import Callable
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest

from streampro import Contract, column, rule
from streampro.errors import PipelineError
from streampro.modeling.spec import spec_of


def fresh() -> Any:
    return column("A.", nullable=True)


def is_short(_: Any, rows: ir.Table) -> ir.BooleanValue:
    return rows.a.length() < 9


def contract(*bases: type, types: dict[str, Any] | None = None, **body: Any) -> Any:
    """Return a contract of a column, with what else stands in its body."""
    space = {"__annotations__": {"a": str} | (types or {}), "a": fresh()}
    return type(
        "Rows", (*bases, *([] if any(map(is_contract, bases)) else [Contract])), space | body
    )


def is_contract(base: type) -> bool:
    return issubclass(base, Contract)


def names_of(contract: Any) -> list[str]:
    return [each.name for each in spec_of(contract).rules]


def is_not(value: str) -> Any:
    @rule()
    def holds(_: Any, rows: ir.Table) -> ir.BooleanValue:
        return rows.a != value

    return holds


class Parent(Contract):
    """A row with a rule."""

    a: str = column("A.", nullable=True, ne="x")
    is_no_y = is_not("y")


class Named:
    is_named = is_not("")


class Typed:
    b: str


class Wide:
    b = fresh()


def test_rules_of_one_function_are_rules_of_their_own() -> None:
    made = contract(is_no_x=is_not("x"), is_no_y=is_not("y"))
    assert names_of(made) == ["is_no_x", "is_no_y"]


def test_rules_of_lambdas_are_rules_of_their_own() -> None:
    made = contract(r=rule()(lambda _, rows: rows.a != "x"), q=rule()(lambda _, rows: rows.a != ""))
    assert names_of(made) == ["r", "q"]


def test_a_rule_has_the_name_under_which_each_contract_knows_it() -> None:
    shared = is_not("x")
    one, other = contract(is_one=shared), contract(is_other=shared)
    assert (names_of(one), names_of(other), names_of(one)) == (["is_one"], ["is_other"], ["is_one"])


def test_inherited_rules_come_after_the_own_and_give_way_to_them() -> None:
    class Child(Parent):
        is_no_z = is_not("z")

    class Milder(Parent):
        is_no_y = rule("warn")(is_short)

    assert names_of(Child) == ["a not_equal_to(x)", "is_no_z", "is_no_y"]
    assert {each.name: each.severity for each in spec_of(Milder).rules}["is_no_y"] == "warn"


def test_a_contract_of_rules_alone_is_a_base_beside_others() -> None:
    class Short(Contract):
        is_short = rule()(is_short)

    class Row(Short, Parent):
        """Row."""

    assert names_of(Row) == ["a not_equal_to(x)", "is_short", "is_no_y"]


def test_a_private_name_may_hold_a_rule_or_what_helps() -> None:
    assert names_of(contract(_is_short=rule()(is_short), _helps=is_short, _LIMIT=9)) == [
        "_is_short"
    ]


def test_an_option_of_a_base_of_config_counts() -> None:
    class Keyed:
        unique = ("a",)

    assert spec_of(contract(Config=type("Config", (Keyed,), {}))).key == ("a",)
    assert spec_of(contract(Config=Keyed)).key == spec_of(contract(Config=Keyed)).key == ("a",)
    with pytest.raises(PipelineError, match="class Config has 'uniqe', which is no option"):
        contract(Config=type("Config", (type("Keyed", (), {"uniqe": ["a"]}),), {}))


def two_rules() -> None:
    class Rows(Contract):
        a: str = fresh()

        @rule()
        def r(cls, rows: ir.Table) -> ir.BooleanValue:
            return rows.a != "x"

        @rule("warn")
        def r(cls, rows: ir.Table) -> ir.BooleanValue:  # noqa: F811  the slip
            return rows.a != "y"


def two_columns() -> None:
    class Rows(Contract):
        a: str = fresh()
        a: dt.Int64 = column("B.")  # type: ignore[no-redef]  # noqa: PIE794  the slip


def rule_like_a_column() -> None:
    class Rows(Contract):
        a: str = fresh()

        @rule()
        def a(cls, rows: ir.Table) -> ir.BooleanValue:  # type: ignore[no-redef]  # noqa: F811  the slip
            return rows.a != "x"


def two_configs() -> None:
    class Rows(Contract):
        a: str = fresh()

        class Config:
            unique = ("a",)

        class Config:  # type: ignore[no-redef]  # noqa: F811  the slip
            description = "Rows."


def column_again() -> None:
    class Rows(Parent):
        a: str


SLIPS: dict[str, tuple[Callable[[], Any], str]] = {
    "two rules of one name": (two_rules, "contract Rows: 'r' stands there twice, and the first"),
    "two columns of one name": (two_columns, "'a' stands there twice, and the first would be lost"),
    "two classes Config": (two_configs, "'Config' stands there twice"),
    "a rule like a column": (rule_like_a_column, "'a' is a column and a rule. Give the rule"),
    "a rule like a column of the base": (
        lambda: type("Rows", (Parent,), {"a": is_not("x")}),
        "'a' is a column of Parent and a rule here. Give the rule another name",
    ),
    "a column like a rule of the base": (
        lambda: contract(Parent, types={"is_no_y": str}, is_no_y=fresh()),
        "'is_no_y' is a rule of Parent and a column here",
    ),
    "a column again, without what is said of it": (
        column_again,
        r"column 'a' is declared again without column\(...\), and loses what Parent says of it",
    ),
    "a method": (lambda: contract(r=is_short), r"method 'r' is no rule. Write @rule\(\) above it"),
    "a class method": (
        lambda: contract(r=classmethod(is_short)),
        r"'r' is a classmethod and no rule. Write @rule\(\) above `def r\(cls, rows\):` and",
    ),
    "a static method": (lambda: contract(r=staticmethod(is_short)), "'r' is a staticmethod and no"),
    "a property": (lambda: contract(r=property(is_short)), "'r' is a property and no rule"),
    "a cached property": (
        lambda: contract(r=functools.cached_property(is_short)),  # type: ignore[arg-type]
        "'r' is a cached_property and no rule",
    ),
    "a partial": (lambda: contract(r=functools.partial(is_short)), "'r' is a partial and no rule"),
    "a partial method": (
        lambda: contract(r=functools.partialmethod(is_short)),
        "'r' is a partialmethod and no rule",
    ),
    "a class method of a rule": (
        lambda: contract(r=classmethod(is_not("x"))),
        "a classmethod stands around the rule 'r', which would not be applied. Write @rule",
    ),
    "a static method of a private rule": (
        lambda: contract(_r=staticmethod(is_not("x"))),
        "a staticmethod stands around the rule '_r'",
    ),
    "a rule of a static method": (
        lambda: rule()(staticmethod(is_short)),  # type: ignore[arg-type]
        "@rule stands above a staticmethod, which is no function. Write it above `def name",
    ),
    "a rule of a partial": (
        lambda: rule()(functools.partial(is_short)),
        "@rule stands above a partial, which is no function",
    ),
    "a rule of a rule": (lambda: rule()(is_not("x")), "@rule stands above a RuleMethod, which is"),
    "a list of rules": (
        lambda: contract(rules=[is_not("x")]),
        "'rules' is a list of rules, which would not be applied. Give each a name of its own",
    ),
    "a dict of rules": (lambda: contract(_r={"r": is_not("x")}), "'_r' is a dict of rules, which"),
    "no rule over a rule": (
        lambda: type("Rows", (Parent,), {"is_no_y": None}),
        "'is_no_y' is None, but a rule of Parent, which nothing takes away. Declare it again",
    ),
    "a column without a type": (
        lambda: contract(b=fresh()),
        r"column 'b' has no type. Write `b: str = column\(...\)`",
    ),
    "a value for a column": (
        lambda: contract(types={"b": str}, b="x"),
        r"'b' is 'x', but must be a column: `b: str = column\(...\)`",
    ),
    "a comma": (
        lambda: contract(a=(fresh(),)),
        r"'a' is a tuple, because a comma stands behind column",
    ),
    "a comma without a type": (
        lambda: contract(b=(fresh(),)),
        "'b' is a tuple, because a comma stands",
    ),
    "a list of columns": (
        lambda: contract(b=[fresh(), fresh()]),
        "'b' is a list of columns, which would not",
    ),
    "a constant": (lambda: contract(LIMIT=5), "'LIMIT' is 5, which is neither .* call it _LIMIT"),
    "config": (
        lambda: contract(config=type("config", (), {"unique": ["a"]})),
        r"class config is not read. Write `class Config:`, and in it `unique = \[...\]`",
    ),
    "Meta": (lambda: contract(Meta=type("Meta", (), {})), "class Meta is not read. Write `class C"),
    "a class": (lambda: contract(Kind=type("Kind", (), {})), "class Kind is neither a column nor"),
    "Config that is no class": (
        lambda: contract(Config={"unique": ["a"]}),
        r"Config is a dict. Write `class Config:`, and in it `unique = \[...\]`",
    ),
    "a rule of a base that is no contract": (
        lambda: contract(Named),
        r"its base Named is no contract, so that its 'is_named' would not be applied. Write "
        r"`class Named\(Contract\):`",
    ),
    "a rule of a base behind the contract": (
        lambda: type("Rows", (Parent, Named), {}),
        "its base Named is no contract, so that its 'is_named'",
    ),
    "a column of a base that is no contract": (
        lambda: contract(Typed),
        "Typed is .* so that its 'b'",
    ),
    "a column without a type of such a base": (
        lambda: contract(Wide),
        "Wide is .* so that its 'b'",
    ),
    "a name that pandera calls": (
        lambda: contract(types={"to_schema": str}, to_schema=fresh()),
        r"'to_schema' is a name of pandera's own. .* column\(..., alias='to_schema'\)",
    ),
    "a private name that pandera calls": (
        lambda: contract(_get_model_attrs=is_short),
        "'_get_model_attrs' is a name of pandera's own",
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_what_would_not_be_applied_is_refused(name: str) -> None:
    declare, said = SLIPS[name]
    with pytest.raises(PipelineError, match=said):
        declare()


@pytest.mark.parametrize("name", ["empty", "example", "strategy", "validate"])
def test_a_column_may_be_called_like_what_pandera_has(name: str) -> None:
    assert [*spec_of(contract(types={name: str}, **{name: fresh()})).columns] == ["a", name]


def test_the_place_of_a_slip_is_that_of_its_function() -> None:
    line = is_short.__code__.co_firstlineno
    with pytest.raises(PipelineError, match=rf"_body.py:{line}: contract Rows: a stat"):
        contract(r=staticmethod(rule()(is_short)))

"""One digest for one meaning: whenever and wherever it is built, and for no other meaning."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pytest
from hypothesis import given, strategies as st
from ibis import _

from streampro.errors import PipelineError
from streampro.expressions.hash import code_hash, digest

Transform = Callable[[ir.Table], ir.Table]


def rows(**kinds: str) -> ir.Table:
    known = {
        "i": "int64",
        "j": "int64",
        "f": "float64",
        "s": "string",
        "d": "decimal(9, 2)",
        "at": "timestamp('UTC', 6)",
        "a": "array<int64>",
        "m": "map<string, int64>",
        "t": "struct<x: int64, y: string>",
    }
    return ibis.table(known | kinds, name="rows")


MADE_UP: dict[str, Transform] = {
    "unnest": lambda t: t.select("i", one=t.a.unnest()),
    "table_unnest": lambda t: t.unnest("a"),
    "remove": lambda t: t.mutate(a=t.a.remove(1)),
    "map": lambda t: t.mutate(a=t.a.map(lambda e: e + 1)),
    "map_of_deferred": lambda t: t.mutate(a=t.a.map(_ + 1)),
    "filter": lambda t: t.mutate(a=t.a.filter(lambda e: e > 1)),
    "nested_map": lambda t: t.mutate(
        a=t.a.map(lambda e: t.a.filter(lambda o: o > e)[0].fill_null(e))
    ),
    "join": lambda t: t.join(t.select("i", k="j"), "i"),
    "chain": lambda t: t.join(t.select("i"), "i").left_join(t.select(z="j"), [("j", "z")]),
    "self_join": lambda t: t.join(t.view(), "i", rname="{name}_other"),
    "two_views": lambda t: t.join(t.view(), "i", rname="{name}_1").select("i", "j", "s_1"),
    "views_of_a_view": lambda t: t.view().select("i").union(t.view().view().select("i")),
    "in_subquery": lambda t: t.filter(t.i.isin(t.filter(t.f > 0).i)),
    "scalar_subquery": lambda t: t.mutate(top=t.i.max().as_scalar()),
    "of_a_set": lambda t: t.filter(t.s.isin({"a", "b", "c", "d"})),
    "dropped": lambda t: t.drop("i", "j", "f", "s"),
    "value_counts": lambda t: t.s.value_counts(),
    "pivot_longer": lambda t: t.select("s", "i", "j").pivot_longer(["i", "j"]),
    "named_by_ibis": lambda t: named(t, ibis.util.gen_name("one"), ibis.util.gen_name("other")),
}


def named(t: ir.Table, one: str, other: str) -> ir.Table:
    return t.mutate(**{one: t.i, other: t.j}).drop("i", "j").select(k=_[one] - _[other])


def digests() -> dict[str, str]:
    return {name: digest(made(rows())) for name, made in MADE_UP.items()}


def test_expression_built_twice_has_one_digest() -> None:
    first = digests()
    rows().view()
    assert digests() == first
    assert len({*first.values()}) == len(first)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1"])
def test_expression_has_one_digest_in_every_process(seed: str) -> None:
    here = str(Path(__file__).parent)
    told = subprocess.run(
        [sys.executable, "-c", "import test_hash; print(test_hash.digests())"],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(digests())


def test_two_views_are_not_one() -> None:
    """The same operations, but one compares a row with itself."""
    t = rows()
    one, other = t.view(), t.view()
    first = t.join(one, t.i == one.i).join(other, t.i == other.j)
    second = t.join(one, t.i == one.i).join(other, one.i == other.j)
    assert digest(first.select(k=t.i)) != digest(second.select(k=t.i))


def case(otherwise: Any) -> Transform:
    return lambda t: t.mutate(x=ibis.cases((t.i > 0, 1), else_=otherwise))


def window(**frame: Any) -> Transform:
    return lambda t: t.mutate(x=t.i.sum().over(ibis.window(**frame)))


DIFFERENT: list[tuple[Transform, Transform]] = [
    (lambda t: t, lambda t: t.select("j", "i", *t.columns[2:])),
    (lambda t: t.rename(k="i"), lambda t: t.rename(l="i")),
    (lambda t: t.filter(t.i > 2), lambda t: t.filter(t.i > 3)),
    (lambda t: t.filter(t.i > 2), lambda t: t.filter(t.j > 2)),
    (lambda t: t.filter(t.i > 2), lambda t: t.filter(t.i >= 2)),
    (lambda t: t.filter(t.i - t.j > 0), lambda t: t.filter(t.j - t.i > 0)),
    (lambda t: t.mutate(x=ibis.literal(1)), lambda t: t.mutate(x=ibis.literal(1.0))),
    (lambda t: t.mutate(x=ibis.literal(1)), lambda t: t.mutate(x=ibis.literal(True))),
    (lambda t: t.mutate(x=ibis.literal(1)), lambda t: t.mutate(x=ibis.literal("1"))),
    (lambda t: t.mutate(x=ibis.literal(1, "int64")), lambda t: t.mutate(x=ibis.literal(1))),
    (lambda t: t.mutate(x=ibis.literal(0.0)), lambda t: t.mutate(x=ibis.literal(-0.0))),
    (lambda t: t.mutate(x=ibis.literal(0.1)), lambda t: t.mutate(x=ibis.literal(0.1 + 2**-56))),
    (lambda t: t.mutate(x=ibis.null("int64")), lambda t: t.mutate(x=ibis.null("string"))),
    (lambda t: t.mutate(x=ibis.literal("")), lambda t: t.mutate(x=ibis.null("string"))),
    (lambda t: t.mutate(x=ibis.literal("a\nb")), lambda t: t.mutate(x=ibis.literal("a b"))),
    (
        lambda t: t.mutate(x=ibis.literal("ibis_x_" + "a" * 26)),
        lambda t: t.mutate(x=ibis.literal("ibis_x_" + "b" * 26)),
    ),
    (
        lambda t: t.mutate(x=ibis.literal(Decimal("0.5"), "decimal(9, 2)")),
        lambda t: t.mutate(x=ibis.literal(Decimal("0.5"), "decimal(9, 3)")),
    ),
    (
        lambda t: t.mutate(x=ibis.literal([1, 2])),
        lambda t: t.mutate(x=ibis.literal([2, 1])),
    ),
    (
        lambda t: t.mutate(x=ibis.literal(["a', 'b"])),
        lambda t: t.mutate(x=ibis.literal(["a", "b"])),
    ),
    (
        lambda t: t.filter(t["at"] > datetime(2026, 1, 1, tzinfo=UTC)),
        lambda t: t.filter(t["at"] > datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ),
    (
        lambda t: t.mutate(x=ibis.literal(date(2026, 1, 1))),
        lambda t: t.mutate(x=ibis.literal(date(2026, 1, 2))),
    ),
    (lambda t: t.order_by("i"), lambda t: t.order_by("j")),
    (lambda t: t.order_by(t.i.asc()), lambda t: t.order_by(t.i.desc())),
    (
        lambda t: t.order_by(t.i.asc(nulls_first=True)),
        lambda t: t.order_by(t.i.asc(nulls_first=False)),
    ),
    (lambda t: t.order_by(["i", "j"]), lambda t: t.order_by(["j", "i"])),
    (lambda t: t.limit(1), lambda t: t.limit(1, offset=1)),
    (lambda t: t.select("i").distinct(), lambda t: t.select("i")),
    (lambda t: t.distinct(on="i", keep="first"), lambda t: t.distinct(on="i", keep="last")),
    (lambda t: t.union(t.view()), lambda t: t.union(t.view(), distinct=True)),
    (lambda t: t.union(t.filter(t.i > 0)), lambda t: t.filter(t.i > 0).union(t)),
    (lambda t: t.union(t.filter(t.i > 0)), lambda t: t.difference(t.filter(t.i > 0))),
    (lambda t: t.join(t.select("i"), "i"), lambda t: t.left_join(t.select("i"), "i")),
    (lambda t: t.semi_join(t.select("i"), "i"), lambda t: t.anti_join(t.select("i"), "i")),
    (
        lambda t: t.join(t.select(k="i", l="j"), [("i", "k")]),
        lambda t: t.join(t.select(k="i", l="j"), [("i", "l")]),
    ),
    (lambda t: t.aggregate(x=t.i.sum()), lambda t: t.aggregate(x=t.i.max())),
    (lambda t: t.aggregate(x=t.i.sum()), lambda t: t.aggregate(x=t.i.sum(where=t.j > 0))),
    (lambda t: t.aggregate(x=t.s.nunique()), lambda t: t.aggregate(x=t.s.count())),
    (lambda t: t.group_by("i").agg(x=t.j.sum()), lambda t: t.group_by("s").agg(x=t.j.sum())),
    (lambda t: t.mutate(x=t.i.cast("int32")), lambda t: t.mutate(x=t.i.cast("int16"))),
    (lambda t: t.mutate(x=t.s.cast("int64")), lambda t: t.mutate(x=t.s.try_cast("int64"))),
    (lambda t: t.mutate(x=t.f.round(1)), lambda t: t.mutate(x=t.f.round(2))),
    (lambda t: t.mutate(x=t.f.var(how="pop")), lambda t: t.mutate(x=t.f.var(how="sample"))),
    (lambda t: t.mutate(x=t["at"].truncate("D")), lambda t: t.mutate(x=t["at"].truncate("h"))),
    (
        lambda t: t.mutate(x=t["at"] + ibis.interval(hours=1)),
        lambda t: t.mutate(x=t["at"] + ibis.interval(minutes=1)),
    ),
    (case(0), case(None)),
    (case(0), case(2)),
    (window(order_by="i"), window(order_by="j")),
    (window(order_by="i"), window(order_by=ibis.desc("i"))),
    (window(order_by="i", group_by="s"), window(order_by="i")),
    (
        window(order_by="i", preceding=1, following=0),
        window(order_by="i", preceding=2, following=0),
    ),
    (
        window(order_by="i", preceding=1, following=0),
        window(order_by="i", preceding=0, following=1),
    ),
    (window(order_by="i", rows=(None, 0)), window(order_by="i", range=(None, 0))),
    (lambda t: t.mutate(x=t.t["x"]), lambda t: t.mutate(x=t.t["y"])),
    (
        lambda t: t.mutate(x=ibis.struct({"p": t.i, "q": t.j})),
        lambda t: t.mutate(x=ibis.struct({"p": t.i, "z": t.j})),
    ),
    (lambda t: t.mutate(x=t.m.get("a")), lambda t: t.mutate(x=t.m.get("b"))),
    (lambda t: t.mutate(x=t.a.map(_ + 1)), lambda t: t.mutate(x=t.a.map(_ + 2))),
    (
        lambda t: t.mutate(x=t.a.map(lambda e: t.a.map(lambda o: o - e))),
        lambda t: t.mutate(x=t.a.map(lambda e: t.a.map(lambda o: e - o))),
    ),
    (lambda t: t.unnest("a"), lambda t: t.unnest("a", keep_empty=True)),
    (lambda t: t.unnest("a"), lambda t: t.unnest("a", offset="n")),
    (lambda t: t.drop_null("i"), lambda t: t.drop_null(["i", "j"], how="all")),
    (lambda t: t.fill_null({"i": 0}), lambda t: t.fill_null({"i": 1})),
]


@pytest.mark.parametrize(
    ("one", "other"), DIFFERENT, ids=[str(n) for n, _pair in enumerate(DIFFERENT)]
)
def test_digest_changes_with_the_meaning(one: Transform, other: Transform) -> None:
    assert digest(one(rows())) != digest(other(rows()))


@pytest.mark.parametrize("kind", ["int32", "!int64", "uint64", "decimal(9, 2)", "string"])
def test_digest_changes_with_the_type_of_an_input(kind: str) -> None:
    assert digest(rows(i=kind).select("i")) != digest(rows().select("i"))


def test_digest_changes_with_the_name_of_an_input() -> None:
    one, other = (ibis.table({"i": "int64"}, name=name) for name in ("one", "other"))
    assert digest(one) != digest(other)


def test_code_hash_changes_with_all_that_it_is_told() -> None:
    made = rows()
    told = [
        (1, made, made),
        (2, made, made),
        (1, made.limit(1), made),
        (1, made, made.limit(1)),
        (1, made, made, "declared"),
    ]
    assert len({code_hash(*each) for each in told}) == len(told)


def test_a_table_in_memory_has_no_digest() -> None:
    with pytest.raises(PipelineError, match="a table in memory has no code: make it a Source"):
        digest(ibis.memtable({"i": [1]}))


# Many pairs of expressions

columns = st.sampled_from(["i", "j"])
numbers = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([0.0, -0.0, 1.0, 1e-300, float("nan"), float("inf")]),
    st.sampled_from([Decimal("1"), Decimal("1.00")]),
)
texts = st.sampled_from(["", "a", "A", "a'", "\\", "N", "\0", "ibis_x_" + "q" * 26])
flags = st.booleans()
steps = st.one_of(
    st.tuples(st.just("compare"), columns, st.sampled_from("<>="), numbers),
    st.tuples(st.just("text"), texts),
    st.tuples(st.just("in"), st.frozensets(texts, min_size=1, max_size=3)),
    st.tuples(st.just("order"), columns, flags, flags),
    st.tuples(st.just("add"), columns, columns, st.sampled_from(["x", "y"])),
    st.tuples(st.just("cut"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("self"), st.sampled_from(["inner", "left", "semi"]), columns),
    st.tuples(st.just("map"), st.integers(0, 2)),
    st.tuples(st.just("unnest"), flags),
    st.tuples(st.just("rank"), columns, flags),
)
Steps = list[tuple[Any, ...]]


def step(t: ir.Table, kind: str, *told: Any) -> ir.Table:
    if kind == "compare":
        name, how, number = told
        left, right = t[name], ibis.literal(number)
        return t.filter({"<": left < right, ">": left > right, "=": left == right}[how])
    if kind == "text":
        return t.filter(t.s == told[0])
    if kind == "in":
        return t.filter(t.s.isin(told[0]))
    if kind == "order":
        key = t[told[0]].desc if told[1] else t[told[0]].asc
        return t.order_by(key(nulls_first=told[2]))
    if kind == "add":
        return t.mutate((t[told[0]] + t[told[1]]).name(told[2])).select(*rows().columns, told[2])
    if kind == "cut":
        return t.limit(told[0], offset=told[1])
    if kind == "self":
        return t.join(t.view(), told[1], how=told[0], rname="{name}_other").select(*t.columns)
    if kind == "map":
        return t.mutate(a=t.a.map(lambda e: e + told[0]))
    if kind == "unnest":
        return t.unnest("a", keep_empty=told[0]).mutate(a=ibis.array([_.a]))
    return t.mutate(j=ibis.row_number().over(order_by=told[0], group_by="s" if told[1] else "f"))


def built(told: Steps) -> ir.Table:
    made = rows()
    for each in told:
        made = step(made, *each)
    return made


def spelled(told: Steps) -> str:
    """Return steps as text, in which 0.0 is not -0.0 and 1 is not 1.0."""
    return repr(
        [tuple(sorted(p) if isinstance(p, frozenset) else p for p in each) for each in told]
    )


@given(st.lists(steps, max_size=4), st.lists(steps, max_size=4), flags)
def test_digests_are_equal_exactly_for_equal_expressions(
    one: Steps, other: Steps, are_equal: bool
) -> None:
    other = one if are_equal else other
    is_same = digest(built(one)) == digest(built(other))
    assert is_same == (spelled(one) == spelled(other))


@given(st.lists(steps, min_size=1, max_size=4), st.data())
def test_every_change_of_a_step_changes_the_digest(one: Steps, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(one) - 1))
    other = [*one[:place], data.draw(steps), *one[place + 1 :]]
    is_same = digest(built(one)) == digest(built(other))
    assert is_same == (spelled(one) == spelled(other))

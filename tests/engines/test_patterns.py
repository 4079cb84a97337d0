"""Patterns mean in a store what they mean on a disk."""

from pathlib import Path
from typing import Any

import pytest

from streampro.engines.spark.files import Files
from streampro.location import Remote


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw [1]")
    for name in ("a.json", "{a,b}.json", "day/b.json", "day/deep/c.json", "_old/d.json", "_e.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.json", ["a.json", "{a,b}.json"]),
        ("{a,b}.json", ["{a,b}.json"]),
        ("[!b].json", ["a.json"]),
        ("*/*.json", ["day/b.json"]),
        ("_old/*.json", ["_old/d.json"]),
        ("**/*.json", ["a.json", "day/b.json", "day/deep/c.json", "{a,b}.json"]),
        ("day/**/?.json", ["day/b.json", "day/deep/c.json"]),
        ("nowhere/**/*.json", []),
        ("_e*", ["_e.json"]),
        ("[_]e*", []),
    ],
)
def test_patterns_mean_the_same_on_a_disk_and_in_a_store(
    spark: Any, raw: Path, pattern: str, names: list[str]
) -> None:
    reached = Files(spark)
    for place in (reached.place(raw), reached.place(Remote(f"file://{raw}"))):
        assert [file.path for file in place.files([pattern])] == names


def test_files_that_fit_no_pattern_are_told_alike(spark: Any, raw: Path) -> None:
    reached = Files(spark)
    for place in (reached.place(raw), reached.place(Remote(f"file://{raw}"))):
        found = place.unmatched(["*/*.json", "a*"], place / "day" / "deep")
        assert sorted(found) == ["_old/d.json", "{a,b}.json"]

"""What matches a pattern is found or named in an error, never passed over in silence."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from streampro.storage.place.matching import any_depth_below, fits, matching, unmatched

NOBODY = 65534


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, *patterns: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path, _ in matching(folder, patterns)]


def fitting(folder: Path, pattern: str) -> list[str]:
    """Return what `fits` says of every file below a folder."""
    files = (each for each in folder.rglob("*") if each.is_file())
    paths = sorted(each.relative_to(folder).as_posix() for each in files)
    return [path for path in paths if fits(path, pattern)]


def without_rights(folder: Path, call: Callable[[], object]) -> str:
    """Return what a call says or raises in a process whom modes of files bind, in the folder."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.chdir(folder)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            said = str(call())
        except BaseException as error:
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told:
        return told.read().decode()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jsonl", ["a.jsonl"]),
        ("[ab].js*", ["a.jsonl", "b.json"]),
        ("?.json", ["b.json"]),
        ("A.jsonl", []),
        ("day/c.jsonl", ["day/c.jsonl"]),
        ("*/*.jsonl", ["day/c.jsonl"]),
        ("**/*.jsonl", ["a.jsonl", "day/c.jsonl", "day/deep/d.jsonl"]),
        ("day/**/*.jsonl", ["day/c.jsonl", "day/deep/d.jsonl"]),
        ("**/deep/*", ["day/deep/d.jsonl"]),
        ("**/**/d.jsonl", ["day/deep/d.jsonl"]),
        ("./day//c.jsonl", ["day/c.jsonl"]),
        ("day*", []),
        ("day/**", []),
        ("b.json/x", []),
        ("nowhere/*", []),
        ("nowhere/x", []),
    ],
)
def test_parts_of_a_pattern_match_names(tmp_path: Path, pattern: str, names: list[str]) -> None:
    make(tmp_path, "a.jsonl", "b.json", "day/c.jsonl", "day/deep/d.jsonl")
    assert found(tmp_path, pattern) == fitting(tmp_path, pattern) == names


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*", ["seen"]),
        ("*/*", []),
        ("_files/*", ["_files/one"]),
        ("[_]files/*", []),
        ("_*/*", ["_files/one"]),
        ("_hidden", ["_hidden"]),
        ("_hid*", ["_hidden"]),
        ("[_]hidden", []),
        (".files/_x/**/*", [".files/_x/two"]),
    ],
)
def test_hidden_files_and_folders_are_passed_over(
    tmp_path: Path, pattern: str, names: list[str]
) -> None:
    make(tmp_path, "seen", "_hidden", ".hidden", "_files/one", ".files/_x/two", "_files/.x/three")
    (tmp_path / ".#seen").symlink_to("somebody@this.machine")
    assert found(tmp_path, pattern) == fitting(tmp_path, pattern) == names


def test_links_are_followed_but_not_by_any_depth(tmp_path: Path) -> None:
    make(tmp_path, "raw/day/a", "elsewhere/b")
    (tmp_path / "raw" / "linked").symlink_to("../elsewhere")
    (tmp_path / "raw" / "day" / "up").symlink_to("..")
    (tmp_path / "raw" / "c").symlink_to("../elsewhere/b")
    assert found(tmp_path / "raw", "linked/*", "c") == ["c", "linked/b"]
    assert found(tmp_path / "raw", "**/*") == ["c", "day/a"]
    assert found(tmp_path / "raw", "*/up/c") == ["day/up/c"]


@pytest.mark.parametrize("pattern", ["a*", "a1", "**/a1", "a1/x", "*/x", "a1/**/x"])
@pytest.mark.parametrize("target", ["nowhere", "a1", "file/below"])
def test_link_to_nowhere_is_named(tmp_path: Path, pattern: str, target: str) -> None:
    make(tmp_path, "file", "sub/x")
    (tmp_path / "a1").symlink_to(target)
    with pytest.raises(OSError, match=r"'[^']*/a1'$"):
        found(tmp_path, pattern)


@pytest.mark.parametrize("pattern", ["*.csv", "**/*", "*/x"])
def test_link_to_nowhere_that_no_pattern_means_is_nobodys(tmp_path: Path, pattern: str) -> None:
    make(tmp_path, "day/x", "y.csv")
    (tmp_path / "day" / "gone.jsonl").symlink_to("nowhere")
    if pattern == "**/*":
        with pytest.raises(FileNotFoundError, match=r"link to nowhere \(nowhere\).*gone.jsonl"):
            found(tmp_path, pattern)
    else:
        assert found(tmp_path, pattern)


def test_what_is_neither_file_nor_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo(tmp_path / "queue")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("server")
    for name in ("queue", "server"):
        with pytest.raises(OSError, match=f"neither a file nor a folder: .*{name}"):
            found(tmp_path, f"{name[:3]}*")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("open/*", "['open/a']"),
        ("open.txt", "['open.txt']"),
        ("closed/*", "[Errno 13] Permission denied: 'closed'"),
        ("closed/a", "[Errno 13] Permission denied: 'closed/a'"),
        ("*/a", "[Errno 13] Permission denied: 'closed/a'"),
        ("**/a", "[Errno 13] Permission denied: 'closed/a'"),
        ("*.txt", "[Errno 13] Permission denied: 'closed.txt'"),
        ("closed.txt", "[Errno 13] Permission denied: 'closed.txt'"),
    ],
)
def test_what_may_not_be_read_is_named(tmp_path: Path, pattern: str, told: str) -> None:
    make(tmp_path, "open/a", "closed/a", "open.txt", "closed.txt")
    tmp_path.chmod(0o755)
    for name in ("closed", "closed.txt"):
        (tmp_path / name).chmod(0)
    said = without_rights(tmp_path, lambda: found(Path(), pattern))
    (tmp_path / "closed").chmod(0o700)
    assert said == told


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["**/*"], [".y/e", "_x/d", "linked", "up"]),
        (["a.jsonl", "linked/*"], ["b.json", "day/c.jsonl", "gone", "up"]),
        (["*.json*", "*/*.jsonl", "gone"], []),
        (["*/**/c.jsonl"], ["a.jsonl", "b.json", "gone"]),
        ([], ["a.jsonl", "b.json", "day/c.jsonl", "gone", "linked", "up"]),
        (["**/?"], [".y/e", "_x/d", "a.jsonl", "b.json", "day/c.jsonl", "gone", "linked", "up"]),
        (["**/?*", "_x/*"], [".y/e", "linked", "up"]),
    ],
)
def test_what_no_pattern_looks_at_is_told(
    tmp_path: Path, patterns: list[str], names: list[str]
) -> None:
    raw = tmp_path / "raw"
    make(raw, "a.jsonl", "b.json", "day/c.jsonl", "_x/d", ".y/e", "warehouse/t/f.parquet")
    (raw / "linked").symlink_to("day")
    (raw / "up").symlink_to("..")
    (raw / "gone").symlink_to("nowhere")
    assert sorted(unmatched(raw, patterns, raw / "warehouse")) == names


def test_folder_that_may_not_be_read_is_told_where_no_pattern_needs_it(tmp_path: Path) -> None:
    make(tmp_path, "closed/a", "b")
    tmp_path.chmod(0o755)
    (tmp_path / "closed").chmod(0)
    told = without_rights(tmp_path, lambda: [*unmatched(Path(), ["b"], Path("w"))])
    (tmp_path / "closed").chmod(0o700)
    assert told == "['closed']"


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [("*.csv", None), ("a/b.csv", None), ("**/x", ""), ("a/b/**/x", "a/b"), ("a/*/**/x", "a")],
)
def test_any_depth_begins_below_the_last_folder_that_is_named(
    pattern: str, folder: str | None
) -> None:
    assert any_depth_below(pattern) == folder

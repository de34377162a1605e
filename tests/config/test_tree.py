"""What of YAML is read, and what is refused before it can do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.config.load import load
from bursar.config.tree import DEPTH_MAX, FILE_BYTES_MAX, VALUES_MAX, Items, Scalar, Table, parse, read_text
from bursar.errors import ConfigError


def test_each_value_knows_its_line_and_key() -> None:
    tree = parse("a:\n  b:\n    - one\n    - c: two\nd: >-\n  three\n  four\n", "f")
    a = tree.entries["a"]
    assert isinstance(a, Table)
    b = a.entries["b"]
    assert isinstance(b, Items)
    one, table = b.nodes
    assert isinstance(table, Table)
    two = table.entries["c"]
    assert (one.place.line, one.place.key) == (3, "a.b[0]")
    assert (two.place.line, two.place.key) == (4, "a.b[1].c")
    assert tree.entries["d"] == Scalar(tree.entries["d"].place, "three four")


@pytest.mark.parametrize(
    "text", ["0.10", "1e3", "on", "NO", "~", "null", "010", "0b1", "1_0", "12:30:45", "2026-01-01", ".inf"]
)
def test_no_value_is_anything_but_its_text(text: str) -> None:
    value = parse(f"key: {text}", "f").entries["key"]
    assert isinstance(value, Scalar)
    assert value.text == text


def _bomb() -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("a: 1\nb: !!python/object/apply:os.system ['true']", 2, "tags are not read"),
        ("a: !!python/name:os.system x", 1, "tags are not read"),
        ("a: !!binary aGk=", 1, "tags are not read"),
        ("a: !!str 5", 1, "tags are not read"),
        ("a: !env HOME", 1, "tags are not read"),
        ("!!map {a: 1}", 1, "tags are not read"),
        (_bomb(), 1, "anchors are not read"),
        ("a: 1\nb: *a", 2, "aliases are not read"),
        ("a: *", 1, "needs quotes"),
        ("a: [*]", 1, "needs quotes"),
        ("*: 1", 1, "needs quotes"),
        ("*a: 1", 1, "aliases are not read"),
        ("a: 1\n<<: {b: 2}", 2, "merge keys are not read"),
        ("a: 1\nb: 2\na: 3", 3, "'a' is here twice, first in line 1"),
        ("a: {b: 1, b: 2}", 1, "'b' is here twice"),
        ("a: 1\n'a': 3", 2, "is here twice"),
        ("? [a, b]\n: 1", 1, "a key is a plain word"),
        ("? {a: b}\n: 1", 1, "a key is a plain word"),
        ("'': 1", 1, "a key is missing"),
        ('a: 1\n"c\\nd": 2', 2, "a key holds a line break"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("- a", 1, "keys with values are needed"),
        ("just words", 1, "keys with values are needed"),
        ("a:\n\tb: 1", 2, "no tabs"),
        ("a: @x", 1, "put the value in quotes"),
        ("a: `x`", 1, "put the value in quotes"),
        ("a: 'x", 1, "not YAML"),
        ("a: [1, 2\nb: 3", 2, "not YAML"),
        ("a: b: c", 1, "not YAML"),
        ("%YAML 9.9\n---\na: 1", 1, "not YAML"),
        ('a: 1\nb: "\\UFFFFFFFF"', 2, "not YAML"),
        ('a: 1\nb: "\\U00110000"', 2, "not YAML"),
        ("a: 1\nb: \x01", 2, "cannot be printed"),
        ("a: " + "[" * (DEPTH_MAX + 5) + "]" * (DEPTH_MAX + 5), 1, "deep"),
        ("a: " + "[" * 100_000, 1, "deep"),
        ("a: " + "{a: " * 10_000, 1, "deep"),
        ("a:\n" + "".join(f"{' ' * n}- \n" for n in range(100)), 17, "deep"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(text: str, line: int, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert advice in str(caught.value)
    assert (caught.value.file, caught.value.line) == ("f", line)


def test_a_text_of_too_many_values_is_refused() -> None:
    with pytest.raises(ConfigError, match="more than 20,000 values"):
        parse("a: [" + "x," * (VALUES_MAX + 1) + "]", "f")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than 1,048,576 bytes"):
        load(file, {})
    file.write_bytes(b"#" * FILE_BYTES_MAX)
    assert load(file, {}).file == file


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        read_text(file)
    assert caught.value.line == 2


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfserver: {port: 1}\n")
    assert load(file, {}).server.port == 1


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"server:\r\n  port: 1\r\n")
    assert load(file, {}).server.port == 1

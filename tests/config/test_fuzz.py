"""Whatever is in the file, the environment or a flag: settings, or a ConfigError."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bursar.config.environment import VARIABLES
from bursar.config.load import KEYS, load
from bursar.errors import ConfigError

WORDS = re.findall(
    r"\S+",
    """
    server store limits providers prices models budgets link host port workers kind path durability base_url wires free
    api_key_env deadlines idle_s openai anthropic ollama gpt-5 input output name match per limit window timezone user
    week_start warn_at values_max strict team tag.x run day days since monday UTC Europe Europe/Paris sqlite memory true
    false deny https://x http://[ ~ ~x $5 $5/day 50k tokens / month 84 2026-11-01 -1 0 1e9 * & ! | > ' " \ud800 \0 : - ?
    [ ] { } # % @ ` << null
    """,
)

word = st.sampled_from(WORDS) | st.text(max_size=8)
tree = st.recursive(
    word | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(word, inner, max_size=4),
    max_leaves=25,
)
likely = st.dictionaries(st.sampled_from(KEYS), tree, max_size=4)
quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _error(file: Path | None, environ: dict[str, str], flags: dict[str, str]) -> ConfigError | None:
    """Load: any other error than ConfigError fails the test."""
    try:
        load(file, environ, flags)
    except ConfigError as error:
        return error
    return None


def _check_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fuzz.yaml"
    file.write_bytes(content)
    error = _error(file, {"OPENAI_API_KEY": "k"}, {})
    assert error is None or error.file == str(file)
    assert error is None or all(line.isprintable() for line in str(error).split("\n"))


@quick
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    _check_file(tmp_path, content)


@quick
@given(st.lists(word | st.sampled_from(["\n", "\n  ", "\n- ", ": ", ", "]), max_size=40).map("".join))
@example("a: '\\u2028'")
def test_any_text(tmp_path: Path, text: str) -> None:
    _check_file(tmp_path, text.encode("utf-8", "surrogatepass"))


@quick
@given(likely | tree)
@example({"limits": {"lapse_s": "0.2", "heartbeat_s": "3600"}})
def test_any_yaml(tmp_path: Path, content: object) -> None:
    _check_file(tmp_path, yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass"))


@quick
@given(st.dictionaries(st.sampled_from(tuple(VARIABLES)) | word.map("BURSAR_{}".format), word, max_size=4))
def test_any_environment(content: dict[str, str]) -> None:
    content.pop("BURSAR_CONFIG", None)
    error = _error(None, content, {})
    assert error is None or error.file == "environment" or error.key in ("limits.lapse_s", "server.workers")


@quick
@given(st.dictionaries(st.sampled_from(["budget", "link", "server.port", "store.path"]) | word, word, max_size=3))
def test_any_flags(content: dict[str, str]) -> None:
    error = _error(None, {}, content)
    assert error is None or error.file == "command line"


@pytest.mark.parametrize(
    "content",
    ["[" * 2**20, "{a: " * 2**18, "- " * 2**19, "a:\n" + " \n" * 2**18 + "?", "&a " * 2**18, "'" * 2**20, "!" * 2**20],
    ids=["lists", "tables", "items", "lines", "anchors", "quotes", "tags"],
)
def test_a_hostile_shape_is_refused(tmp_path: Path, content: str) -> None:
    """Each would take minutes, gigabytes or the whole stack if it were read to its end."""
    file = tmp_path / "hostile.yaml"
    file.write_text(content[: 2**20])
    assert _error(file, {}, {}) is not None

"""Wrong configurations: each is refused with the right line, the right key and advice that helps."""

from __future__ import annotations

import pytest
from tests.config.conftest import Load

from bursar.errors import ConfigError

MARK = "# here"
WRONG = [
    # the top
    ("server: {}\nbudget: []  # here", "budget", "did you mean 'budgets'"),
    ("alerts: []  # here", "alerts", "unknown key; write one of budgets, guards, limits, link"),
    ("Server: {}  # here", "Server", "did you mean 'server'"),
    ("link: https://a b  # here", "link", "is not a link"),
    ("link: javascript:alert(1)  # here", "link", "is not a link"),
    ("link: [https://x]  # here", "link", "one value is needed here, not a list"),
    # server, store, limits
    ("server:\n  prot: 1  # here", "server.prot", "did you mean 'port'"),
    ("server:\n  port: eighty  # here", "server.port", "write a whole number from 0 to 65535"),
    ("server:\n  port: 65536  # here", "server.port", "write a whole number from 0 to 65535"),
    ("server:\n  port: -1  # here", "server.port", "write a whole number from 0 to 65535"),
    ("server:\n  port: 8484.5  # here", "server.port", "write a whole number"),
    ("server:\n  port: 0x1F  # here", "server.port", "write a whole number"),
    ("server:\n  port: 08484  # here", "server.port", "write a whole number"),
    ("server:\n  port:  # here", "server.port", "the value is missing"),
    ("server:\n  port: ['1']  # here", "server.port", "not a list"),
    ("server:\n  port: {a: 1}  # here", "server.port", "not keys with values"),
    ("server:\n  workers: 0  # here", "server.workers", "from 1 to"),
    ("server:\n  host: 127.0.0.1:80  # here", "server.host", "the port under port"),
    ("server:\n  host: http://x  # here", "server.host", "is not an address"),
    ("server:\n  grace_s: 30s  # here", "server.grace_s", "without a unit"),
    ("server:\n  grace_s: .inf  # here", "server.grace_s", "write seconds as a number"),
    ("server:\n  grace_s: 1e3  # here", "server.grace_s", "write seconds as a number"),
    ("server: 8484  # here", "server", "keys with values are needed here, not '8484'"),
    ("server: [port]  # here", "server", "keys with values are needed here, not a list"),
    ("store:\n  kind: sqllite  # here", "store.kind", "did you mean 'sqlite'"),
    ("store:\n  kind: postgres  # here", "store.kind", "write one of memory, sqlite"),
    ("store:\n  durability: on  # here", "store.durability", "write one of power, process"),
    ("store:\n  path: ':memory:'  # here", "store.path", "write kind: memory"),
    ("store:\n  path: ~nobody-of-this-name/x  # here", "store.path", "no such home directory"),
    ('store:\n  path: "a\\0b"  # here', "store.path", "cannot be printed"),
    ("limits:\n  hold_wait: 5  # here", "limits.hold_wait", "did you mean 'hold_wait_s'"),
    ("limits:\n  body_bytes_max: 32MB  # here", "limits.body_bytes_max", "for example 32 MiB"),
    ("limits:\n  body_bytes_max: 0  # here", "limits.body_bytes_max", "from 1 to"),
    ("limits:\n  waiting_max: no  # here", "limits.waiting_max", "write a whole number"),
    ("limits:\n  heartbeat_s: 20\n  lapse_s: 30  # here", "limits.lapse_s", "at least 40"),
    # providers
    ("providers:\n  opnai: {}  # here", "providers.opnai", "did you mean 'openai'"),
    ("providers:\n  groq: {models: [x]}  # here", "providers.groq", "base_url is missing"),
    ("providers:\n  OpenAI: {}  # here", "providers.OpenAI", "a-z, 0-9"),
    ("providers:\n  a/b: {base_url: http://x}  # here", "providers.a/b", "a-z, 0-9"),
    ("providers: [openai]  # here", "providers", "keys with values are needed here, not a list"),
    ("providers:\n  x:\n    url: http://x\n    base_url: http://x", "providers.x.url", "did you mean 'base_url'"),
    ("providers:\n  x:\n    base_url: api.x.example  # here", "providers.x.base_url", "begins with https://"),
    ("providers:\n  x:\n    base_url: http://  # here", "providers.x.base_url", "a host"),
    ("providers:\n  x:\n    base_url: http://x:99999  # here", "providers.x.base_url", "not a URL"),
    ("providers:\n  x:\n    base_url: 'http://[::1'  # here", "providers.x.base_url", "not a URL"),
    ("providers:\n  x:\n    base_url: http://x/v1/chat/completions  # here", "providers.x.base_url", "own path"),
    (
        "providers:\n  anthropic:\n    base_url: https://x/v1  # here",
        "providers.anthropic.base_url",
        "leave out /v1",
    ),
    (
        "providers:\n  openai:\n    wires: [openai.chats]  # here",
        "providers.openai.wires[0]",
        "did you mean 'openai.chat'",
    ),
    ("providers:\n  openai:\n    wires: []  # here", "providers.openai.wires", "at least 1"),
    ("providers:\n  openai:\n    models: [a, a]  # here", "providers.openai.models[1]", "'a' is here twice"),
    ("providers:\n  openai:\n    models: [gpt 5]  # here", "providers.openai.models[0]", "no spaces"),
    ("providers:\n  openai:\n    models: [*]  # here", "", "needs quotes"),
    ("providers:\n  openai:\n    api_key: sk-1  # here", "providers.openai.api_key", "did you mean 'api_key_env'"),
    ("providers:\n  openai:\n    api_key_env: sk-1  # here", "providers.openai.api_key_env", "never the key itself"),
    ("providers:\n  openai:\n    api_key_env: NOT_SET  # here", "providers.openai.api_key_env", "NOT_SET is not set"),
    ("providers:\n  openai:\n    free: yes  # here", "providers.openai.free", "write true or false"),
    ("providers:\n  openai:\n    free: True  # here", "providers.openai.free", "write true or false"),
    ("providers:\n  ollama: {free: true, local: true}  # here", "providers.ollama.local", "the same as free"),
    ("providers:\n  ollama: {free: true, price_as: openai}  # here", "providers.ollama.price_as", "keep one"),
    (
        "providers:\n  openai:\n    cap_parameter: max_token  # here",
        "providers.openai.cap_parameter",
        "did you mean 'max_tokens'",
    ),
    ("providers:\n  openai:\n    attempts: 0  # here", "providers.openai.attempts", "from 1 to 10"),
    (
        "providers:\n  openai:\n    deadlines: {idle: 5}  # here",
        "providers.openai.deadlines.idle",
        "did you mean 'idle_s'",
    ),
    ("providers:\n  openai:\n    deadlines: {idle_s: 0}  # here", "providers.openai.deadlines.idle_s", "from 0.001"),
    ("providers:\n  openai:\n    top_speed: fast  # here", "providers.openai.top_speed", "write a whole number"),
    ("providers:\n  openai:\n    auth: basic  # here", "providers.openai.auth", "write one of"),
    ("providers:\n  openai:\n    auth: Bearer  # here", "providers.openai.auth", "did you mean 'bearer'"),
    ("providers:\n  openai:\n    base_url: http://2130706433/v1  # here", "providers.openai.base_url", "four parts"),
    ("providers:\n  openai:\n    base_url: http://0x7f.1/v1  # here", "providers.openai.base_url", "four parts"),
    ("providers:\n  openai:\n    base_url: http://0177.0.0.1  # here", "providers.openai.base_url", "four parts"),
    ("providers:\n  openai:\n    base_url: http://127.1:80  # here", "providers.openai.base_url", "four parts"),
    ("providers:\n  openai:\n    headers: [a]  # here", "providers.openai.headers", "not a list"),
    ("providers:\n  openai:\n    headers: {X-A: }  # here", "providers.openai.headers.X-A", "the value is missing"),
    ("providers:\n  openai:\n    headers: {X-A: [1]}  # here", "providers.openai.headers.X-A", "one value"),
    ("providers:\n  openai:\n    headers: {X-A: é}  # here", "providers.openai.headers.X-A", "beyond ASCII"),
    ("providers:\n  openai:\n    headers: {'X A': b}  # here", "providers.openai.headers.X A", "not a header's name"),
    ("providers:\n  openai:\n    headers: {X-A: b, x-a: c}  # here", "providers.openai.headers.x-a", "here twice"),
    (
        "providers:\n  openai:\n    headers: {Authorization: b}  # here",
        "providers.openai.headers.Authorization",
        "api_key_env",
    ),
    ("providers:\n  openai:\n    headers: {Cookie: b}  # here", "providers.openai.headers.Cookie", "who pays"),
    ("providers:\n  openai:\n    headers: {Host: b}  # here", "providers.openai.headers.Host", "cannot be set"),
    (
        "providers:\n  openai:\n    headers: {Connection: b}  # here",
        "providers.openai.headers.Connection",
        "cannot be set",
    ),
    (
        "providers:\n  openai:\n    headers: {X-Bursar-Run: b}  # here",
        "providers.openai.headers.X-Bursar-Run",
        "or to bursar",
    ),
    (
        "providers:\n  openai:\n    headers:\n      X-A: 'a ${NOT_SET}'  # here",
        "providers.openai.headers.X-A",
        "'NOT_SET' is not",
    ),
    ("providers:\n  openai:\n    query: a=b  # here", "providers.openai.query", "keys with values"),
    ("providers:\n  openai:\n    query: {api_key: b}  # here", "providers.openai.query.api_key", "into logs"),
    ("providers:\n  openai:\n    query: {'a&b': c}  # here", "providers.openai.query.a&b", "not a parameter's name"),
    ("providers:\n  openai:\n    allow_private: on  # here", "providers.openai.allow_private", "true or false"),
    ("providers:\n  openai:\n    stream_options: {}  # here", "providers.openai.stream_options", "one value"),
    ("providers:\n  openai:\n    fallback: []  # here", "providers.openai.fallback", "at least 1"),
    ("providers:\n  openai:\n    fallback: [olama]  # here", "providers.openai.fallback[0]", "did you mean 'ollama'"),
    ("providers:\n  openai:\n    fallback: openai  # here", "providers.openai.fallback", "attempts says how often"),
    ("providers:\n  openai:\n    fallback: [ollama, ollama]  # here", "providers.openai.fallback[1]", "here twice"),
    ("providers:\n  openai:\n    fallback: [anthropic]  # here", "providers.openai.fallback[0]", "none of the APIs"),
    (
        "providers:\n  x: {base_url: http://x/v1}\n  openai:\n    fallback:\n      - ollama\n      - x/y  # here",
        "providers.openai.fallback[1]",
        "never shown to another provider",
    ),
    ("providers:\n  openai:\n    fallbacks: [ollama]  # here", "providers.openai.fallbacks", "did you mean 'fallback'"),
    # prices and models
    ("prices:\n  m: {input: 1}  # here", "prices.m", "input and output are needed"),
    ("prices:\n  m: {}  # here", "prices.m", "input and output are needed"),
    ("prices:\n  m: 5  # here", "prices.m", "keys with values"),
    ("prices:\n  m: {input: 0, output: 0}  # here", "prices.m", "write free: true"),
    ("prices:\n  m: {free: true, input: 1, output: 1}  # here", "prices.m", "is free and has rates"),
    ("prices:\n  m: {input: -1, output: 1}  # here", "prices.m.input", "is negative"),
    ("prices:\n  m: {input: .nan, output: 1}  # here", "prices.m.input", "is not a number"),
    ("prices:\n  m: {input: 1e-7, output: 1}  # here", "prices.m.input", "is not a number"),
    ("prices:\n  m: {input: 0.0000001, output: 1}  # here", "prices.m.input", "pico-USD"),
    ("prices:\n  m: {input: '1,5', output: 1}  # here", "prices.m.input", "is not a number"),
    ("prices:\n  m: {input: 1, output: 2, cached: 1}  # here", "prices.m.cached", "did you mean 'cached_input'"),
    ("prices:\n  opnai/m: {free: true}  # here", "prices.opnai/m", "did you mean 'openai'"),
    ("prices:\n  m: {free: true}\n  '*/M': {free: true}  # here", "prices.*/M", "the same models as line 2"),
    ("models:\n  m: {}  # here", "models.m", "at least one of"),
    ("models:\n  m: {max_tokens: 5}  # here", "models.m.max_tokens", "did you mean 'max_output_tokens'"),
    ("models:\n  m: {max_output_tokens: 32k}  # here", "models.m.max_output_tokens", "write a whole number"),
    # budgets
    ("budgets: $5 / day  # here", "budgets", "keys with values"),
    ("budgets:\n  - {}  # here", "budgets[0]", "limit is missing"),
    ("budgets:\n  - []  # here", "budgets[0]", "at least one limit"),
    ("budgets:\n  - {limit: []}  # here", "budgets[0].limit", "at least one limit"),
    ("budgets:\n  - {limit: {}}  # here", "budgets[0].limit", "at least one limit"),
    ("budgets:\n  - {limit: }  # here", "budgets[0].limit", "the value is missing"),
    ("budgets:\n  - {amount: $5 / day}", "budgets[0].amount", "did you mean 'limit'"),
    ("budgets:\n  - limit: $5 / day\n    windw: day  # here", "budgets[0].windw", "did you mean 'window'"),
    ("budgets:\n  - $5  # here", "budgets[0]", "over which time"),
    ("budgets:\n  - 5 / day  # here", "budgets[0]", "of what"),
    ("budgets:\n  - $1,5 / day  # here", "budgets[0]", "with a point for decimals"),
    ("budgets:\n  - $5 / dya  # here", "budgets[0]", "did you mean 'day'"),
    ("budgets:\n  - 50m tokens / day  # here", "budgets[0]", "M for millions"),
    ("budgets:\n  - $10M / month  # here", "budgets[0]", "above the largest limit"),
    ("budgets:\n  - {limit: $5 / day, window: week}  # here", "budgets[0].limit", "keep one of them"),
    ("budgets:\n  - {limit: [$5 / day, $6 / day]}  # here", "budgets[0].limit[1]", "a second limit in usd per day"),
    ("budgets:\n  - {limit: [$5 / day, $6]}  # here", "budgets[0].limit[1]", "over which time"),
    ("budgets:\n  - {limit: {usd: 5}}  # here", "budgets[0].limit.usd", "add window: day"),
    ("budgets:\n  - {limit: {token: 5}, window: day}  # here", "budgets[0].limit.token", "did you mean 'tokens'"),
    ("budgets:\n  - {limit: {tokens: $5}, window: day}  # here", "budgets[0].limit.tokens", "not an amount of tokens"),
    ("budgets:\n  - {limit: $5, window: daily}  # here", "budgets[0].window", "did you mean 'day'"),
    ("budgets:\n  - {limit: $5, window: 30 days}  # here", "budgets[0].window", "from which day"),
    ("budgets:\n  - {limit: $5, window: {days: 30}}  # here", "budgets[0].window", "since is missing"),
    (
        "budgets:\n  - {limit: $5, window: {days: 30, since: today}}  # here",
        "budgets[0].window.since",
        "write it as 2026-11-01",
    ),
    ("budgets:\n  - {limit: $5 / day, timezone: Pariss}  # here", "budgets[0].timezone", "Europe/Paris"),
    (
        "budgets:\n  - {limit: $5 / day, timezone: berlin}  # here",
        "budgets[0].timezone",
        "did you mean 'Europe/Berlin'",
    ),
    ("budgets:\n  - {limit: $5 / day, timezone: ../../etc/passwd}  # here", "budgets[0].timezone", "is no time zone"),
    ("budgets:\n  - {limit: $5 / week, week_start: mon}  # here", "budgets[0].week_start", "did you mean 'monday'"),
    ("budgets:\n  - {limit: $5 / week, week_start: 0}  # here", "budgets[0].week_start", "write one of"),
    ("budgets:\n  - {limit: $5 / day, per: usr}  # here", "budgets[0].per", "did you mean 'user'"),
    ("budgets:\n  - {limit: $5 / day, per: [user, user]}  # here", "budgets[0].per[1]", "twice"),
    ("budgets:\n  - {limit: $5 / day, per: tag.}  # here", "budgets[0].per", "is not a label"),
    ("budgets:\n  - {limit: $5 / day, match: {taem: x}}  # here", "budgets[0].match.taem", "did you mean 'team'"),
    ("budgets:\n  - {limit: $5 / day, match: {team: []}}  # here", "budgets[0].match.team", "at least 1"),
    ("budgets:\n  - {limit: $5 / day, match: {team: }}  # here", "budgets[0].match.team", "the value is missing"),
    (
        "budgets:\n  - {limit: $5 / day, match: {task_type: a, task-type: b}}  # here",
        "budgets[0].match.task-type",
        "twice",
    ),
    ("budgets:\n  - {limit: $5 / day, match: [team]}  # here", "budgets[0].match", "not a list"),
    ("budgets:\n  - {limit: $5 / day, strict: 1}  # here", "budgets[0].strict", "write true or false"),
    (
        "budgets:\n  - {limit: $5 / day, on_store_down: off}  # here",
        "budgets[0].on_store_down",
        "write one of allow, deny",
    ),
    ("budgets:\n  - {limit: $5 / day, warn_at: 0.8}  # here", "budgets[0].warn_at", "from 1 to 100"),
    ("budgets:\n  - {limit: $5 / day, warn_at: [50, 101]}  # here", "budgets[0].warn_at[1]", "from 1 to 100"),
    ("budgets:\n  - {limit: $5 / day, values_max: 0}  # here", "budgets[0].values_max", "from 1 to"),
    ("budgets:\n  - {limit: $5 / day, link: ask me}  # here", "budgets[0].link", "is not a link"),
    ("budgets:\n  - $5 / day\n  - $5 / day  # here", "budgets[1]", "the budget of line 2 is also named '$5/day'"),
    ("budgets:\n  a: {name: b, limit: $5 / day}  # here", "budgets.a.name", "unknown key"),
    (
        "budgets:\n  - name: a\n    limit: [$1/day, $2/run]\n  - {name: a (day), limit: $1/day}  # here",
        "budgets[1]",
        "also named",
    ),
    ("budgets:\n  - {limit: $5 / day, owner: x}  # here", "budgets[0].owner", "unknown key"),
    (f"budgets:\n  - {{limit: $5 / day, name: {'x' * 129}}}  # here", "budgets[0].name", "longer than 128"),
    (f"budgets:\n  {'x' * 129}: $5 / day  # here", f"budgets.{'x' * 60}…", "set a shorter name"),
]


def _expected_line(text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.endswith(MARK)), 0)


@pytest.mark.parametrize(("text", "key", "advice"), WRONG)
def test_a_wrong_configuration_is_refused_with_line_key_and_advice(
    load_text: Load, text: str, key: str, advice: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    error = caught.value
    line = _expected_line(text)
    assert advice in str(error)
    assert error.key == key
    assert str(error).startswith(f"{error.file}:{error.line}: " if error.line else f"{error.file}: ")
    if line:
        assert error.line == line
        assert len(str(error).splitlines()) == 1, "one mistake, one line"


YAML = [
    ("server: !!python/object/apply:os.system [true]", 1, "tags are not read"),
    ("server:\n  port: !!int 80", 2, "tags are not read"),
    ("a: &a [x]\nb: *a", 1, "anchors are not read"),
    ("server:\n  <<: {port: 1}", 2, "merge keys are not read"),
    ("server: {port: 1}\nlink: https://x\nserver: {port: 2}", 3, "'server' is here twice, first in line 1"),
    ("server:\n  port: 1\n  port: 2", 3, "'port' is here twice, first in line 2"),
    ("server:\n\tport: 1", 2, "no tabs"),
    ("server: {port: 1}\n---\nbudgets: []", 2, "a second document"),
    ("- server", 1, "keys with values are needed"),
    ("server: " + "[" * 500, 1, "deep"),
    ("server: [" + "x, " * 30_000 + "x]", 1, "more than 20,000 values"),
    ("server: 'port", 1, "not YAML"),
    ("server: {port: 1", 1, "not YAML"),
    ("link: @x", 1, "quotes"),
    ('link: "\\UFFFFFFFF"', 1, "not YAML"),
    ("server: {port: 1}\n\x00", 2, "cannot be printed"),
]


@pytest.mark.parametrize(("text", "line", "advice"), YAML, ids=[advice for _, _, advice in YAML])
def test_what_of_yaml_is_not_read_is_refused_with_file_line_and_advice(
    load_text: Load, text: str, line: int, advice: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    assert advice in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{caught.value.file}:{line}: ")
    assert caught.value.file.endswith("bursar.yaml")


def test_a_file_of_ten_megabytes_is_refused(load_text: Load) -> None:
    with pytest.raises(ConfigError, match="larger than 1,048,576 bytes"):
        load_text("# much\n" * (10 * 2**20 // 7))


def test_there_are_many_mistakes_and_each_is_another() -> None:
    assert len({text for text, *_ in (*WRONG, *YAML)}) == len(WRONG) + len(YAML) >= 150


def test_too_many_budgets_are_refused_and_not_cut(load_text: Load) -> None:
    budgets = "\n".join(f"  b{number}: $5 / day" for number in range(1_001))
    with pytest.raises(ConfigError, match="more than 1,000 budgets"):
        load_text(f"budgets:\n{budgets}")


def test_too_many_providers_are_refused(load_text: Load) -> None:
    providers = "\n".join(f"  p{number}: {{base_url: http://x}}" for number in range(201))
    with pytest.raises(ConfigError, match="more than 200 providers"):
        load_text(f"providers:\n{providers}")


def test_a_long_value_is_not_repeated_in_full(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"server: {{port: {'9' * 5000}}}")
    assert len(str(caught.value)) < 300

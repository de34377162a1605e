"""boto3 inside a budget: exactly what fits reaches Bedrock, answers are what they were, one attempt is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.client.bedrock_rig import CLAUDE, HELLO, KEYS, MESSAGE, NOVA, WAYS, Aws, billed, metered_provider

import bursar
from bursar.testing import Script, ScriptedProvider
from bursar.testing.provider.script import Fault

HTTPError = pytest.importorskip("urllib3").exceptions.HTTPError
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed: pip install boto3")
botocore = pytest.importorskip("botocore")


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ScriptedProvider]:
    with metered_provider(tmp_path) as running:
        yield running


@pytest.fixture(params=["standard", "legacy", "adaptive"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(provider: ScriptedProvider, mode: str = "standard", attempts: int = 4, **more: Any) -> Any:
    config = botocore.config.Config(retries={"mode": mode, "total_max_attempts": attempts}, **more)
    return boto3.client("bedrock-runtime", endpoint_url=provider.url, config=config, **KEYS)


@pytest.fixture
def aws(provider: ScriptedProvider) -> Iterator[Aws]:
    client = client_of(provider)
    yield Aws(client)
    client.close()


@pytest.mark.parametrize("way", WAYS)
def test_four_calls_of_a_quarter_fit_a_dollar(provider: ScriptedProvider, aws: Aws, way: str) -> None:
    with bursar.budget("$1") as spent:
        for _ in range(4):
            getattr(aws, way)()
        for _ in range(8):
            with pytest.raises(bursar.BudgetExceeded):
                getattr(aws, way)()
    assert (billed(provider), spent.spent) == (4, Decimal(1))
    assert provider.invoice()["requests"] == 4


@pytest.mark.parametrize("way", WAYS)
def test_twenty_threads_send_no_more_than_fits(provider: ScriptedProvider, aws: Aws, way: str) -> None:
    def ask(_: int) -> bool:
        try:
            getattr(aws, way)()
        except (bursar.BudgetExceeded, botocore.exceptions.ClientError):
            return False
        return True

    with bursar.budget("$1") as spent, ThreadPoolExecutor(20) as pool:
        answered = sum(pool.map(ask, range(40)))
    assert (answered, billed(provider), spent.spent) == (4, 4, Decimal(1))


@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_model_never_reaches_the_provider(provider: ScriptedProvider, aws: Aws, way: str) -> None:
    unknown = "anthropic.unknown-v1:0" if way.startswith("invoke") else "acme.unknown-v1:0"
    with bursar.budget("$1"), pytest.raises(bursar.BudgetExceeded):
        getattr(aws, way)(unknown)
    assert provider.invoice()["requests"] == 0


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_what_they_are_without_a_budget(provider: ScriptedProvider, aws: Aws, way: str) -> None:
    plain = getattr(aws, way)()
    with bursar.budget("$1"):
        assert getattr(aws, way)() == plain
    assert len(plain) == 20_000


def test_whole_responses_are_alike_to_their_metadata(provider: ScriptedProvider, aws: Aws) -> None:
    ask: Any = {"modelId": CLAUDE, "messages": HELLO, "inferenceConfig": {"maxTokens": 50}}

    def shown(answer: dict[str, Any]) -> dict[str, Any]:
        about = answer["ResponseMetadata"]
        names = sorted(about["HTTPHeaders"])
        return {**answer, "ResponseMetadata": (about["HTTPStatusCode"], about["RetryAttempts"], names)}

    plain = shown(aws.client.converse(**ask))
    with bursar.budget("$1"):
        assert shown(aws.client.converse(**ask)) == plain


def test_a_refusal_is_one_attempt_in_every_mode_of_retries(provider: ScriptedProvider, mode: str) -> None:
    client = client_of(provider, mode)
    with closing(client), bursar.budget("$0.10"):
        for _ in range(2):
            with pytest.raises(bursar.BudgetExceeded, match=r"\$0.10"):
                client.converse(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 5_000})
    assert provider.invoice()["requests"] == 0


def test_each_of_botocores_own_retries_is_counted(provider: ScriptedProvider, mode: str) -> None:
    provider.set(CLAUDE, Script(output_tokens=5_000, fault="status", fault_status=500, fault_times=1))
    client = client_of(provider, mode)
    with closing(client), bursar.budget("$1", requests=10) as spent:
        answer = client.converse(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 5_000})
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert [line["status"] for line in provider.invoice()["calls"]] == [500, 200]
    assert spent.spent == Decimal("0.25")


def test_a_time_out_keeps_its_charge_and_its_retry_is_held_beside_it(provider: ScriptedProvider) -> None:
    provider.set(CLAUDE, Script(output_tokens=5_000, fault="slow", fault_after_s=30, fault_times=1))
    client = client_of(provider, read_timeout=0.3, attempts=2)
    with closing(client), bursar.budget("$1") as spent:
        client.converse(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 5_000})
        assert spent.spent == Decimal("0.50")


def test_without_a_cap_one_is_written_and_signed(provider: ScriptedProvider, aws: Aws) -> None:
    provider.set(CLAUDE, Script(output_tokens=100, needs_key=True))
    with bursar.budget("$1"):
        aws.client.converse(modelId=CLAUDE, messages=HELLO)
    (line,) = provider.invoice()["calls"]
    assert line["cap"] is not None and line["cap"] <= 20_000
    (request,) = provider.requests()
    headers = dict(request["headers"])
    assert headers["content-length"] == str(request["size_bytes"])
    assert _signature(aws, request) == headers["authorization"]


def test_a_models_own_maximum_is_learnt_inside_the_same_hold(provider: ScriptedProvider, aws: Aws) -> None:
    provider.set(NOVA, Script(output_tokens=5_000, max_output_tokens=3_000))
    with bursar.budget("$10") as spent:
        answer = aws.client.converse(modelId=NOVA, messages=HELLO)
        assert answer["stopReason"] == "max_tokens"
        assert (spent.spent, spent.calls) == (Decimal("0.15"), 1)
    assert [(line["status"], line["cap"]) for line in provider.invoice()["calls"]][1:] == [(200, 3_000)]


def _signature(aws: Aws, request: Any) -> str:
    """Sign what the provider received as AWS would, and give what its header should be."""
    headers = dict(request["headers"])
    made = botocore.awsrequest.AWSRequest("POST", aws.client.meta.endpoint_url + request["path"].replace(":", "%3A"),
                                          data=request["body"].encode())  # fmt: skip
    made.context["timestamp"] = headers["x-amz-date"]
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for name in signed:
        if name != "host":
            made.headers[name] = headers[name]
    keys = botocore.credentials.Credentials("AKID", "SECRET")
    signer = botocore.auth.SigV4Auth(keys, "bedrock", "us-east-1")
    canonical = signer.canonical_request(made)
    mine = signer.signature(signer.string_to_sign(made, canonical), made)
    return f"{headers['authorization'].partition('Signature=')[0]}Signature={mine}"


def test_a_stream_that_is_closed_early_is_settled(provider: ScriptedProvider, aws: Aws) -> None:
    with bursar.budget("$1") as spent:
        answer = aws.client.converse_stream(modelId=CLAUDE, messages=HELLO, inferenceConfig={"maxTokens": 5_000})
        with closing(answer["stream"]):
            next(iter(answer["stream"]))
        assert Decimal(0) < spent.spent <= Decimal("0.25")
        assert spent.remaining is not None
        assert spent.spent + spent.remaining == 1


def test_a_stream_is_told_its_end_where_the_providers_breaks(provider: ScriptedProvider, aws: Aws) -> None:
    ask: Any = {"modelId": CLAUDE, "messages": HELLO, "inferenceConfig": {"maxTokens": 5_000}}
    faults: tuple[tuple[Fault, type[Exception]], ...] = (
        ("error_event", botocore.exceptions.EventStreamError),
        ("cut", HTTPError),
    )
    for fault, error in faults:
        provider.set(CLAUDE, Script(output_tokens=5_000, fault=fault, fault_after_tokens=8))
        with bursar.budget("$1") as spent:
            stream = aws.client.converse_stream(**ask)["stream"]
            with closing(stream), pytest.raises(error):
                list(stream)
            assert spent.spent > 0


def test_embeddings_are_held_and_counted_by_their_input(provider: ScriptedProvider, aws: Aws) -> None:
    ask: Any = {"modelId": "amazon.titan-embed-text-v2:0", "body": json.dumps({"inputText": "hello " * 1_000})}
    plain = json.loads(aws.client.invoke_model(**ask)["body"].read())
    with bursar.budget("3k tokens") as budget:
        assert json.loads(aws.client.invoke_model(**ask)["body"].read()) == plain
        with pytest.raises(bursar.BudgetExceeded):
            aws.client.invoke_model(**ask)
        assert budget.calls == 1
    assert plain["inputTextTokenCount"] == 1_508
    assert provider.invoice()["requests"] == 2
    with bursar.budget("$1") as budget:
        aws.client.invoke_model(**ask)
        assert 0 < budget.spent < Decimal("0.001")


def test_bodies_that_nothing_bounds_are_refused_with_the_reason(provider: ScriptedProvider, aws: Aws) -> None:
    client = aws.client
    with bursar.budget("$1"):
        with pytest.raises(client.exceptions.ValidationException, match="use Converse"):
            client.invoke_model(modelId=NOVA, body=json.dumps({"messages": []}))
        with pytest.raises(client.exceptions.ValidationException, match="guardrail"):
            client.converse(
                modelId=CLAUDE,
                messages=HELLO,
                guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"},
            )
        with pytest.raises(client.exceptions.ValidationException, match="guardrail"):
            client.invoke_model(modelId=CLAUDE, body=json.dumps(MESSAGE), guardrailIdentifier="g", guardrailVersion="1")
        with pytest.raises(botocore.exceptions.ClientError, match="nothing bounds"):
            client.apply_guardrail(
                guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "hi"}}]
            )
    assert provider.invoice()["requests"] == 0


def test_what_was_patched_is_undone_and_other_services_pass(provider: ScriptedProvider) -> None:
    from botocore.endpoint import Endpoint

    bursar.close()
    before = Endpoint.__dict__["_send"], Endpoint.__dict__["create_request"]
    with bursar.budget("$1"):
        assert (Endpoint.__dict__["_send"], Endpoint.__dict__["create_request"]) != before
        s3 = boto3.client("s3", endpoint_url=provider.url, **KEYS)
        with closing(s3), pytest.raises(botocore.exceptions.ClientError):
            s3.list_buckets()
    assert (Endpoint.__dict__["_send"], Endpoint.__dict__["create_request"]) == before
    assert provider.invoice()["requests"] == 1

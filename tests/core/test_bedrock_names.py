"""Bedrock's ids, profiles and ARNs lead to the model that is billed, or to none."""

from __future__ import annotations

import pytest

from bursar.core.bedrock_names import bare_id, listed_names

CLAUDE = "anthropic.claude-opus-4-6-v1"
ACCOUNT = "arn:aws:bedrock:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (CLAUDE, (CLAUDE,)),
        (f"eu.{CLAUDE}", (f"eu.{CLAUDE}", CLAUDE)),
        (f"global.{CLAUDE}", (f"global.{CLAUDE}", CLAUDE)),
        (f"us-gov.{CLAUDE}", (f"us-gov.{CLAUDE}",)),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}", (CLAUDE,)),
        (f"{ACCOUNT}:inference-profile/us.{CLAUDE}", (f"us.{CLAUDE}", CLAUDE)),
        (f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{CLAUDE}", (CLAUDE,)),
        (f"{ACCOUNT}:application-inference-profile/{CLAUDE}", ()),
        (f"{ACCOUNT}:provisioned-model/{CLAUDE}", ()),
        (f"{ACCOUNT}:custom-model/{CLAUDE}/abc", ()),
        (f"{ACCOUNT}:imported-model/{CLAUDE}", ()),
        (f"{ACCOUNT}:default-prompt-router/anthropic.claude:1", ()),
        (f"arn:aws:sagemaker:us-east-1:1:endpoint/{CLAUDE}", ()),
        (f"{ACCOUNT}:foundation-model/{CLAUDE}/more", ()),
        (f"my/{CLAUDE}", ()),
        ("arn:", ()),
        ("", ()),
    ],
)
def test_a_name_leads_to_the_models_it_may_be_listed_as(model: str, names: tuple[str, ...]) -> None:
    assert listed_names(model) == names


def test_what_is_no_arn_is_its_own_id() -> None:
    assert bare_id(f"us.{CLAUDE}") == f"us.{CLAUDE}"
    assert bare_id(f"{ACCOUNT}:prompt/abc") == ""

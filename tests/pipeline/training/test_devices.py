"""Settings of the computation."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.training import devices


@pytest.mark.parametrize("distribution", devices.DISTRIBUTIONS)
@pytest.mark.parametrize("policy", devices.POLICIES)
def test_known_names_pass(distribution, policy):
    assert devices.check_names(distribution, policy) is None


@pytest.mark.parametrize(
    ("distribution", "policy", "words"),
    [
        ("mirored", "float32", "KERASPIPE_DISTRIBUTION has an unknown value"),
        ("auto", "float16", "KERASPIPE_MIXED_PRECISION has an unknown value"),
        ("", "float32", "Expected: one of auto, mirrored, none"),
    ],
)
def test_unknown_names_are_usage_errors(distribution, policy, words):
    with pytest.raises(UsageError) as caught:
        devices.check_names(distribution, policy)
    assert words in str(caught.value)

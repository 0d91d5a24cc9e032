"""The reference of keys shows what holds without a configuration."""

from functools import reduce

import pytest

from judgerlvr.config.reference import key_facts, shown_value
from judgerlvr.config.schema import Config


def test_defaults_are_those_of_a_configuration():
    config = Config()
    false = [fact for fact in key_facts() if fact.default != shown_value(reduce(getattr, fact.name.split("."), config))]
    assert false == []


@pytest.mark.parametrize(("name", "default"), [("mismatch.limit", "0.2"), ("truncation.action", "warn")])
def test_a_guard_has_a_default_of_its_own(name, default):
    assert next(fact.default for fact in key_facts() if fact.name == f"guards.{name}") == default

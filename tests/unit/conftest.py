"""What unit tests share."""

import pytest

import configurations


@pytest.fixture
def raw(monkeypatch) -> dict:
    """A small configuration, loaded where its paths begin."""
    monkeypatch.chdir(configurations.ROOT)
    return configurations.small()

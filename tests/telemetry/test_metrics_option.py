"""`--metrics` as a person types it."""

import pytest

from runapi_mcp.base.sockets import listen
from tests.support.processes import finished


@pytest.mark.parametrize("address", ["9464", ":9464", "localhost", "localhost:x", "::1:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    refused = finished("serve", "--http", "--port", "0", "--metrics", address)
    assert refused.returncode == 2
    assert f"--metrics {address!r} is not an address." in refused.stderr


def test_a_taken_port_is_told_as_the_one_of_the_metrics() -> None:
    with listen("127.0.0.1", 0) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = finished("serve", "--http", "--port", "0", "--metrics", address)
    assert refused.returncode == 2
    assert "Choose another port for --metrics; 0 takes a free one." in refused.stderr


@pytest.mark.parametrize("option", [("--metrics", "127.0.0.1:0"), ("--log-format", "json")])
def test_over_stdio_nobody_looks_on(option: tuple[str, str]) -> None:
    refused = finished("serve", *option)
    assert refused.returncode == 2
    assert f"{option[0]} " in refused.stderr
    assert "Add --http." in refused.stderr

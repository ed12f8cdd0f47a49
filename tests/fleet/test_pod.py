"""What a pod of `deploy/kustomize` starts, started here, is alive and ready as its probes ask."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from ruamel.yaml import YAML

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.replicas import Replica
from tests.support.fleet.reserved_port import reserved_port
from tests.support.fleet.site import SECRET
from tests.support.processes import LIMIT_SECONDS, SIGNALS, network

pytestmark = [pytest.mark.anyio, SIGNALS]

BASE: Final = Path(__file__).parents[2] / "deploy" / "kustomize" / "base"
HERE: Final = {"--host": "127.0.0.1", "--metrics": "127.0.0.1:0"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def container() -> dict[str, Any]:
    [container] = YAML(typ="safe").load(BASE / "deployment.yaml")["spec"]["template"]["spec"][  # pyright: ignore[reportUnknownMemberType] - it has no types
        "containers"
    ]
    return container


def environment_of(container: dict[str, Any], mounted: Path) -> dict[str, str]:
    """What it is told, with its secrets where they are here."""
    [secrets] = [each for each in container["volumeMounts"] if each["name"] == "secrets"]
    return {
        row["name"]: row["value"].replace(secrets["mountPath"], str(mounted))
        for row in container["env"]
    }


def options_of(container: dict[str, Any], environment: dict[str, str]) -> Iterator[str]:
    """Its own, on an address of this machine, filled in as Kubernetes does."""
    for argument in container["args"]:
        name, is_set, value = argument.partition("=")
        if is_set and name != "--port":
            filled_in = re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], value)
            yield f"{name}={HERE.get(name, filled_in)}"


async def test_its_probes_are_answered(
    container: dict[str, Any], fleet_database: SecretStr, tmp_path: Path
) -> None:
    (tmp_path / "database_url").write_text(fleet_database.get_secret_value())
    (tmp_path / "fleet_secret").write_text(SECRET)
    environment = environment_of(container, tmp_path)
    options = tuple(options_of(container, environment))
    with reserved_port() as port:
        async with network() as net, anyio.create_task_group() as group:
            environment |= {"RUNAPI_BASE_URL": net.base_url}
            replica = Replica(port, environment, options, None, group)
            await replica.start()
            async with httpx.AsyncClient(base_url=replica.url, timeout=LIMIT_SECONDS) as http:
                for kind in ("livenessProbe", "readinessProbe"):
                    probe = container[kind]["httpGet"]
                    headers = {row["name"]: row["value"] for row in probe["httpHeaders"]}
                    answer = await http.get(probe["path"], headers=headers)
                    assert (answer.status_code, kind) == (200, kind)
            group.cancel_scope.cancel()

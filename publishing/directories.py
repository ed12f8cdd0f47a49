"""What directories of servers read at the repository's root: Smithery and Glama."""

from collections.abc import Mapping

from publishing.json_file import as_json
from publishing.project import Project
from runapi_mcp.base.hosts.host import KEY_VARIABLE


def files(project: Project) -> Mapping[str, str]:
    """One file for each directory."""
    return {"smithery.yaml": _smithery(project), "glama.json": as_json(_glama(project))}


def _smithery(project: Project) -> str:
    return f"""# https://smithery.ai/docs
startCommand:
  type: stdio
  configSchema:
    type: object
    properties:
      apiKey:
        type: string
        title: RunAPI API key
        description: Without one the server lists its tools and answers prices.
      sandbox:
        type: boolean
        title: Practise
        description: Practice pictures, without a key and without a cost.
        default: false
    additionalProperties: false
  commandFunction: |-
    (config) => ({{
      command: "{project.package}",
      args: config.sandbox ? ["--sandbox"] : [],
      env: config.apiKey ? {{ {KEY_VARIABLE}: config.apiKey }} : {{}},
    }})
  exampleConfig:
    sandbox: true
"""


def _glama(project: Project) -> dict[str, object]:
    return {"$schema": "https://glama.ai/mcp/schemas/server.json", "maintainers": [project.owner]}

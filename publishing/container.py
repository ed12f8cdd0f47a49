"""The container image, and the compose file for those who run it as a service.

They stand at the root, where registries build them: Glama, Smithery and Docker's own catalogue.
"""

from collections.abc import Mapping
from typing import Final

from publishing.project import Project
from runapi_mcp.base.hosts.host import KEY_VARIABLE
from runapi_mcp.base.identity import TITLE

PYTHON: Final = "3.13-slim-trixie"
PORT: Final = 8765
USER_ID: Final = 10001


def files(project: Project) -> Mapping[str, str]:
    """Dockerfile, what of the repository it may see, and compose file."""
    return {
        "Dockerfile": _dockerfile(project),
        ".dockerignore": _dockerignore(),
        "compose.yaml": _compose(project),
    }


def _dockerfile(project: Project) -> str:
    run = f"docker run -i --rm -e {KEY_VARIABLE} {project.package}"
    return f"""# {TITLE}: an MCP server on stdio. {run}
FROM python:{PYTHON} AS build
# For one of several servers: [fleet,metrics,otel,s3]
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY runapi_mcp ./runapi_mcp
RUN python -m venv --without-pip /app && \\
    pip --python /app/bin/python install --no-cache-dir -c constraints.txt ".$EXTRAS"

FROM python:{PYTHON}
LABEL org.opencontainers.image.title="{TITLE}" \\
      org.opencontainers.image.source="{project.repository}" \\
      org.opencontainers.image.version="{project.version}" \\
      org.opencontainers.image.licenses="{project.license}"
# The owner of /data: mount a volume there to keep the pictures and the ledger.
RUN useradd --uid {USER_ID} --create-home --home-dir /data runapi
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \\
    PYTHONUNBUFFERED=1 \\
    RUNAPI_OUTPUT_DIR=/data/pictures
USER {USER_ID}
WORKDIR /data
VOLUME /data
ENTRYPOINT ["{project.package}"]
"""


def _dockerignore() -> str:
    needed = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "runapi_mcp")
    return "\n".join(["*", *(f"!{name}" for name in needed), "**/__pycache__", ""])


def _compose(project: Project) -> str:
    return f"""# The server over HTTP, on this machine only. Each request brings its own key.
# docker compose up -d; then http://127.0.0.1:{PORT}/mcp
services:
  runapi:
    build: .
    image: {project.package}:{project.version}
    # Inside its container it must listen beyond loopback; the port below goes no further.
    command: >-
      serve --http --host 0.0.0.0 --port {PORT} --allow-host 127.0.0.1 --allow-host localhost
    ports: ["127.0.0.1:{PORT}:{PORT}"]
    volumes: ["runapi:/data"]
    read_only: true
    tmpfs: ["/tmp"]
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
    restart: unless-stopped
    healthcheck:
      test:
        - CMD
        - python
        - -c
        - import urllib.request as web; web.urlopen("http://127.0.0.1:{PORT}/healthz", timeout=3)
      interval: 30s
      timeout: 5s
volumes:
  runapi:
"""

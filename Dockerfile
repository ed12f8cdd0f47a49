# Flux 2 on RunAPI: an MCP server on stdio. docker run -i --rm -e RUNAPI_API_KEY runapi-mcp
FROM python:3.13-slim-trixie AS build
# For one of several servers: [fleet,metrics,otel,s3]
ARG EXTRAS=""
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY runapi_mcp ./runapi_mcp
RUN python -m venv --without-pip /app && \
    pip --python /app/bin/python install --no-cache-dir -c constraints.txt ".$EXTRAS"

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="Flux 2 on RunAPI" \
      org.opencontainers.image.source="https://github.com/runapi-mcp/runapi-mcp" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
# The owner of /data: mount a volume there to keep the pictures and the ledger.
RUN useradd --uid 10001 --create-home --home-dir /data runapi
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RUNAPI_OUTPUT_DIR=/data/pictures
USER 10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["runapi-mcp"]

"""`runapi-mcp sandbox`: the vendors' contracts on a port of this machine, for any client."""

import click

SANDBOX_PORT = 8787


@click.command("sandbox")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=SANDBOX_PORT,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option(
    "--draw-seconds",
    type=click.FloatRange(0, 3600),
    help="How long a picture takes. Without it, a few seconds, as in life.",
)
def command(*, port: int, draw_seconds: float | None) -> None:
    """Run the sandbox: RunAPI's Flux 2 API without a key, a cost or a network.

    Any RunAPI client works with the base URL and the key it prints. Failures are asked for inside a
    prompt, as in "a fox [[fail]]" or "a fox [[429 2s x2]]"; docs/sandbox.md has them all.
    """
    from runapi_mcp.base.sockets import listen
    from runapi_mcp.sandbox.app import SANDBOX_KEY, serve_forever
    from runapi_mcp.sandbox.runflow import RUNFLOW_PREFIX, RUNFLOW_SANDBOX_KEY

    sock = listen("127.0.0.1", port)

    def announce() -> None:
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        click.echo(f"The sandbox answers at {address}", err=True)
        own = "any other that begins with sandbox- has its own money"
        click.echo(f"Use the key {SANDBOX_KEY}; {own}.", err=True)
        runflow = f"{address}{RUNFLOW_PREFIX}; its key is {RUNFLOW_SANDBOX_KEY}"
        click.echo(f"Runflow answers at {runflow}.", err=True)

    serve_forever(sock, draw_seconds, announce)

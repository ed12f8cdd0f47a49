"""`runapi-mcp generate`: the files that are made from the tools. For this project's developers."""

import sys
from pathlib import Path

import click


@click.command("generate", hidden=True)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is out of date.")
def command(*, check: bool) -> None:
    """Write the manifests and the README's generated blocks, in the repository's root."""
    from runapi_mcp.manifests import generated, unexpected

    stale = [
        (path, text)
        for path, text in generated(Path.cwd())
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        click.echo(f"{'out of date' if check else 'written'}: {path.relative_to(Path.cwd())}")
    leftovers = list(unexpected(Path.cwd()))
    for path in leftovers:
        click.echo(f"no longer made: {path.relative_to(Path.cwd())}")
    if check and (stale or leftovers):
        click.echo("Run `runapi-mcp generate`, commit what it writes, remove the rest.", err=True)
        sys.exit(1)

"""`runapi-mcp logout`: the key taken out of the config file."""

import click

from runapi_mcp.base.settings import KEY_PAGE
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.cli.login import warn_of_environment


@click.command("logout")
def command() -> None:
    """Remove the key from RunAPI's config file; all else in it stays."""
    key_file = KeyFile.of()
    if key_file.remove():
        click.echo(f"The key is removed from {key_file.path}")
        click.echo(f"It works until you delete it at {KEY_PAGE}.")
    else:
        click.echo(f"No key was saved in {key_file.path}")
    warn_of_environment("still provides a key")

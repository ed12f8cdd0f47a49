"""The pages that a person is shown in a browser: one card, in light and dark, without scripts."""

from collections.abc import Mapping
from string import Template


def html_page(title: str, package: str, name: str, values: Mapping[str, str]) -> str:
    """The page of a package's template `name`, and of its `page.css` where it has one.

    Values are HTML, not escaped.
    """
    # Imported here: most programs never show a page, and every start would pay for it.
    from importlib.resources import files

    def read(owner: str, file: str) -> str:
        return files(owner).joinpath(file).read_text(encoding="utf-8")

    style = read(package, "page.css") if files(package).joinpath("page.css").is_file() else ""
    body = Template(read(package, name)).substitute(values).rstrip()
    frame = Template(read("runapi_mcp.base", "html_page.html"))
    return frame.substitute(title=title, style=style, body=body)


def content_policy(form_action: str = "'none'") -> str:
    """The Content-Security-Policy of such a page."""
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action {form_action}"
    )

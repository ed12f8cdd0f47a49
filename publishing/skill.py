"""The Agent Skill: how to work with the tools, beyond what each says of itself."""

from pathlib import Path
from string import Template
from typing import Final

from publishing.project import Project
from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.catalog.variants import Variant
from runapi_mcp.base.hosts.host import KEY_VARIABLE

NAME: Final = "flux-2-images"
"""The skill's name, and its folder's."""
WHEN: Final = (
    "Draw, edit, restyle or combine images with Flux 2 through the runapi MCP server. Use it for"
    " pictures, illustrations, hero images, icons, posters, lettering in images, and for changes"
    " to images that exist."
)


def text(project: Project) -> str:
    """SKILL.md, whole."""
    template = Path(__file__).with_name("skill.md").read_text(encoding="utf-8")
    return Template(template).substitute(
        name=NAME,
        when=WHEN,
        license=project.license,
        package=project.package,
        version=project.version,
        choices=_choices(),
        key=KEY_VARIABLE,
    )


def _choices() -> str:
    drawing = [variant for variant in VARIANTS if variant.action == "text_to_image"]
    return "\n".join(_choice(variant) for variant in drawing)


def _choice(variant: Variant) -> str:
    remixing = (v for v in VARIANTS if v.tier is variant.tier and v.action == "remix_image")
    changing = next((f"`{v.tool_name}`" for v in remixing), "none")
    price = variant.price_words or "ask `check_pricing`"
    return f"| `{variant.tool_name}` | {changing} | {variant.tier.when} | {price} |"

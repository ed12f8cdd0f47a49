"""The Agent Skill: how to work with the tools, beyond what each says of itself."""

from typing import Final

from runapi_mcp.catalog import VARIANTS
from runapi_mcp.catalog.variants import Variant
from runapi_mcp.manifests.facts import KEY, Project

NAME: Final = "flux-2-images"
"""The skill's name, and its folder's."""
WHEN: Final = (
    "Draw, edit, restyle or combine images with Flux 2 through the runapi MCP server. Use it for"
    " pictures, illustrations, hero images, icons, posters, lettering in images, and for changes"
    " to images that exist."
)


def text(project: Project) -> str:
    """SKILL.md, whole."""
    return f"""---
name: {NAME}
description: {WHEN}
license: {project.license}
compatibility: Needs the {project.package} MCP server, and a RunAPI key or its sandbox.
metadata:
  version: "{project.version}"
---

# Images with Flux 2

The tools are those of the MCP server `{project.package}`. A call that draws costs money; refusals,
prices, waiting and looking at earlier pictures cost nothing.

## Choose a variant

| new image | change of images | when | price |
| --- | --- | --- | --- |
{_choices()}

- Start with pro. Take flex when the picture holds words to be read, max when the user asks for the
  best there is.
- `output_resolution` left out draws 1k. Take 2k for what will be printed or shown large, not for
  drafts.
- Each tool takes exactly the fields in its schema. There is no seed, steps, guidance or negative
  prompt: say in the prompt what should be seen.
- Write the prompt as a description of the finished picture: subject, setting, light, style,
  framing. Put words that must appear in it in quotation marks.

## Ask the price

`check_pricing` answers for all variants or one `model`, without a key. Ask before several pictures,
2k, or max, and tell the user the sum. An answer's `cost_cents` is the price, then the charge. A
refusal that names a limit is the user's own setting: report it, and do not split or shrink the work
to get around it. `check_balance` says what is left and what was spent today.

## Wait

A call waits as long as the host allows and then answers with a `task_id` and a status that is not
final. That is no failure: call `get_task` with that `task_id` until the status is `completed` or
`failed`. Never order a picture again because it is not ready. For several pictures, order each with
`wait_seconds: 0`, then collect them with `get_task`. When a `task_id` is lost, `list_tasks` finds
it. A failed picture says whether it was charged.

## Save

Every picture is saved; the absolute path is the first line of the answer. For a picture that
belongs to a project, give `save_as` a path without suffix, such as `assets/hero`: it counts from
the repository's root, or from the folder the user has set. Nothing is overwritten, and the suffix
follows the content, so use the path of the answer, not the one you asked for. URLs in answers
expire; paths stay.

## Remix

`source_image_urls` takes up to eight images, in any mixture, of:

- the `task_id` of an earlier picture, the best way to go on from it;
- a path on this machine, in the project or the output folder;
- an `https` URL.

Max takes exactly one. Refer to several in their order ("the cup of the first image on the table of
the second"). Say what to change, and what must stay. To draw a fresh take of the same prompt, call
the same tool again after its picture was delivered.

## When there is no key

Answers then say so. `login` answers at once with an address for the user to open, and the next
call works; in a terminal, `runapi-mcp login` does the same, or `{KEY}` can be set. A key is not
asked for in the conversation, nor repeated in it. With `RUNAPI_SANDBOX=1` the server draws practice
pictures without key and cost, and says that it does.
"""


def _choices() -> str:
    drawing = [variant for variant in VARIANTS if variant.action == "text_to_image"]
    return "\n".join(_choice(variant) for variant in drawing)


def _choice(variant: Variant) -> str:
    changing = next(
        other for other in VARIANTS if (other.tier, other.action) == (variant.tier, "remix_image")
    )
    when = {"pro": "by default", "flex": "lettering, fine detail", "max": "highest quality"}
    price = variant.price_words or "ask `check_pricing`"
    return f"| `{variant.tool_name}` | `{changing.tool_name}` | {when[variant.tier]} | {price} |"

"""How a generated file is written."""

import json


def as_json(value: object) -> str:
    """Indented by two, with the newline that ends a file."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"

"""What may be asked of prices where one goes by the size."""

from runapi_mcp.base.catalog.runflow_variants import Size
from runapi_mcp.tools.inputs import PriceQuestion


class SizedPriceQuestion(Size, PriceQuestion):
    """Also at an image_size."""

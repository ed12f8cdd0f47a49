"""Whatever the image, its preview keeps within bounds, and a damaged one is refused in words."""

from contextlib import suppress
from io import BytesIO
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runapi_mcp.images.pixels import NotWhole, decode, preview, strip
from runapi_mcp.images.structure import MOST_PIXELS, NotAnImage, read_structure
from tests.support.pictures import decoded, encoded, noise

MOST_BYTES = 100_000
SIZES = st.one_of(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.sampled_from([(1, 1), (4_000, 1), (1, 4_000), (511, 513), (512, 512), (2, 3_000)]),
)
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"]
FORMS = {"JPEG": ("L", "RGB", "CMYK", "YCbCr"), "WEBP": ("RGB", "RGBA", "L", "P")}


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """An encoded image of any kind that RunAPI or a camera may give."""
    mode, size = draw(st.sampled_from(MODES)), draw(SIZES)
    image = Image.new(mode, size, draw(st.sampled_from([0, 1])))
    if draw(st.booleans()) and mode in {"L", "RGB", "RGBA", "LA", "CMYK"}:
        image = noise(mode, size)
    forms = [form for form, known in FORMS.items() if mode in known]
    form: str = draw(st.sampled_from([*forms, *([] if mode in {"CMYK", "YCbCr"} else ["PNG"])]))
    options: dict[str, Any] = {}
    if form == "PNG" and mode in {"1", "L", "P", "I;16"} and draw(st.booleans()):
        options["transparency"] = draw(st.integers(0, 1))
    if form == "PNG" and mode == "RGB" and draw(st.booleans()):
        options["transparency"] = (0, 0, 0)
    if form in FORMS:
        options["exif"] = draw(st.sampled_from([b"", *map(turned, range(10))]) | st.binary())
    return encoded(image, form, **options)


def turned(orientation: int) -> bytes:
    """What a camera says of how it was held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@settings(max_examples=150, deadline=None)
@given(images(), st.integers(1, 512))
def test_every_image_has_a_preview_within_bounds(content: bytes, preview_px: int) -> None:
    whole, structure = decoded(content), read_structure(BytesIO(content))
    assert (structure.width, structure.height) == whole.size
    assert structure.has_end
    assert structure.format.media_type == Image.MIME[str(whole.format)]
    shown = preview(decode(BytesIO(content), MOST_PIXELS), preview_px, MOST_BYTES)
    assert len(shown) <= MOST_BYTES
    small = decoded(shown)
    assert max(small.size) <= min(preview_px, max(whole.size))
    assert {"exif", "icc_profile", "comment"}.isdisjoint(small.info)
    assert min(small.size) >= 1
    assert small.format in {"JPEG", "PNG"}
    if small.format == "PNG":
        assert whole.has_transparency_data


@settings(max_examples=150, deadline=None)
@given(images(), st.integers(1, 512), st.data())
def test_a_damaged_image_is_refused_in_words_or_looked_at(
    content: bytes, preview_px: int, data: st.DataObject
) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    file = BytesIO(damaged[: data.draw(st.integers(0, len(damaged)))])
    with suppress(NotAnImage, NotWhole):
        read_structure(file)
        preview(decode(file, MOST_PIXELS), preview_px, MOST_BYTES)
    with suppress(NotWhole):
        strip(decode(file, MOST_PIXELS))

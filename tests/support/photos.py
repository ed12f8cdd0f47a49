"""Photos for the tests, with all that cameras, editors and other programs put into them.

And the world they are sent into: what RunAPI was asked for, and what it holds.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from runapi_mcp.images.folders import Folders
from runapi_mcp.sandbox.faults import Where
from tests.support.pictures import decoded, encoded, held
from tests.support.world import NO_PICTURES, World, facts, said, world

SECRET: Final = b"53.5511-north-9.9937-east-of-Ada"
"""Stands in everything that is nobody's business."""
PROFILE: Final = ImageCms.ImageCmsProfile(
    ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - untyped in Pillow
).tobytes()
SIZE: Final = (48, 32)
CORNER: Final = 16
"""How many pixels a side of the red corner has, at the top left of what is stored."""


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE, seed: int = 0) -> Image.Image:
    """Blue, with a red corner; another seed is another blue."""
    image = Image.new("RGB", size, (0, seed, 200))
    image.paste((200, 0, 0), (0, 0, CORNER, CORNER))
    return image.convert(mode)


def photo(path: Path, seed: int = 0) -> Path:
    """A small PNG at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed=seed)))
    return path


def seed_of(content: bytes) -> int:
    """Which of the photos it is."""
    pixel = decoded(content).convert("RGB").getpixel((SIZE[0] - 1, SIZE[1] - 1))
    assert isinstance(pixel, tuple)
    return int(pixel[1])


def exif(orientation: int = 1) -> Image.Exif:
    """What a camera says of a picture: where, with what, by whom, and what only it understands."""
    about = Image.Exif()
    about[ExifTags.Base.Orientation] = orientation
    about[ExifTags.Base.Make] = SECRET.decode()
    about[ExifTags.Base.Artist] = SECRET.decode()
    about.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (53.0, 33.0, 4.0), 29: SECRET.decode()})
    about.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.MakerNote: b"NIKON" + SECRET * 40})
    return about


def jpeg(orientation: int = 1, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG with EXIF, XMP, IPTC, a comment, a segment of its maker, and more behind its end."""
    plain = encoded(
        picture(mode), "JPEG", exif=exif(orientation), xmp=xmp(), comment=SECRET, **options
    )
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(SECRET).to_bytes(4, "big") + SECRET
    added = _segment(0xED, iptc) + _segment(0xE7, b"MAKER\0" + SECRET) + _segment(0xFE, SECRET)
    return plain[:2] + added + plain[2:] + b"MotionPhoto" + SECRET


def of_a_phone() -> bytes:
    """A JPEG with a second picture behind the first."""
    second = picture(seed=77)
    return encoded(picture(), "MPO", save_all=True, append_images=[second], exif=exif())


def png(orientation: int = 1, mode: str = "RGB", **options: Any) -> bytes:
    """A PNG with texts of each kind, EXIF, a date, a private chunk, and more behind its end."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", SECRET.decode())
    texts.add_text("Author", SECRET.decode(), zip=True)
    texts.add_itxt("XML:com.adobe.xmp", xmp().decode())
    texts.add_itxt("Description", SECRET.decode(), zip=True)
    texts.add(b"tIME", b"\x07\xea\x0b\x14\x0c\0\0")
    texts.add(b"prVt", SECRET)
    content = encoded(picture(mode), "PNG", pnginfo=texts, exif=exif(orientation), **options)
    end = content.index(b"IEND") - 4
    late = _chunk(b"laTe", SECRET) + _chunk(b"tEXt", b"Comment\0" + SECRET)
    return content[:end] + late + content[end:] + b"trailing" + SECRET


def webp(orientation: int = 1, **options: Any) -> bytes:
    """A WebP with EXIF, XMP and a chunk that only its maker knows."""
    content = encoded(
        picture(), "WEBP", lossless=True, exif=exif(orientation), xmp=xmp(), **options
    )
    body = content[8:] + b"MAKR" + len(SECRET).to_bytes(4, "little") + SECRET
    return b"RIFF" + len(body).to_bytes(4, "little") + body + b"trailing" + SECRET


def xmp() -> bytes:
    """What an editor says of a picture."""
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description>'
        + SECRET
        + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def with_exif(kind: str, raw: bytes) -> bytes:
    """A picture whose EXIF is these bytes."""
    return encoded(picture(), kind, exif=b"Exif\0\0" + raw)


def of_many_pixels(width: int, height: int) -> bytes:
    """A PNG of a size that nobody should decode, all of one grey; a file of some kilobytes."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + (width + 7) // 8)) for _ in range(height))
    data += rows.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, part) for name, part in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def moving(kind: str) -> bytes:
    """An animated picture, its first frame the one that counts."""
    frames = [picture(seed=seed) for seed in (20, 40, 60)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def parts_of(content: bytes) -> list[str]:
    """Of what parts a file is made; what stands behind its end is `trailing`."""
    if content.startswith(b"\x89PNG"):
        return _of_png(content)
    return _of_webp(content) if content.startswith(b"RIFF") else _of_jpeg(content)


PICTURE_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "PNG": frozenset({"IHDR", "PLTE", "tRNS", "iCCP", "IDAT", "IEND"}),
    "JPEG": frozenset({"E0 JFIF", "E2 ICC_PROFILE", "EE Adobe", "DB", "C0", "C2", "C4", "DA"}),
    "WEBP": frozenset({"VP8 ", "VP8L", "VP8X", "ALPH", "ICCP"}),
}
"""The parts that are the picture itself."""


REMIX: Final = "flux_2_pro_remix_image"
URL: Final = "https://pictures.example/hare.png?sig=a%2Fb"
"""A source that is no file."""
NOT_ALLOWED: Final = "is not in a folder that images may be taken from"
PAYING: Final = "/api/v1/flux_2/remix_image"
PAID: Final = f"POST {PAYING}"
STEPS: Final[Sequence[Where]] = ("prepare", "upload", "confirm")
UPLOADING: Final = ["POST /api/v1/files/prepare", "PUT /uploads", "POST /api/v1/files/confirm"]


def remixing(folder: Path, **more: Any) -> AbstractAsyncContextManager[World]:
    """A world that takes photos from the folder `photos` in here, and saves no pictures."""
    folders = Folders(folder / "pictures", (folder / "photos",))
    wanted: dict[str, Any] = {"folders": folders, "draw_seconds": 0, **NO_PICTURES, **more}
    return world(**wanted)


def asking(*sources: object, prompt: str = "a fox") -> dict[str, Any]:
    """The arguments of a remix."""
    return {"prompt": prompt, "source_image_urls": [*map(_named, sources)]}


def _named(source: object) -> object:
    return str(source) if isinstance(source, Path) else source


def way(w: World) -> list[str]:
    """What was sent that changes anything: each upload and each paid request."""
    sent = [f"{each.method} {each.path}" for each in w.wire.sent if each.method != "GET"]
    return ["PUT /uploads" if each.startswith("PUT ") else each for each in sent]


def uploads(*worlds: World) -> int:
    """How many files were uploaded."""
    return sum(way(w).count("PUT /uploads") for w in worlds)


def bodies(w: World) -> list[dict[str, Any]]:
    """The bodies of the requests that pay."""
    return [json.loads(each.body) for each in w.wire.sent if each.path == PAYING]


async def assert_free(w: World) -> None:
    """Nothing was paid, nothing is reserved or in doubt."""
    assert PAID not in way(w)
    assert w.spent_cents == 0
    assert w.task_count == 0
    assert facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"] == []
    assert facts(await w.call("check_pricing")).get("left_today_cents") in (None, 100)


async def sources_of(w: World, number: int = -1) -> list[bytes]:
    """The images that a paid request names, as RunAPI holds them."""
    return [await held(w, url) for url in bodies(w)[number]["source_image_urls"]]


async def uploaded(folder: Path, content: bytes) -> bytes:
    """What RunAPI holds once an image with this content has been a source."""
    path = folder / "photos" / "photo"
    path.parent.mkdir()
    path.write_bytes(content)
    async with remixing(folder) as w:
        result = await w.call(REMIX, asking(path))
        assert not result.is_error, said(result)
        [held] = await sources_of(w)
        return held


def _of_png(content: bytes) -> list[str]:
    parts: list[str] = []
    place = 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        parts.append(content[place + 4 : place + 8].decode("latin-1"))
        place += size + 12
        if parts[-1] == "IEND":
            break
    return parts + ["trailing"] * (place < len(content))


def _of_webp(content: bytes) -> list[str]:
    parts: list[str] = []
    place, end = 12, 8 + int.from_bytes(content[4:8], "little")
    while place < end:
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        parts.append(content[place : place + 4].decode("latin-1"))
        place += 8 + size + size % 2
    return parts + ["trailing"] * (end < len(content))


def _of_jpeg(content: bytes) -> list[str]:
    parts: list[str] = []
    place = 2
    while True:
        marker = content[place + 1]
        size = int.from_bytes(content[place + 2 : place + 4], "big")
        data = content[place + 4 : place + 2 + size]
        name = data.split(b"\0")[0] if 0xE0 <= marker <= 0xEF else b""
        name = b"Adobe" if name.startswith(b"Adobe") else name
        parts.append(f"{marker:02X} {name.decode('latin-1')}".strip())
        place += 2 + size
        if marker == 0xDA:
            place = _after_scan(content, place)
            if content[place + 1] == 0xD9:
                return parts + ["trailing"] * (place + 2 < len(content))


def _after_scan(content: bytes, place: int) -> int:
    """Where the next marker stands behind the pixels."""
    while content[place] != 0xFF or content[place + 1] in (0, *range(0xD0, 0xD8)):
        place += 1
    return place


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + checksum

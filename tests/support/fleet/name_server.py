"""A DNS server that knows one name and all hosts behind it, as the one of a container network."""

import struct
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import anyio
from anyio.abc import SocketAttribute, UDPSocket

_HEADER = struct.Struct(">HHHHHH")
_ADDRESS = struct.Struct(">HHHIH4s")
_IS_ANSWER = 0x8180
_NO_SUCH_NAME = 3
_FIRST_NAME = 0xC000 + _HEADER.size
_A, _INTERNET, _SECONDS = 1, 1, 1


@asynccontextmanager
async def name_server(name: str, addresses: Sequence[str]) -> AsyncGenerator[int]:
    """The port of this machine at which it is asked."""
    async with (
        await anyio.create_udp_socket(local_host="127.0.0.1") as socket,
        anyio.create_task_group() as group,
    ):
        group.start_soon(_answer_all, socket, name, [IPv4Address(each) for each in addresses])
        yield int(socket.extra(SocketAttribute.local_port))  # noqa: S610 - not Django's
        group.cancel_scope.cancel()


async def _answer_all(socket: UDPSocket, name: str, addresses: Sequence[IPv4Address]) -> None:
    async for query, (host, port) in socket:
        await socket.sendto(_answer(query, name, addresses), host, port)


def _answer(query: bytes, name: str, addresses: Sequence[IPv4Address]) -> bytes:
    number = _HEADER.unpack_from(query)[0]
    end_of_name = query.index(b"\0", _HEADER.size) + 1
    question = query[_HEADER.size : end_of_name + 4]
    kind = int.from_bytes(question[-4:-2], "big")
    is_known = question[:-4] == b"".join(
        bytes([len(label)]) + label for label in [*name.encode().split(b"."), b""]
    )
    found = addresses if is_known and kind == _A else ()
    head = _HEADER.pack(
        number, _IS_ANSWER + (0 if is_known else _NO_SUCH_NAME), 1, len(found), 0, 0
    )
    rows = [
        _ADDRESS.pack(_FIRST_NAME, _A, _INTERNET, _SECONDS, 4, address.packed) for address in found
    ]
    return b"".join([head, question, *rows])

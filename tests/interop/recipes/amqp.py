"""Enough of AMQP 0-9-1 to log in: the token is the password, and the virtual host `/` is opened."""

import asyncio
import struct

_Method = tuple[int, int]
_START, _START_OK, _TUNE, _TUNE_OK, _OPEN, _OPEN_OK = ((10, number) for number in (10, 11, 30, 31, 40, 41))


async def objection_to_login(port: int, password: str) -> str | None:
    """None when the broker lets us in; otherwise what it did instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    response = b"\0\0" + password.encode()  # RFC 4616 §2: no identity but that of the password
    try:
        writer.write(b"AMQP\0\0\x09\x01")
        await _answer(reader, _START)
        writer.write(_frame(_START_OK, _PROPERTIES + _short(b"PLAIN") + _long(response) + _short(b"en_US")))
        limits = await _answer(reader, _TUNE)
        writer.write(_frame(_TUNE_OK, limits) + _frame(_OPEN, _short(b"/") + b"\0\0"))
        await _answer(reader, _OPEN_OK)
    except (OSError, EOFError) as error:
        return repr(error)
    finally:
        writer.close()
    return None


async def _answer(reader: asyncio.StreamReader, awaited: _Method) -> bytes:
    """The arguments of the method that the broker answers with. Raises ConnectionError when it is another one."""
    _, _, size = struct.unpack(">BHI", await reader.readexactly(7))
    payload = (await reader.readexactly(size + len(_END)))[:size]
    if struct.unpack(">HH", payload[:4]) != awaited:
        raise ConnectionError(payload[4:].decode(errors="replace"))
    return payload[4:]


def _frame(method: _Method, arguments: bytes) -> bytes:
    payload = struct.pack(">HH", *method) + arguments
    return struct.pack(">BHI", 1, 0, len(payload)) + payload + _END


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _long(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets


_END = b"\xce"
# Asks for an answer to a login that fails; without it the broker waits for seconds, and ends the connection.
_PROPERTIES = _long(_short(b"capabilities") + b"F" + _long(_short(b"authentication_failure_close") + b"t\x01"))

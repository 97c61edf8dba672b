"""The checksums that S3 knows, of small bodies, as its headers write them."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

_CRC32C = (0x82F63B78, 4)  # reflected polynomials, width in bytes
_CRC64NVME = (0x9A6C9329AC4BC9B5, 8)


def _crc(data: bytes, polynomial: int, width: int) -> bytes:
    """Return a reflected CRC whose start and final XOR are all ones; bit by bit, so for little data."""
    ones = (1 << (8 * width)) - 1
    value = ones
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
    return (value ^ ones).to_bytes(width, "big")


DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: _crc(data, *_CRC32C),
    "CRC64NVME": lambda data: _crc(data, *_CRC64NVME),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "Content-MD5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
}
"""By the name that presets use."""


def parameter(name: str, data: bytes) -> dict[str, Any]:
    """Return botocore's parameter that sends the checksum `name` of `data`."""
    field = "ContentMD5" if name == "Content-MD5" else f"Checksum{name}"
    return {field: b64encode(DIGESTS[name](data)).decode()}

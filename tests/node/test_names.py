"""The DNS server of the node, with handmade queries."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.node.names import Names

KNOWN = {"one.default.svc.cluster.local": ["10.0.0.7", "10.0.0.8"], "none.default.svc.cluster.local": []}


@pytest.mark.parametrize(
    ("name", "kind", "code", "addresses"),
    [
        ("one.default.svc.cluster.local", 1, 0, ["10.0.0.7", "10.0.0.8"]),
        ("ONE.default.svc.cluster.local", 1, 0, ["10.0.0.7", "10.0.0.8"]),
        ("one.default.svc.cluster.local", 28, 0, []),
        ("none.default.svc.cluster.local", 1, 0, []),
        ("sagemaker.example", 1, 3, []),
    ],
)
def test_names_of_services_have_addresses_and_others_do_not_exist(
    name: str, kind: int, code: int, addresses: list[str]
) -> None:
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">6H", 77, 0x0100, 1, 0, 0, 0) + question + struct.pack(">B2H", 0, kind, 1)
    names = Names("127.0.0.1", 0, KNOWN.get)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(query, names.address)
            reply = client.recv(512)
    finally:
        names.close()
    number, flags, _, count, *_ = struct.unpack_from(">6H", reply)
    assert (number, flags & 0xF, count) == (77, code, len(addresses))
    assert reply[12 : len(query)] == query[12:]
    assert [socket.inet_ntoa(reply[end - 4 : end]) for end in range(len(query) + 16, len(reply) + 1, 16)] == addresses

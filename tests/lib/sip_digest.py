"""Credentials as a phone makes them (RFC 7616, 3.4)."""

from __future__ import annotations

import hashlib

from remusnet.sip.auth import parse_credentials


def credentials(
    challenge: bytes, method: str, password: str, *, name: str = "bob", **other: str
) -> bytes:
    """An Authorization for a challenge, of either kind. ``other`` parameters are as given."""
    found = parse_credentials(challenge)
    assert found is not None
    hashed = hashlib.sha256 if found["algorithm"] == "SHA-256" else hashlib.md5

    def digest(*parts: str) -> str:
        return hashed(":".join(parts).encode()).hexdigest()

    fields = {"username": name, "realm": found["realm"], "nonce": found["nonce"], **other}
    fields = {"nc": "00000001", "cnonce": "c", "qop": "auth", "uri": "sip:example.org", **fields}
    first = digest(fields["username"], fields["realm"], password)
    second = digest(method, fields["uri"])
    proof = digest(first, fields["nonce"], fields["nc"], fields["cnonce"], fields["qop"], second)
    bare = ("nc", "qop")
    text = ", ".join(f"{n}={v}" if n in bare else f'{n}="{v}"' for n, v in fields.items())
    return f'Digest {text}, algorithm={found["algorithm"]}, response="{proof}"'.encode()

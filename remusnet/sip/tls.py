"""TLS (RFC 3261, 26.3.1): both sides may prove who they are.

The server does so in any case, also to those that it connects to. Its clients have to where the
configuration says so; phones mostly have no certificate, and prove themselves by digest.
"""

from __future__ import annotations

import ssl

from remusnet.errors import InvalidInput, quoted
from remusnet.sip.config import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """The context for clients of ours. Raises InvalidInput for files that are no certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, tls)
    if tls.verify_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        if tls.ca is None:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        else:
            _load_authority(context, tls.ca)
    return context


def client_context(tls: Tls | None) -> ssl.SSLContext:
    """The context for servers: it verifies their certificates, and has ours if they ask for it."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if tls is not None:
        _load_own(context, tls)
        if tls.ca is not None:
            _load_authority(context, tls.ca)
    return context


def _load_own(context: ssl.SSLContext, tls: Tls) -> None:

    def passphrase() -> str:
        # OpenSSL would ask at the terminal, and a server would wait for ever.
        raise InvalidInput(f"TLS key {quoted(tls.key)}: it has a passphrase; use one without")

    try:
        context.load_cert_chain(tls.certificate, tls.key, passphrase)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise InvalidInput(
            f"TLS certificate {quoted(tls.certificate)}, key {quoted(tls.key)}: {reason}"
        ) from None


def _load_authority(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise InvalidInput(f"TLS authority {quoted(file)}: {reason}") from None

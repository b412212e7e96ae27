"""Counts for Prometheus, read from the server when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from remusnet.errors import Conflict, quoted
from remusnet.sip.flows import Endpoint

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from remusnet.sip.server import Server


class _Counts(Collector):
    """Reads plain numbers of the server, from another thread: none is ever half written."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterable[Metric]:
        """All metrics."""
        server = self._server
        counts = server.wiring.counts
        yield GaugeMetricFamily("remusnet_sip_calls", "Calls that are up.", server.calls)
        yield GaugeMetricFamily(
            "remusnet_sip_transactions", "Transactions.", len(server.wiring.table)
        )
        yield GaugeMetricFamily("remusnet_sip_bindings", "Bindings.", server.bindings)
        yield GaugeMetricFamily(
            "remusnet_sip_connections", "Open connections.", server.sockets.connections
        )
        yield GaugeMetricFamily(
            "remusnet_sip_store_up", "Whether the store answers.", server.held.locations.opened
        )
        yield GaugeMetricFamily(
            "remusnet_sip_blocked_sources",
            "Sources that are kept out.",
            len(server.sockets.floods.blocked),
        )
        for name, what, label, values in (
            ("requests", "Requests received.", "method", counts.requests),
            ("responses", "Responses sent.", "status", counts.responses),
        ):
            family = CounterMetricFamily(f"remusnet_sip_{name}", what, labels=[label])
            for key, value in dict(values).items():
                family.add_metric([key], value)
            yield family
        for name, what, value in (
            ("malformed", "Messages that nobody can act on.", counts.malformed),
            ("stray", "Responses to nothing that was sent.", counts.stray),
            ("overload", "Requests answered 503 for want of room.", counts.overload),
            ("blocks", "Times a source was kept out.", server.sockets.floods.blocks),
            ("dropped", "Datagrams dropped unread.", server.sockets.dropped),
            ("repeated", "Datagrams that came again in the queue.", server.sockets.intake.repeated),
            ("dead_letters", "Messages that no actor handled.", server.system.dead_letters),
            ("failures", "Failures of actors.", server.system.failures),
        ):
            yield CounterMetricFamily(f"remusnet_sip_{name}", what, value)


def serve_metrics(endpoint: Endpoint, server: Server) -> Callable[[], None]:
    """Serve them at ``endpoint``; the result ends that. Raises Conflict where the port is taken."""
    registry = CollectorRegistry()
    registry.register(_Counts(server))
    try:
        http, thread = start_http_server(endpoint.port, endpoint.host, registry)
    except OSError as error:
        raise Conflict(f"metrics at {quoted(str(endpoint))}: {error.strerror}") from None

    def stop() -> None:
        http.shutdown()
        http.server_close()
        thread.join()

    return stop

"""Envoy's side of the comparison, as Istio would set it up in short: HTTP connection managers,
mutual TLS 1.3 with the SPIFFE ID checked on both sides, one RBAC rule, statistics as by default."""
import certificates
import hosts

EXTENSIONS = "type.googleapis.com/envoy.extensions."


def typed(kind, **fields):
    return {"@type": EXTENSIONS + kind, **fields}


def tls_context(who, folder):
    other = certificates.CALLER if who == "called" else certificates.CALLED
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3",
                       "tls_maximum_protocol_version": "TLSv1_3",
                       "ecdh_curves": ["X25519MLKEM768", "X25519", "P-256"]},
        "alpn_protocols": ["http/1.1"],
        "tls_certificates": [{
            "certificate_chain": {"filename": f"{folder}/{who}.pem"},
            "private_key": {"filename": f"{folder}/{who}.key"}}],
        "validation_context": {
            "trusted_ca": {"filename": f"{folder}/ca.pem"},
            "match_typed_subject_alt_names": [
                {"san_type": "URI", "matcher": {"exact": other}}]},
    }


def rbac():
    return {"name": "rbac", "typed_config": typed(
        "filters.http.rbac.v3.RBAC",
        rules={"action": "ALLOW", "policies": {"caller": {
            "permissions": [{"any": True}],
            "principals": [{"authenticated": {"principal_name":
                                              {"exact": certificates.CALLER}}}]}}})}


def listener(address, port, routes, filters, log, transport_socket=None):
    router = {"name": "router", "typed_config": typed("filters.http.router.v3.Router")}
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench", stream_idle_timeout="0s", http_filters=[*filters, router],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": "0s"}}
            for prefix, cluster in routes]}]})
    if log:
        manager["access_log"] = [{"name": "file", "typed_config": typed(
            "access_loggers.file.v3.FileAccessLog", path=log)}]
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if transport_socket:
        chain["transport_socket"] = transport_socket
    return {"address": {"socket_address": {"address": address, "port_value": port}},
            "tcp_backlog_size": 4096, "filter_chains": [chain]}


def cluster(name, address, port, transport_socket=None):
    many = 20000
    out = {"name": name, "type": "STATIC", "connect_timeout": "5s",
           "circuit_breakers": {"thresholds": [{"max_connections": many, "max_requests": many,
                                                "max_pending_requests": many}]},
           "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
               {"endpoint": {"address": {"socket_address": {"address": address,
                                                            "port_value": port}}}}]}]}}
    if transport_socket:
        out["transport_socket"] = transport_socket
    return out


def make(who, with_log, values):
    """The bootstrap of the near (`client`) or the far (`server`) proxy."""
    folder = values["dir"]
    log = f"{folder}/envoy-{who}-access.log" if with_log else None
    if who == "client":
        socket = {"name": "tls", "typed_config": typed(
            "transport_sockets.tls.v3.UpstreamTlsContext",
            common_tls_context=tls_context("caller", folder))}
        listeners = [listener("127.0.0.1", values["near"], [("/", "far")], [], log)]
        clusters = [cluster("far", hosts.SERVER, values["far"], socket)]
    else:
        socket = {"name": "tls", "typed_config": typed(
            "transport_sockets.tls.v3.DownstreamTlsContext", require_client_certificate=True,
            disable_stateless_session_resumption=True,
            common_tls_context=tls_context("called", folder))}
        listeners = [listener("0.0.0.0", values["far"], [("/sse", "events"), ("/", "origin")],
                              [rbac()], log, socket)]
        clusters = [cluster("origin", "127.0.0.1", values["origin"]),
                    cluster("events", "127.0.0.1", values["events"])]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}

"""The subjects: nothing in between, nginx, HAProxy and Envoy. Each pair of proxies speaks mutual
TLS 1.3 between the hosts, allows one identity of a caller, keeps connections alive on all legs and
runs one worker."""
import json
import pathlib
import subprocess

import certificates
import envoy_config
import hosts

ORIGIN, EVENTS = 8080, 8081        # on the server's host
NEAR, FAR = 15001, 15006           # where the proxies of peers listen

ORIGIN_NGINX = """
daemon off; master_process off; worker_processes 1; 
pid {dir}/origin.pid; error_log {dir}/origin.log;
events {{ worker_connections 9000; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {dir}/t; proxy_temp_path {dir}/t; fastcgi_temp_path {dir}/t;
  uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
  server {{ listen {port} backlog=4096; location / {{ root {www}; }} }}
}}
"""

NGINX_COMMON = """
daemon off; master_process off; worker_processes 1; 
pid {dir}/nginx-{who}.pid; error_log {dir}/nginx-{who}.log;
events {{ worker_connections 9000; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {dir}/t-{who}; proxy_temp_path {dir}/t-{who};
  fastcgi_temp_path {dir}/t-{who}; uwsgi_temp_path {dir}/t-{who}; scgi_temp_path {dir}/t-{who};
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_max_temp_file_size 0; proxy_request_buffering off; proxy_read_timeout 3600;
  {body}
}}
"""
NGINX_NEAR = """
  upstream far { server %(server)s:%(dialled)d; keepalive 512; keepalive_requests 1000000000;
                 keepalive_timeout 3600; }
  server {
    listen 127.0.0.1:%(near)d backlog=4096;
    location /sse { proxy_buffering off; %(tls)s }
    location / { %(tls)s }
  }
"""
NGINX_TLS = """proxy_pass https://far; proxy_ssl_protocols TLSv1.3;
      proxy_ssl_certificate %(dir)s/caller.pem; proxy_ssl_certificate_key %(dir)s/caller.key;
      proxy_ssl_trusted_certificate %(dir)s/ca.pem; proxy_ssl_verify on; proxy_ssl_name called;"""
NGINX_FAR = """
  upstream origin { server 127.0.0.1:%(origin)d; keepalive 512; keepalive_requests 1000000000;
                    keepalive_timeout 3600; }
  upstream events { server 127.0.0.1:%(events)d; keepalive 512; }
  map $ssl_client_s_dn $caller { default 0; "CN=caller" 1; }
  server {
    listen %(far)d ssl backlog=4096;
    ssl_protocols TLSv1.3; ssl_certificate %(dir)s/called.pem;
    ssl_certificate_key %(dir)s/called.key; ssl_session_tickets off;
    ssl_client_certificate %(dir)s/ca.pem; ssl_verify_client on;
    if ($caller = 0) { return 403; }
    location / { proxy_pass http://origin; }
    location /sse { proxy_buffering off; proxy_pass http://events; }
  }
"""

HAPROXY = """
global
  nbthread 1
  maxconn 9000
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  option http-no-delay
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
{body}
"""
HAPROXY_NEAR = """
frontend near
  bind 127.0.0.1:%(near)d backlog 4096
  default_backend far
backend far
  server far %(server)s:%(far)d ssl verify required ca-file %(dir)s/ca.pem crt %(dir)s/caller.both alpn http/1.1 pool-max-conn 512
"""
HAPROXY_FAR = """
frontend far
  bind *:%(far)d ssl crt %(dir)s/called.both ca-file %(dir)s/ca.pem verify required alpn http/1.1 no-tls-tickets backlog 4096
  http-request deny unless { ssl_c_s_dn(cn) caller }
  use_backend events if { path_beg /sse }
  default_backend origin
backend origin
  server origin 127.0.0.1:%(origin)d pool-max-conn 512
backend events
  server events 127.0.0.1:%(events)d pool-max-conn 512
"""



def make_files(folder):
    """What the origins serve: all of them the same files, so that all find them in memory."""
    folder.mkdir()
    (folder / "1k").write_bytes(b"x" * 1024)
    with open(folder / "1g", "wb") as file:
        for _ in range(1 << 10):
            file.write(bytes(1 << 20))
    return folder


class Subject:
    """Nothing in between; the base of the others."""

    name = "direct"
    near = hosts.SERVER, ORIGIN    # where the client turns
    near_events = hosts.SERVER, EVENTS
    tls = None                     # where the far proxy takes mutual TLS
    alpn = "http/1.1"
    groups = ("X25519",)

    def __init__(self, tools, folder, www, cpu=None):
        self.tools = tools
        self.www = www
        self.folder = pathlib.Path(folder)
        self.proxies = {}
        self.hosts = hosts.Hosts(self.folder)
        self.hosts.cpu = cpu or {}
        self.mark = 0

    def start(self):
        certificates.make(self.folder)
        config = self.folder / "origin.conf"
        config.write_text(ORIGIN_NGINX.format(dir=self.folder, www=self.www, port=ORIGIN))
        self.hosts.start("server", ["nginx", "-c", config, "-e", self.folder / "origin.log"],
                         "origin")
        self.hosts.start("server", [self.tools / "gate2_sse", "serve", EVENTS, 100], "origin")
        self.start_proxies()
        hosts.wait_for(f"{self.name} to answer", self.answers)

    def answers(self):
        address, port = self.near
        command = self.hosts.inside("client", [
            "curl", "-sf", "-m2", "-o", "/dev/null", f"http://{address}:{port}/1k"], "load")
        return subprocess.run(command, check=False).returncode == 0

    def start_proxies(self):
        pass

    def pids(self, who=None):
        pids = []
        for side, process in self.proxies.items():
            if who in (None, side):
                pids += hosts.tree(process.pid)
        return pids

    def values(self):
        return {"dir": self.folder, "server": hosts.SERVER, "near": NEAR, "far": FAR, "dialled": FAR,
                "origin": ORIGIN, "events": EVENTS}

    def start_pair(self, command):
        for who in ("server", "client"):
            self.proxies[who] = self.hosts.start(who, command(who), "proxy")

    def close(self):
        self.hosts.close()


class Peer(Subject):
    near = near_events = "127.0.0.1", NEAR
    tls = hosts.SERVER, FAR


class Nginx(Peer):
    name = "nginx"

    def start_proxies(self):
        def command(who):
            values = dict(self.values(), tls=NGINX_TLS % self.values())
            body = (NGINX_NEAR if who == "client" else NGINX_FAR) % values
            config = self.folder / f"nginx-{who}.conf"
            config.write_text(NGINX_COMMON.format(dir=self.folder, who=who, body=body))
            return ["nginx", "-c", config, "-e", self.folder / f"nginx-{who}.log"]
        self.start_pair(command)


class NginxRedirected(Nginx):
    """The same pair behind interception by nftables, as a sidecar has it: what redirecting costs."""

    name = "nginx+redirect"
    near = hosts.SERVER, ORIGIN
    near_events = hosts.SERVER, EVENTS
    tls = None
    user = 65534

    def start_proxies(self):
        ports = f"tcp dport {{ {ORIGIN}, {EVENTS} }}"
        rules = {"client": "chain c { type nat hook output priority -100; "
                           f"ip daddr {hosts.SERVER} {ports} meta skuid != {self.user} "
                           f"redirect to :{NEAR}; }};",
                 "server": "chain c { type nat hook prerouting priority -100; "
                           f"iifname eth0 {ports} redirect to :{FAR}; }};"}
        for who, rule in rules.items():
            hosts.run(self.hosts.inside(who, ["nft", f"table ip bench {{ {rule} }}"]))
        self.folder.chmod(0o777)
        super().start_proxies()

    def values(self):
        # The near proxy dials the port that the client meant; the far one is led to its own.
        return dict(super().values(), dialled=ORIGIN)

    def start_pair(self, command):
        super().start_pair(lambda who: ["setpriv", f"--reuid={self.user}", "--clear-groups",
                                        *command(who)])


class HAProxy(Peer):
    name = "haproxy"

    def start_proxies(self):
        def command(who):
            body = (HAPROXY_NEAR if who == "client" else HAPROXY_FAR) % self.values()
            config = self.folder / f"haproxy-{who}.cfg"
            config.write_text(HAPROXY.format(body=body))
            return ["haproxy", "-db", "-f", config]
        self.start_pair(command)


class Envoy(Peer):
    name = "envoy"
    log = False
    groups = ("X25519", "X25519MLKEM768")
    binary = None  # set by the driver

    def start_proxies(self):
        def command(who):
            config = self.folder / f"envoy-{who}.json"
            config.write_text(json.dumps(envoy_config.make(who, self.log, self.values())))
            return [self.binary, "-c", config, "--concurrency", "1", "--log-level", "error",
                    "--disable-hot-restart"]
        self.start_pair(command)


class EnvoyLog(Envoy):
    name = "envoy+log"
    log = True

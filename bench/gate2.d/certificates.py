"""A certificate authority and two identities for the peers, as a mesh would issue them: P-256, a
SPIFFE ID as the only name, and a common name for those that can only match that."""
import subprocess

CALLER = "spiffe://cluster.local/ns/bench/sa/caller"
CALLED = "spiffe://cluster.local/ns/bench/sa/called"


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"openssl {arguments[0]}: {done.stderr.strip()}")


def make(folder):
    """ca.pem, and NAME.pem, NAME.key, NAME.both (chain and key in one file, for HAProxy)."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-days", "2",
            "-subj", "/O=bench", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, identity in (("caller", CALLER), ("called", CALLED)):
        (folder / f"{name}.ext").write_text(
            f"subjectAltName=critical,URI:{identity}\nbasicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr",
                "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem",
                "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "1",
                "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem")
        (folder / f"{name}.both").write_text(
            (folder / f"{name}.pem").read_text() + (folder / f"{name}.key").read_text())
    for path in folder.iterdir():
        path.chmod(0o644)

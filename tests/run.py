#!/usr/bin/env python3
"""Runs every test of the project and prints "N passed, M failed" as its last line.

Parts: the modules' gtest executables (as built), the example's own programs, and the end-to-end
tests in tests/e2e against the built binary. A part that cannot run counts as failed, never skipped.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def say(text):
    print(text, flush=True)


def run(command, log, timeout, env=None):
    with open(log, "wb") as out:
        try:
            return subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT,
                                  timeout=timeout, env=env).returncode
        except subprocess.TimeoutExpired:
            return -1


def make_venv(build):
    """The pinned clients and servers of the end-to-end tests; made again when the pins change."""
    pins = (ROOT / "tests/e2e/requirements.txt").read_text()
    venv = build / "tests-venv"
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != pins:
        say("test: installing the clients and servers of the end-to-end tests")
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(venv / "bin/pip"), "install", "--quiet", "--no-cache-dir",
                        "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r",
                        "tests/e2e/requirements.txt"], cwd=ROOT, check=True)
        stamp.write_text(pins)
    return venv


def tail(log, lines=60):
    return "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-lines:])


def gtest(executable, logs):
    log = logs / (executable.name + ".log")
    code = run([str(executable), "--gtest_color=no"], log, 1500)
    text = log.read_text(errors="replace")
    passed = len(re.findall(r"^\[       OK \]", text, re.M))
    failed = sorted(set(re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", text, re.M)))
    skipped = re.findall(r"^\[  SKIPPED \] ([\w/.]+)", text, re.M)
    if skipped:
        failed += [f"{name} (skipped)" for name in sorted(set(skipped))]
    if code != 0 and not failed:
        failed = [f"{executable.name} ended with {code}"]
    if failed:
        say(tail(log, 80))
    return passed, failed


def unittests(folder, logs, env, timeout):
    log = logs / (folder.replace("/", "_") + ".log")
    code = run(["/usr/bin/python3", "-m", "unittest", "discover", "-v", "-s", folder, "-t", folder],
               log, timeout, env)
    text = log.read_text(errors="replace")
    passed = len(re.findall(r" \.\.\. ok$|^ok$", text, re.M))
    failed = re.findall(r"^(?:FAIL|ERROR): (.+)$", text, re.M)
    if re.search(r"\.\.\. skipped", text):
        failed.append(f"{folder}: skipped tests")
    if (code != 0 or passed == 0) and not failed:
        failed = [f"{folder} ended with {code}"]
    if failed:
        say(tail(log, 80))
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", default="", help="parts whose name contains this")
    args = parser.parse_args()
    build = (ROOT / args.build).resolve()
    logs = build / "logs"
    logs.mkdir(exist_ok=True)
    env = dict(os.environ, SALLYPORT=str(build / "sallyport"),
               SALLYPORT_SOURCE=str(ROOT), SALLYPORT_VENV=str(make_venv(build)))

    parts = [(exe.name, lambda exe=exe: gtest(exe, logs)) for exe in sorted(build.glob("*_test"))]
    for folder, timeout in (("examples/ai-pipeline/tests", 600), ("tests/e2e", 1500)):
        parts.append((folder, lambda f=folder, t=timeout: unittests(f, logs, env, t)))
    passed, failed = 0, []
    for name, part in parts:
        if args.only not in name:
            continue
        start = time.monotonic()
        ok, bad = part()
        passed += ok
        failed += bad
        say(f"test: {name}: {ok} passed, {len(bad)} failed, {time.monotonic() - start:.0f} s")
    for name in failed:
        say(f"FAILED {name}")
    if passed == 0:
        failed.append("no test ran")
    say(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

"""The tour of the example: starts the pipeline, takes the steps, says what was expected of each
and what happened, and ends everything again. Exit status 0 only if all steps went as expected."""

import argparse
import os
import shutil
import signal
import sys
import textwrap
import time
import traceback

import steps_attack
import steps_change
import steps_mesh
import steps_pipeline
from node import Node, Unexpected, fresh_copy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(ROOT, "examples", "ai-pipeline")

STEPS = (steps_pipeline.STEPS + steps_attack.STEPS + steps_mesh.STEPS[:-1] + steps_change.STEPS
         + steps_mesh.STEPS[-1:])

NEXT = """The pipeline is still running. Try next ({sp} is the binary):
  {sp} get pods --name {name} -o wide
  {sp} flows --name {name} --follow
  {sp} exec --name {name} client/client -- python3 /opt/ai-pipeline/programs/chat.py "Hello"
  {sp} exec --name {name} attacker/attacker -- curl -m 2 http://model-server.inference:8080/v1/models
  {sp} explain --name {name} attacker/attacker svc/inference/model-server:8080
  edit a file in {manifests} and look at the flows again
End it with
  {sp} down {name}"""


class Printer:
    def __init__(self):
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.codes = {"good": "\033[32m", "bad": "\033[31m", "bold": "\033[1m", "end": "\033[0m"}
        if not color:
            self.codes = dict.fromkeys(self.codes, "")

    def line(self, text="", style=None):
        if style:
            text = self.codes[style] + text + self.codes["end"]
        print(text, flush=True)

    def labelled(self, label, text):
        width = max(60, min(140, shutil.get_terminal_size((120, 24)).columns) - 14)
        for part in text.split("\n"):
            indent = part[:len(part) - len(part.lstrip())] + "    "
            for line in textwrap.wrap(part, width, subsequent_indent=indent, drop_whitespace=True,
                                      break_long_words=False, break_on_hyphens=False) or [""]:
                self.line(f"    {label:<9} {line}".rstrip())
                label = ""


def take_step(printer, number, total, step, node):
    printer.line()
    printer.line(f"[{number}/{total}] {step.title}", "bold")
    printer.labelled("expected", step.expected)
    started = time.monotonic()
    try:
        happened = step(node)
        good = True
    except Unexpected as e:
        happened, good = str(e), False
    except Exception:  # a bug of the tour is a failed step, and the others are still of interest
        happened, good = traceback.format_exc().strip(), False
    printer.labelled("happened", happened)
    seconds = time.monotonic() - started
    printer.line(f"    {'as expected' if good else 'NOT as expected'} ({seconds:.1f} s)",
                 "good" if good else "bad")
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--name", default="demo")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    only = {int(n) for n in arguments.only.split(",") if n}

    def stop(number, _):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)

    printer = Printer()
    name = arguments.name
    work = os.path.join(ROOT, ".demo", "run", name)
    manifests = os.path.join(work, "ai-pipeline")
    fresh_copy(EXAMPLE, manifests)
    node = Node(arguments.binary, name, manifests,
                {os.path.join(ROOT, ".demo", "venv"): "/opt/ai-pipeline/venv",
                 os.path.join(EXAMPLE, "programs"): "/opt/ai-pipeline/programs"}, work)
    failed, total = [], len(STEPS)
    keep = False
    try:
        # What an interrupted demo may have left; nothing of it is an error here.
        node.run("down", name, check=False, timeout=60, named=False)
        open(node.log_path, "w", encoding="utf-8").close()
        node.up()
        for number, step in enumerate(STEPS, 1):
            if only and number not in only and number != 1:
                continue
            if not take_step(printer, number, total, step, node):
                failed.append(number)
                if number == 1:  # nothing runs: the others cannot tell anything
                    break
        keep = arguments.keep
    finally:
        if not keep:
            printer.line()
            try:
                node.down()
                if os.path.exists(node.runtime_state):
                    raise Unexpected(f"{node.runtime_state} is still there")
                printer.line("Everything was taken down again.")
            except Unexpected as e:
                printer.line(str(e), "bad")
                failed.append(0)
    printer.line()
    if failed:
        printer.line(f"NOT as expected: {', '.join(f'step {n}' if n else 'taking down' for n in failed)}"
                     f" (the node's log: {node.log_path})", "bad")
    else:
        printer.line("All steps went as expected.", "good")
    if keep:
        printer.line(NEXT.format(sp=arguments.binary, name=name, manifests=manifests))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

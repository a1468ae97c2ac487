"""Collector: appends each record it is sent to a file, one JSON object a line.

POST /v1/records. Environment: RECORDS (the file), MAX_BYTES (then the file is turned over; one
old file is kept), PORT (8080).
"""

import json
import os
import threading
import time

import web

RECORDS = os.environ.get("RECORDS", "records.jsonl")
MAX_BYTES = int(os.environ.get("MAX_BYTES", str(16 << 20)))
_lock = threading.Lock()


def add(handler):
    record = handler.read_json()
    record["received"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps(record) + "\n"
    with _lock:
        if os.path.exists(RECORDS) and os.path.getsize(RECORDS) + len(line) > MAX_BYTES:
            os.replace(RECORDS, RECORDS + ".1")
        with open(RECORDS, "a", encoding="utf-8") as f:
            f.write(line)
    handler.send_json(202, {"accepted": 1})


if __name__ == "__main__":
    web.serve({("POST", "/v1/records"): add})

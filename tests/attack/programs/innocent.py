"""A client that does no harm: asks and asks, and prints how long it took.

innocent.py HOST PORT SECONDS: one keep-alive connection, a request each 5 ms or as fast as the
answers come, each with a number of its own. Prints {"count", "p50", "p99", "worst" (milliseconds),
"errors": [...], "mixed": N} where `mixed` counts answers to somebody else's request.
"""
import http.client
import json
import sys
import time


def main():
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    times, errors, mixed, number = [], [], 0, 0
    connection = None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        start = time.monotonic()
        try:
            if connection is None:
                connection = http.client.HTTPConnection(host, port, timeout=10)
            connection.request("GET", "/v1/models", headers={"x-case": f"innocent-{number}"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                errors.append(f"status {answer.status}")
            elif answer.getheader("x-case") != f"innocent-{number}":
                mixed += 1
        except (OSError, http.client.HTTPException) as error:
            errors.append(f"{type(error).__name__}: {error}")
            connection = None
        took = time.monotonic() - start
        times.append(took * 1000)
        time.sleep(max(0.0, 0.005 - took))
    times.sort()
    print(json.dumps({"count": len(times), "p50": times[len(times) // 2],
                      "p99": times[int(len(times) * 0.99)], "worst": times[-1],
                      "errors": errors[:20], "failed": len(errors), "mixed": mixed}))


if __name__ == "__main__":
    main()

"""What the benchmarks share: statistics over pairs, progress, and results as JSON and text."""
import json
import pathlib
import statistics
import sys
import time


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def interval(values):
    """Around the median with about 95 % confidence, by order statistics, whatever the
    distribution; the whole range where there are fewer than nine values."""
    ordered, n = sorted(values), len(values)
    skip = 0 if n < 9 else int(n / 2 - 0.98 * n ** 0.5)
    return ordered[skip], ordered[n - 1 - skip]


def summary(values):
    low, high = interval(values)
    return {"median": statistics.median(values), "low": low, "high": high, "n": len(values)}


def show(name, entry):
    return (f"{name}: median {entry['median']:.3f} "
            f"(95 % interval {entry['low']:.3f} to {entry['high']:.3f}, {entry['n']} pairs)")


def write(out, name, data, lines):
    """Prints the lines; writes NAME.json and NAME.txt where a directory is given."""
    print("\n".join(lines), flush=True)
    if not out:
        return
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    data = dict(data, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    (folder / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n")
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")

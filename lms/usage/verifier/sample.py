#!/usr/bin/env python3
"""智课现场抽查：从公开种子抽样 / draws the sample of a spot check from a public seed. Standard library only.

用法 / usage:  python sample.py PACK.zip SEED [--count 5] [--from 2026-09-01] [--to 2027-01-22]

Both sides run it and get the same records: each original record is ranked by SHA-256 of ``seed``, a line feed and its id; the first are drawn.
The pack is handed over first; the seed is what becomes public afterwards (the county's root of the next day, a lottery's numbers), so that
neither side chooses.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence


def draw(seed: str, records: Iterable[str], count: int) -> list[str]:
    """The ``count`` ids that the seed draws, in the order drawn; the same for everybody."""
    text = " ".join(seed.split())
    return sorted(set(records), key=lambda one: hashlib.sha256(f"{text}\n{one}".encode()).hexdigest())[:count]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the drawn records: number, link, date, id."""
    parser = argparse.ArgumentParser(description="从公开种子抽样 / draw a sample")
    parser.add_argument("pack")
    parser.add_argument("seed")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--from", dest="first", default="")
    parser.add_argument("--to", dest="last", default="9999")
    options = parser.parse_args(arguments)
    with zipfile.ZipFile(options.pack) as archive:
        links = [json.loads(line) for line in archive.read("chain.jsonl").decode().split("\n")[:-1]]
    records = {
        link["payload"]["record"]["id"]: (link["seq"], link["payload"]["record"]["lesson_on"])
        for link in links
        if link["type"] == "usage-record" and options.first <= link["payload"]["record"]["lesson_on"] <= options.last
    }
    for number, one in enumerate(draw(options.seed, records, options.count), 1):
        print(f"{number}\t{records[one][0]}\t{records[one][1]}\t{one}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

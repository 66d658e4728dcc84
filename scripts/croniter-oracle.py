#!/usr/bin/env python3
"""Writes tests/data/croniter.txt: what croniter says of a year of cron expressions in several time zones.

    python3 -m venv venv && venv/bin/pip install croniter==7.0.0 tzdata==2026.6
    venv/bin/python scripts/croniter-oracle.py > tests/data/croniter.txt

A line has, between tabs: the zone, the expression, how many occurrences lie outside the days on which the clock is
changed with a hash of them (FNV-1a of their minutes since 1970, 32 bits each), and those of each such day, in minutes
since it began: `60x3` is three steps of 60 minutes each. `tests/it/schedules.rs` reads it.
"""

import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from croniter import croniter

START = datetime(2018, 7, 1, tzinfo=timezone.utc)
END = datetime(2019, 7, 1, tzinfo=timezone.utc)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata"]
EXPRESSIONS = """
* * * * *|*/2 * * * *|*/3 * * * *|*/7 * * * *|*/15 * * * *|5-59/10 * * * *|0,7,30 * * * *|0 * * * *|15 * * * *
0 */2 * * *|20 1-23/2 * * *|0 */6 * * *|0,30 */3 * * *|*/30 2 * * *|*/15 1-3 * * *|* 4 * * *|0-10 0 * * *
0 0 * * *|30 0 * * *|0 1 * * *|30 1 * * *|45 1 * * *|0 2 * * *|15 2 * * *|30 2 * * *|0 3 * * *|30 3 * * *|0 12 * * *
30 23 * * *|59 23 * * *|0 9-18 * * 1-5|*/15 9-17 * * mon-fri|0 9,12,18 * * *|0 9 * * 1|0 9 * * 0|0 9 * * 7|0 9 * * sun
0 9 * * 6,0|0 9 * * 5-7|30 4 * * tue,thu|0 0 1 * *|0 0 1,15 * *|0 0 31 * *|0 0 30 * *|0 0 28-31 * *|0 0 */2 * *
0 0 1-7 * *|0 0 25 12 *|0 6 1 1,4,7,10 *|0 6 1 */3 *|0 6 * jan,feb *|*/5 * * 4-9 *|30 4 1,15 * 5|0 0 13 * 5|0 12 1-7 * 1
0 8 1 jan mon|0 0 29 2 *|0 0 28 2 *|@hourly|@daily|@weekly|@monthly|@yearly
""".replace("\n", "|").strip("|").split("|")
OFTEN = EXPRESSIONS[:3]


def changes(zone):
    """The moments between START and END at which the zone's offset changes."""
    offset = lambda at: at.astimezone(zone).utcoffset()
    at, found = START, []
    while at < END:
        after = at + timedelta(minutes=30)
        if offset(at) != offset(after):
            found.append(after)
        at = after
    return found


def occurrences(expression, zone):
    iterator = croniter(expression, START.astimezone(zone))
    while True:
        at = iterator.get_next(datetime)
        if at.astimezone(timezone.utc) > END:
            return
        yield int(at.timestamp()) // 60


def run_lengths(minutes, begin):
    words, last = [], begin
    for minute in minutes:
        step, last = minute - last, minute
        if words and words[-1][0] == step:
            words[-1][1] += 1
        else:
            words.append([step, 1])
    return " ".join(f"{step}x{n}" if n > 1 else str(step) for step, n in words)


def main():
    for name in ZONES:
        zone = ZoneInfo(name)
        # From six hours before the change to a day and two hours after it.
        days = [int(at.timestamp()) // 60 - 360 for at in changes(zone)]
        for expression in EXPRESSIONS:
            # A year of these has hundreds of thousands of minutes: two zones are enough.
            if expression in OFTEN and name not in ZONES[:2]:
                continue
            count, total, special = 0, 0xCBF29CE484222325, [[] for _ in days]
            for minute in occurrences(expression, zone):
                within = [at for at, day in enumerate(days) if day < minute <= day + 32 * 60]
                if within:
                    special[within[0]].append(minute)
                    continue
                count += 1
                for byte in minute.to_bytes(4, "little"):
                    total = (total ^ byte) * 0x100000001B3 % (1 << 64)
            runs = [run_lengths(minutes, day) for minutes, day in zip(special, days)]
            print("\t".join([name, expression, str(count), f"{total:016x}", *runs]))
        sys.stdout.flush()


main()

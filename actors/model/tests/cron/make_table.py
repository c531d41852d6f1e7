#!/usr/bin/env python3
"""Writes next_times.txt, by croniter: what was read by others is a better test than what was read by us.

    pip install croniter==7.0.0 tzdata && python3 make_table.py > next_times.txt

Zones that set their clocks are asked about far from the days on which they do: there the rules
differ, and schedules there have tests of their own.
"""

import random
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from zoneinfo import ZoneInfo

from croniter import croniter

COUNT = 10

LISTED = """
* * * * *
*/2 * * * *
*/5 * * * *
*/7 * * * *
*/10 * * * *
*/15 * * * *
*/20 * * * *
*/30 * * * *
*/59 * * * *
0 * * * *
1 * * * *
30 * * * *
59 * * * *
0,30 * * * *
0-5 * * * *
0-59/6 * * * *
1-56/5 * * * *
3,17,42 * * * *
10-20,40-50/3 * * * *
5/15 * * * *
1/1 * * * *
50/5 * * * *
0 0 * * *
0 1 * * *
30 2 * * *
15 4 * * *
59 23 * * *
0 0,12 * * *
0 */2 * * *
0 */3 * * *
0 */5 * * *
0 */23 * * *
0 1-23/2 * * *
0 2/7 * * *
0 9-17 * * *
*/10 9-17 * * *
*/20 8,12,18 * * *
30 6-8,20-22 * * *
7 3-21/6 * * *
5,10 4,5 * * *
* 5 * * *
* 0 * * *
*/15 23 * * *
0 0 1 * *
0 0 15 * *
0 0 31 * *
0 0 30 * *
0 0 29 * *
0 0 28-31 * *
0 0 1,15 * *
0 9 4,18 * *
0 6 */10 * *
0 6 */30 * *
0 6 2/9 * *
30 3 1-7 * *
15 14 1 * *
0 22 5-25/5 * *
0 0 1 1 *
0 0 1 */3 *
0 0 1 1,4,7,10 *
0 0 1 JAN *
0 0 1 jan,jul *
0 0 1 Mar-May *
0 0 1 2/5 *
0 0 29 2 *
0 0 29 FEB *
0 0 30 4,6,9,11 *
0 0 31 1-12/2 *
0 12 25 DEC *
0 0 31 12 *
0 0 * 2 *
0 0 1-3 6-8 *
*/30 0 1 1 *
0 0 10 OCT-DEC *
0 0 * * 0
0 0 * * 7
0 0 * * 1
0 20 * * 1
0 0 * * 6
0 0 * * SUN
0 0 * * sun
0 0 * * Mon
0 0 * * TUE,THU
0 0 * * 1-5
0 9 * * MON-FRI
0 9 * * mon-fri
0 17-23 * * 1-5
*/15 9-17 * * 1-5
0 0 * * 0,6
0 0 * * 6,7
0 0 * * 5-7
0 0 * * 0-7
0 0 * * 1-7
0 0 * * 1-7/2
0 0 * * */2
0 0 * * */3
0 0 * * SAT-SUN
0 0 * * FRI-MON
0 0 * * MON-SUN
0 0 * * WED-SUN
0 0 * * SUN-THU
0 0 * * 3/2
30 4 1,15 * 5
0 0 13 * FRI
0 0 13 * 5
0 0 1 * MON
0 12 1-7 * SAT,SUN
0 0 31 * 3
15 10 15 6 2
0 8 10-20 1-3 1
0 0 29 2 MON
0 0 31 2 TUE
5 0 1 1 0
0 0 1-15 * 1-5
59 11 28 2 6
@hourly
@daily
@midnight
@weekly
@monthly
@yearly
@annually
""".split("\n")

SETTING = [
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Los_Angeles", "Europe/London",
    "Pacific/Auckland", "America/St_Johns",
]
FIXED = ["Asia/Tokyo", "Asia/Kolkata", "America/Phoenix", "Asia/Kathmandu", "Pacific/Kiritimati", "America/Sao_Paulo"]
STARTS = [
    datetime(1970, 1, 1, tzinfo=timezone.utc),
    datetime(2026, 12, 31, 23, 59, 30, tzinfo=timezone.utc),
    datetime(2027, 2, 27, 13, 17, tzinfo=timezone.utc),
    datetime(2028, 2, 28, 22, 5, 1, tzinfo=timezone.utc),
]
MIDYEAR = datetime(2027, 6, 3, 7, 41, tzinfo=timezone.utc)


def random_field(rng, low, high, names=None):
    kind = rng.choice(["any", "any", "step", "one", "range", "list", "range step", "mixed", "from"])
    a, b = sorted(rng.sample(range(low, high + 1), 2))
    step = rng.randint(2, max(2, (high - low) // 2))
    name = lambda it: names[it - low] if names and rng.random() < 0.5 else str(it)
    return {
        "any": "*",
        "step": f"*/{step}",
        "one": name(a),
        "range": f"{a}-{b}",
        "list": ",".join(name(it) for it in sorted(rng.sample(range(low, high + 1), 3))),
        "range step": f"{a}-{b}/{step}",
        "mixed": f"{a},{b}" if b - a < 2 else f"{a}-{b - 1},{b}",
        "from": f"{a}/{step}",
    }[kind]


MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()


def random_schedule(rng, may_restrict_dates):
    minute, hour = random_field(rng, 0, 59), random_field(rng, 0, 23)
    if not may_restrict_dates:
        return f"{minute} {hour} * * *"
    day, weekday = "*", "*"
    which = rng.choice(["none", "day", "weekday", "both"])
    if which in ("day", "both"):
        day = random_field(rng, 1, 28)
    if which in ("weekday", "both"):
        weekday = random_field(rng, 0, 6, DAYS)
    # Whether a step makes a day field a restriction is a question on which programs differ.
    if day != "*" and weekday != "*":
        day, weekday = day.replace("*", "1", 1), weekday.replace("*", "0", 1)
    month = random_field(rng, 1, 12, MONTHS) if rng.random() < 0.4 else "*"
    return f"{minute} {hour} {day} {month} {weekday}"


def rows():
    rng = random.Random(61)
    for schedule in filter(None, LISTED):
        yield "UTC", rng.choice(STARTS), schedule
    for _ in range(70):
        yield "UTC", rng.choice(STARTS), random_schedule(rng, True)
    for _ in range(40):
        yield rng.choice(FIXED), rng.choice(STARTS[1:]), random_schedule(rng, True)
    for _ in range(40):
        yield rng.choice(SETTING), MIDYEAR, random_schedule(rng, False)


def write(out):
    print(f"# Made by make_table.py with croniter {version('croniter')}: zone, start, schedule, what is due next.", file=out)
    for zone, start, schedule in rows():
        times = croniter(schedule, start.astimezone(ZoneInfo(zone)), ret_type=datetime)
        due = [times.get_next().astimezone(timezone.utc) for _ in range(COUNT)]
        columns = [zone, f"{start:%Y-%m-%dT%H:%M:%SZ}", schedule, " ".join(f"{it:%Y-%m-%dT%H:%MZ}" for it in due)]
        print("\t".join(columns), file=out)


write(sys.stdout)

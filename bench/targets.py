# SPDX-License-Identifier: Apache-2.0
"""What is asked of a case (targets.json), and whether it is met."""
import fnmatch
from pathlib import Path

import result_file

FILE = Path(__file__).with_name("targets.json")
NEAR_FLOOR, NEAR_GOAL = 0.8, 1.05


def read(path=FILE):
    """throws BadFile"""
    rows = result_file.read_json(path)
    rows = rows.get("targets") if isinstance(rows, dict) else None
    if not isinstance(rows, list):
        raise result_file.BadFile(f"{path}: holds no list 'targets'")
    for i, row in enumerate(rows):
        result_file.check(path, f"target {i}", row, {"cases": str, "goal": (int, float), "moonshot": (int, float)}, [])
    return rows


def near_floor(case):
    """Whether the peer leaves less than a fifth of the floor to win."""
    return bool(case.get("floor_ms") and case.get("peer_ms") and case["floor_ms"] / case["peer_ms"] >= NEAR_FLOOR)


def beyond_floor(case, goal):
    """Where the floor lies as a ratio, if a plain method cannot reach the goal; None if it can, or if we did."""
    if not case.get("floor_ms") or not case.get("peer_ms"):
        return None
    ratio = case["floor_ms"] / case["peer_ms"]
    return ratio if case["ratio_median"] > goal and ratio > goal else None


def target(rows, case):
    """(goal, moonshot) of a case, None if nothing is asked of it. Where the peer is near the floor, nobody can be much
    faster: then the goal is to be no slower."""
    row = next((r for r in rows if fnmatch.fnmatchcase(case["name"], r["cases"])), None)
    if row is None:
        return None
    if near_floor(case):
        return max(NEAR_GOAL, row["goal"]), row["moonshot"]
    return row["goal"], row["moonshot"]

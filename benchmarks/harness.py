"""Interleaved measurements: A B C, C A B, ... so that a disturbance of the machine meets every contender alike."""

import random
import statistics
import time

from tinyae.terminal import say

PAUSE = 5.0  # seconds between words on the progress


def interleave(contenders, rounds, warmup=1, seed=0):
    """{name: [one value per round]} of contenders {name: function() -> number}.

    The order is drawn anew for every round; `warmup` rounds are measured and thrown away. What takes long says on
    stderr how far it is.
    """
    rng = random.Random(seed)
    values = {name: [] for name in contenders}
    began = spoken = time.monotonic()
    done, total = 0, (warmup + rounds) * len(contenders)
    for i in range(warmup + rounds):
        for name in rng.sample(list(contenders), len(contenders)):
            if time.monotonic() - spoken > PAUSE:
                spoken = time.monotonic()
                left = f", about {(spoken - began) / done * (total - done):.0f} s left" if done else ""
                say(f"round {i + 1} of {warmup + rounds}, {warmup} of them to warm up: {name}{left}")
            done += 1
            value = contenders[name]()
            if i >= warmup:
                values[name].append(value)
    return values


def summary(values):
    """Median, quartiles and extremes."""
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": median, "q1": q1, "q3": q3, "min": min(values), "max": max(values), "rounds": len(values)}


def ratios(values, subject):
    """{peer: summary of subject / peer, taken within each round}: what the two had in common then cancels."""
    return {
        peer: summary([ours / theirs for ours, theirs in zip(values[subject], measured, strict=True)])
        for peer, measured in values.items()
        if peer != subject
    }


def report(values, subject):
    """What goes into the JSON: a summary for each contender, and the subject's ratio to each peer."""
    found = {"contenders": {name: summary(measured) for name, measured in values.items()}}
    return found | ({"ratios": ratios(values, subject)} if subject in values else {})


def table(title, result, scale=1.0):
    """`result` of `report` as lines of text; values are multiplied by `scale`."""
    lines = [f"{title:34}{'median':>9}{'q1':>9}{'q3':>9}{'min':>9}   ratio to it (q1 to q3)"]
    for name, s in result["contenders"].items():
        keys = ("median", "q1", "q3", "min") if s["rounds"] > 1 else ("median",)
        numbers = "".join(f"{scale * s[key]:9.3g}" for key in keys)
        r = result.get("ratios", {}).get(name)
        lines.append(f"  {name:32}{numbers}" + (f"   {ratio(r)}" if r else ""))
    return "\n".join(lines)


def ratio(r):
    """A ratio with its quartiles. Of a single round there is none to report: it has no spread."""
    if r.get("rounds") == 1:
        return "no ratio: one round shows no spread"
    return f"{r['median']:.2f} ({r['q1']:.2f} to {r['q3']:.2f})"

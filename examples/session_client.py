"""Evaluates a study from Python, through `lapidary session`: a line of JSON in, a line of JSON out. Run it with

    python3 examples/session_client.py lapidary session examples/function.toml --store studies.db --resume

`lapidary` stands for target/release/lapidary where it is not installed. Ended at any moment, the same command goes on
where it stood; a session needs nothing of the study's [evaluate].
"""

import json
import math
import subprocess
import sys


class Session:
    def __init__(self, command):
        pipe = subprocess.PIPE
        self.program = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def __call__(self, **request):
        print(json.dumps(request), file=self.program.stdin, flush=True)
        line = self.program.stdout.readline()
        answer = json.loads(line) if line else {"error": "the session has ended; stderr says why"}
        if "error" in answer:
            sys.exit(answer["error"])
        return answer


def evaluate(point):
    """What is to be found out about a point; here a function with many local minima."""
    return {"value": sum(x * x + 10 - 10 * math.cos(2 * math.pi * x) for x in point.values())}


session = Session(sys.argv[1:])
# What an earlier run was given and did not answer comes first.
candidates = session(pending=True)["pending"]
while candidates or "end" not in (answer := session(ask=4)):
    for candidate in candidates or answer["candidates"]:
        session(tell={"id": candidate["id"], "metrics": evaluate(candidate["point"])})
    candidates = []
print(json.dumps(session(best=True)["best"]))

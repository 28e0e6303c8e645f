"""Thirty readers of the laboratory at once, over the page's own line to the server.

`python -m tests.readers ADDRESS [same]` has each train a race of its own, or all the same, and prints, as JSON, what
they have had to wait. They are no browsers: what thirty of those would cost this machine, in a class would be spread
over thirty.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

from widgets import Lab

READERS = 30
SECONDS = 15.0
STEPS = 50_000  # more than there is time for


@dataclass
class Reader:
    """One who opens the page, presses Start, and watches."""

    number: int
    heard: list[float] = field(default_factory=list)  # when there was news of either network
    step: dict[str, int] = field(default_factory=dict)
    refused: str = ""
    line: WebSocketClientConnection | None = None
    root: str = ""

    async def open(self, address: str) -> None:
        """Ask for the page, and connect as its script does."""
        answer = await AsyncHTTPClient().fetch(f"{address}/app?figure=lab", request_timeout=60)
        page = answer.body.decode()
        (token,) = re.findall(r'"token":"([^"]+)"', page)
        self.root = re.findall(r"data-root-id='([^']+)'", page)[0]  # others are Panel's own
        place = address.replace("http", "ws", 1)
        self.line = await websocket_connect(f"{place}/app/ws", subprotocols=["bokeh", token])
        await self.line.read_message()  # the server is ready

    async def start(self, learning_rate: float) -> None:
        """Press Start."""
        lab = Lab(steps=STEPS, learning_rate=learning_rate)  # type: ignore[no-untyped-call]
        settings = {name: lab.state[name] for name in Lab.training}
        await self.send({"do": "start", "race": 1, "settings": settings})

    async def send(self, message: dict[str, Any]) -> None:
        """Send what the page would: a message of three parts."""
        assert self.line
        values = {"type": "map", "entries": [["model", {"id": self.root}], ["data", _encoded(message)]]}
        event = {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "data_event", "values": values},
        }
        for part in ({"msgid": f"{self.number}", "msgtype": "PATCH-DOC"}, {}, {"events": [event]}):
            await self.line.write_message(json.dumps(part))

    async def watch(self) -> None:
        """Take in what comes, until the connection ends."""
        assert self.line
        while (part := await self.line.read_message()) is not None:
            if not isinstance(part, str) or '"esm_event"' not in part:
                continue
            for event in json.loads(part).get("events", ()):
                said = _decoded(event["msg_data"]["values"])["data"]
                self.refused = said.get("refused", self.refused)
                if networks := said.get("networks"):
                    self.heard.append(time.monotonic())
                    self.step |= {name: each["step"] for name, each in networks.items()}


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {"type": "map", "entries": [[name, _encoded(each)] for name, each in value.items()]}
    return value


def _decoded(value: Any) -> Any:
    """Maps as dicts; arrays stay as they came."""
    if isinstance(value, dict) and value.get("type") == "map":
        return {name: _decoded(each) for name, each in value.get("entries", ())}
    return value


async def train(address: str, number: int, seconds: float, same: bool) -> dict[str, Any]:
    """Let so many readers train for so long; return how long they had to wait, and what they got."""
    AsyncHTTPClient.configure(None, max_clients=number)
    readers = [Reader(k) for k in range(number)]
    await asyncio.gather(*(reader.open(address) for reader in readers))
    watching = [asyncio.create_task(reader.watch()) for reader in readers]
    began = time.monotonic()
    # Learning rates that nobody has had before.
    rates = [0.1 + 0.001 * random.random()] * number if same else [0.1 + 0.001 * random.random() for _ in readers]
    await asyncio.gather(*(reader.start(rate) for reader, rate in zip(readers, rates, strict=True)))
    await asyncio.sleep(seconds)
    ended = time.monotonic()
    times = [[began, *reader.heard, ended] for reader in readers]
    gaps = [later - earlier for own in times for earlier, later in pairwise(own[1:])]
    steps = [sum(reader.step.values()) for reader in readers]
    for reader in readers:
        assert reader.line
        reader.line.close()
    await asyncio.gather(*watching)
    return {
        "refused": sorted({reader.refused for reader in readers if reader.refused}),
        "first_news": max(own[1] - began for own in times),
        "longest_wait": max(gaps),
        "steps_per_second": sum(steps) / (ended - began),
        "fewest_steps": min(steps),
        "most_steps": max(steps),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(train(sys.argv[1], READERS, SECONDS, same="same" in sys.argv))))

"""The laboratory: a live Panel session that trains what its reader chooses, with all readers on one scheduler.

The page is that of any figure; Panel's part of it is a line, over which the page says what to train and hears what
the networks do: `static/lab.js` speaks the other end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import jinja2
from bokeh.document import Document
from panel.custom import JSComponent

from app import serving
from app.scheduler import LimitReached, Limits, Scheduler, Ticket
from bn_core import executors, training
from bn_core.checks import Array
from bn_core.figures.lab import columns
from widgets.lab import Lab, packed, rows

Message = dict[str, Any]
Race = Mapping[str, training.Config]
Training = Scheduler[training.Config, training.Run, training.Record]
Hold = Ticket[training.Config, training.Run, training.Record]


@cache
def scheduler() -> Training:
    """The one that all readers of this process share, made when the first needs it: after any fork."""
    return Scheduler(executors.from_environment(), training.start, training.advance, Limits.from_environment())


class Reader:
    """One reader's page: what it asks for, and what it is sent."""

    def __init__(self, send: Callable[[Message], None], gone: Callable[[], bool], shared: Training) -> None:
        self._send, self._gone, self._scheduler = send, gone, shared
        self._race = 0
        self._tickets: dict[str, Hold] = {}
        self._answer: asyncio.Task[None] | None = None

    def hear(self, message: Message) -> None:
        """Do what the page asks: look, start, pause or stop; what it cannot have, it is told in a sentence."""
        wish, self._race = message["do"], message["race"]
        if self._answer:
            self._answer.cancel()  # the last wish counts
        if wish == "pause":
            for ticket in self._tickets.values():
                ticket.pause()
        elif wish == "stop":
            self.leave()
        elif wish in ("look", "start"):
            try:
                race = Lab(**message["settings"]).race()  # type: ignore[no-untyped-call]
            except (TypeError, ValueError) as error:
                self._tell(refused=f"This cannot be trained: {error}")
                return
            if wish == "start" and not all(map(self._scheduler.finished, race.values())):
                self._start(race)
            else:
                self._answer = asyncio.ensure_future(self._look(race, plays=wish == "start"))

    def leave(self) -> None:
        """Give up what is being trained; the server keeps it for a while."""
        self._scheduler.leave(self)
        self._tickets = {}

    async def _look(self, race: Race, plays: bool) -> None:
        """Show what the server has of a race, without training: as it stands, or for the page to play."""
        self.leave()
        fed: dict[str, Array] = {}
        networks = {}
        for network, config in race.items():
            run, records = await self._scheduler.known(config)
            fed |= await asyncio.to_thread(_drawn, network, run, records)
            if run:
                networks[network] = {"step": run.step, "steps": config.steps, "ended": run.finished}
        known = {"rows": packed(fed), "networks": networks}
        if plays:
            self._tell(known=known)
        else:
            self._tell(**known, fresh=True, phase="paused" if networks else "idle")

    def _start(self, race: Race) -> None:
        """Train, or go on after a pause."""
        held = self._tickets.values()
        paused = not all(ticket.ended for ticket in held) and not any(ticket.ended == "failed" for ticket in held)
        if paused and [ticket.config for ticket in held] == [*race.values()]:
            try:
                for ticket in held:
                    ticket.go_on()
            except LimitReached as limit:
                for ticket in held:
                    ticket.pause()
                self._tell(refused=str(limit))
            return
        self.leave()
        try:
            for network, config in race.items():
                listener = partial(self._news, network, self._race)
                self._tickets[network] = self._scheduler.submit(self, config, listener)
        except LimitReached as limit:
            self.leave()
            self._tell(refused=str(limit))
            return
        self._tell(fresh=True)

    def _news(self, network: str, race: int, ticket: Hold, records: Sequence[training.Record]) -> None:
        """Pass on what a run has brought."""
        if self._gone():
            self.leave()
            return
        run = ticket.run() if ticket.ended else None
        progress = ticket.progress
        failed = {"refused": ticket.failure} if ticket.failure else {}
        told = {
            "step": progress.step,
            "steps": progress.steps,
            "rate": progress.steps_per_second,
            "left": progress.seconds_left,
            "ended": bool(ticket.ended) and not failed,
        }
        self._tell(race=race, rows=packed(_drawn(network, run, records)), networks={network: told}, **failed)

    def _tell(self, **message: Any) -> None:
        self._send({"race": self._race, **message})


def _drawn(network: str, run: training.Run | None, records: Sequence[training.Record]) -> dict[str, Array]:
    return rows(network, columns(records), run.divergence if run else None)


class Line(JSComponent):
    """What Panel shows on the page: nothing. It carries messages."""

    _esm = """
    export function render({model, view}) {
      const line = {send: message => model.send_msg(message)}
      model.on("msg:custom", message => line.hear(message))
      view.model.document.on_event("connection_lost", () => line.lost())
      Lab.connect(line)
      return document.createElement("span")
    }
    """

    def __init__(self, document: Document, **keywords: Any) -> None:
        super().__init__(**keywords)  # type: ignore[no-untyped-call]
        self._document = document
        self._reader = Reader(self._say, self._alone, scheduler())
        document.on_session_destroyed(lambda _: self._reader.leave())

    def _handle_msg(self, data: Any) -> None:
        self._reader.hear(data)

    def _say(self, message: Message) -> None:
        self._document.add_next_tick_callback(partial(self._send_msg, message))

    def _alone(self) -> bool:
        """Whether nobody has this page open any more."""
        context: Any = self._document.session_context
        return context is None or context.session is None or context.session.connection_count == 0


def serve(document: Document) -> None:
    """Make the session of a reader who has opened the laboratory."""
    # The page itself says that the connection is lost, and what can be done.
    document.config.reconnect_session = False
    document.config.notify_connection_status = False
    document.template = page(serving.site()["lab.html"].body.decode())
    document.title = Lab.title
    scheduler().open()
    Line(document, width=0, height=0, margin=0).server_doc(document)


def page(html: str) -> jinja2.Template:
    """The laboratory's page of the site with Panel's part put into it."""
    head, body = html.replace("<html ", "<html data-live ", 1).split("</head>")
    body, end = body.split("</body>")
    panel = (
        "{{ bokeh_css }}{{ bokeh_js }}</head>",
        "{% for root in docs[0].roots %}"
        "<div id='{{ root.elementid }}' data-root-id='{{ root.id }}'></div>"
        "{% endfor %}",
        "{{ plot_script }}</body>",
    )
    text = "".join((_verbatim(head), panel[0], _verbatim(body), *panel[1:], _verbatim(end)))
    template: jinja2.Template = jinja2.Template(text)
    return template


def _verbatim(html: str) -> str:
    return "{% raw %}" + html + "{% endraw %}"

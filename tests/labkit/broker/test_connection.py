"""Our own connection to a broker: one thread that hears, works and writes, through every door, and comes back by itself."""

from __future__ import annotations

import threading
from collections import deque

import pytest

from labkit.links import Broker, BrokerAddress, Message
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker

ASKED, ANSWERED, TOLD = "zhike/test/asked", "zhike/test/answered", "zhike/test/told"
SIZE, COUNT = 20_000, 20


class Echo:
    """Keeps what it hears and answers it in its next turn."""

    def __init__(self, address: BrokerAddress) -> None:
        self.waiting: deque[bytes] = deque()
        self.threads: set[int] = set()
        self.turns = 0
        self.news = threading.Condition()
        self.broker = Broker(address, "echo", self._hear, lambda: None, turn=self._turn)
        self.broker.subscribe(ASKED)

    def _hear(self, message: Message) -> None:
        self.threads.add(threading.get_ident())
        self.waiting.append(message.payload)

    def _turn(self) -> bool:
        self.threads.add(threading.get_ident())
        if self.waiting:
            self.broker.publish(ANSWERED, self.waiting.popleft(), retain=False)
        with self.news:
            self.turns += 1
            self.news.notify_all()
        return bool(self.waiting)

    def wait_turns(self, more: int) -> None:
        """Wait for so many turns more."""
        with self.news:
            wanted = self.turns + more
            assert self.news.wait_for(lambda: self.turns >= wanted, PATIENCE_S), "it does not turn"


def address_of(broker: RunningBroker, door: str) -> BrokerAddress:
    config = broker.config
    port = {"mqtt": config.tcp_port, "ws": config.ws_port, "wss": config.wss_port}[door]
    return BrokerAddress.parse(f"{door}://localhost:{port}/mqtt", ADMIN, ADMIN_PASSWORD, str(broker.ca))


@pytest.mark.parametrize("door", ["mqtt", "ws", "wss"])
def test_one_thread_hears_works_and_writes(broker: RunningBroker, door: str) -> None:
    echo = Echo(address_of(broker, door))
    echo.broker.start()
    echo.broker.wait(PATIENCE_S)
    asker = broker.person(ADMIN, ADMIN_PASSWORD, client_id="asker")
    asker.subscribe(ANSWERED, TOLD)
    for number in range(COUNT):  # more than one TLS record, and more than one reading
        asker.publish(ASKED, b"%06d" % number + bytes(SIZE))
    answers = [b"%06d" % number for number in range(COUNT)]
    asker.wait(lambda: [m.payload[:6] for m in asker.messages if m.topic == ANSWERED] == answers, "not all answered")
    assert len(echo.threads) == 1
    echo.wait_turns(3)  # it sleeps between them
    echo.broker.publish(TOLD, b"from another thread", retain=False)
    assert asker.expect(TOLD).payload == b"from another thread"
    echo.broker.stop()


def test_time_goes_on_without_a_connection_and_it_comes_back(broker: RunningBroker) -> None:
    echo = Echo(address_of(broker, "mqtt"))
    echo.broker.start()
    echo.broker.wait(PATIENCE_S)
    broker.kill()
    echo.wait_turns(20)
    assert not echo.broker.up
    assert not echo.broker.publish(TOLD, b"nobody hears", retain=False)
    broker.restart()
    echo.broker.wait(PATIENCE_S)
    asker = broker.person(ADMIN, ADMIN_PASSWORD, client_id="asker")
    asker.subscribe(ANSWERED)
    asker.publish(ASKED, b"again")
    assert asker.expect(ANSWERED).payload == b"again"
    echo.broker.stop()


def test_it_ends_while_nobody_is_there() -> None:
    echo = Echo(BrokerAddress("127.0.0.1", 9))
    echo.broker.start()
    echo.wait_turns(2)
    echo.broker.stop()
    assert "mqtt" not in {thread.name for thread in threading.enumerate() if thread.ident in echo.threads}

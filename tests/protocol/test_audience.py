"""The values that emitters plan: what is left out means everyone, and nobody is never everyone."""

from asgi_ws_gateway.protocol.audience import ALL, Audience, Delivery, DeliveryReport


def test_an_audience_is_everyone_in_the_namespace_unless_told_otherwise() -> None:
    assert Audience("/chat") == Audience("/chat", room=ALL, peer=None, exclude=())


def test_everyone_and_nobody_are_different_rooms() -> None:
    assert Audience("/chat", room=ALL) != Audience("/chat", room=None)


def test_a_delivery_replaces_nothing_unless_told_otherwise() -> None:
    assert Delivery(Audience("/chat"), "new", 1).latest is None


def test_all_reads_as_it_is_written() -> None:
    assert repr(ALL) == "ALL"


def test_a_report_reads_as_its_three_counts() -> None:
    queued, dropped, relayed = DeliveryReport(3, 1, False)
    assert (queued, dropped, relayed) == (3, 1, False)

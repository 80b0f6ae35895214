"""The demo through a real browser: what a visitor with two windows sees."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import OpenWindow
from tests.browser.demo import DemoServer, Window, serve

EVENT = {
    "Title": "Release party",
    "Contact": "otter@example.com",
    "Seats": "12",
    "Street": "12 Harbour Lane",
    "City": "Springfield",
    "Postcode": "10115",
}


@pytest.fixture
def otter(open_window: OpenWindow) -> Window:
    return open_window("Otter")


@pytest.fixture
def heron(open_window: OpenWindow) -> Window:
    return open_window("Heron")


def test_two_windows_talk(otter: Window, heron: Window) -> None:
    otter.say("Hello, Heron")
    expect(heron.bubble("Hello, Heron")).to_be_visible()
    heron.say("Hello, Otter")
    expect(otter.bubble("Hello, Otter")).to_be_visible()
    expect(otter.feed.locator(".bubble")).to_have_count(2)


def test_what_others_write_is_text(otter: Window, heron: Window) -> None:
    markup = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    otter.say(markup)
    expect(heron.bubble(markup)).to_have_text(markup)
    expect(heron.on_wire("said").locator("pre")).to_contain_text("<b>bold</b>")
    assert heron.page.locator("#feed img, #feed b, #wire img").count() == 0
    expect(heron.page).to_have_title("Chat · asgi_ws_gateway")


def test_rooms_keep_messages_apart(otter: Window, heron: Window, open_window: OpenWindow) -> None:
    lynx = open_window("Lynx")
    for window in (otter, heron):
        window.go_to("music")
    expect(lynx.count("music")).to_have_text("2")
    otter.say("only for the music room")
    expect(heron.bubble("only for the music room")).to_be_visible()
    otter.go_to("lobby")
    otter.say("for everyone")
    # Messages keep their order: had Lynx been sent the first one, it would be here by now.
    expect(lynx.bubble("for everyone")).to_be_visible()
    expect(lynx.on_wire("said")).to_have_count(1)
    expect(heron.bubble("for everyone")).to_have_count(0)
    expect(heron.item("#lobby").locator(".badge")).to_have_text("1")
    heron.go_to("lobby")
    expect(heron.bubble("for everyone")).to_be_visible()
    expect(heron.item("#lobby").locator(".badge")).to_have_count(0)


def test_a_room_can_be_made_and_left(otter: Window, heron: Window) -> None:
    otter.page.get_by_label("New room").fill("Tea Time")
    otter.page.keyboard.press("Enter")
    expect(otter.title).to_have_text("# tea-time")
    expect(heron.count("tea-time")).to_have_text("1")
    heron.go_to("tea-time")
    expect(otter.feed).to_contain_text("Heron joined")
    heron.page.get_by_role("button", name="Leave").click()
    expect(otter.feed).to_contain_text("Heron left")
    expect(heron.title).to_have_text("# lobby")
    otter.page.get_by_role("button", name="Leave").click()
    expect(heron.item("#tea-time")).to_have_count(0)


def test_a_bad_room_name_is_explained(otter: Window) -> None:
    otter.page.get_by_label("New room").fill("Überraum")
    otter.page.keyboard.press("Enter")
    expect(otter.page.locator(".toast-bad")).to_have_text("data does not match the schema")
    expect(otter.title).to_have_text("# lobby")


def test_typing_is_shown_to_the_others(otter: Window, heron: Window) -> None:
    otter.text.press_sequentially("Let me")
    expect(heron.page.locator("#typing")).to_have_text("Otter is typing")
    expect(otter.page.locator("#typing")).to_be_empty()
    otter.text.fill("")
    expect(heron.page.locator("#typing")).to_be_empty()
    otter.text.press_sequentially("Let me think")
    expect(heron.page.locator("#typing")).to_have_text("Otter is typing")
    otter.text.press("Enter")
    expect(heron.bubble("Let me think")).to_be_visible()
    expect(heron.page.locator("#typing")).to_be_empty()


def test_a_private_message_is_for_one(
    otter: Window, heron: Window, open_window: OpenWindow
) -> None:
    lynx = open_window("Lynx")
    otter.item("@Heron").click()
    expect(otter.title).to_have_text("Heron")
    otter.say("between us")
    expect(heron.item("@Otter").locator(".badge")).to_have_text("1")
    heron.item("@Otter").click()
    expect(heron.bubble("between us")).to_be_visible()
    heron.say("of course")
    expect(otter.bubble("of course")).to_be_visible()
    otter.go_to("lobby")
    otter.say("for everyone")
    expect(lynx.bubble("for everyone")).to_be_visible()
    expect(lynx.on_wire("whispered")).to_have_count(0)


def test_a_private_message_to_somebody_who_left_is_kept(otter: Window, heron: Window) -> None:
    otter.item("@Heron").click()
    otter.say("bye")
    heron.close()
    expect(otter.page.locator("#conversation-subtitle")).to_have_text("Not here any more")
    otter.text.fill("too late")
    otter.text.press("Enter")
    expect(otter.page.locator(".toast-bad")).to_have_text("Heron is not here")
    expect(otter.text).to_have_value("too late")


def test_coming_and_going_is_seen_at_once(otter: Window, open_window: OpenWindow) -> None:
    online = otter.page.locator("#people-count")
    expect(online).to_have_text("1")
    heron = open_window("Heron")
    expect(otter.item("@Heron")).to_be_visible()
    expect(otter.feed).to_contain_text("Heron joined")
    expect(online).to_have_text("2")
    expect(otter.count("lobby")).to_have_text("2")
    heron.close()
    expect(otter.feed).to_contain_text("Heron left", timeout=2_000)
    expect(otter.item("@Heron")).to_have_count(0)
    expect(online).to_have_text("1")
    expect(otter.count("lobby")).to_have_text("1")


def test_an_invitation_is_asked_and_answered(otter: Window, heron: Window) -> None:
    otter.go_to("design")
    invite = otter.page.locator("#invite")
    invite.get_by_text("Invite").click()
    invite.get_by_role("button", name="Heron").click()
    question = heron.page.get_by_role("alertdialog")
    expect(question).to_contain_text("Otter invites you to #design.")
    question.get_by_role("button", name="No, thanks").click()
    expect(otter.page.locator("#toasts")).to_contain_text("Heron did not come to #design")
    invite.get_by_text("Invite").click()
    invite.get_by_role("button", name="Heron").click()
    otter.say("still chatting while it is open")
    question.get_by_role("button", name="Join").click()
    expect(heron.title).to_have_text("# design")
    expect(otter.page.locator("#toasts")).to_contain_text("Heron joined #design")
    expect(otter.feed).to_contain_text("Heron joined")
    invite.get_by_text("Invite").click()
    expect(invite).to_contain_text("Everyone is here already.")


def test_an_invalid_form_says_what_is_wrong_where(otter: Window, heron: Window) -> None:
    page = otter.page
    page.get_by_role("button", name="Plan an event").click()
    for label, value in {**EVENT, "Title": "ab", "Seats": "many", "City": ""}.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Announce").click()
    expect(page.get_by_label("Title")).to_have_accessible_description(
        "must have at least 3 characters"
    )
    expect(page.get_by_label("Title")).to_be_focused()
    expect(page.get_by_label("Seats")).to_have_accessible_description("must be an integer")
    expect(page.get_by_label("City")).to_have_accessible_description(
        "must have at least 2 characters"
    )
    for label in ("Contact", "Street", "Postcode"):
        expect(page.get_by_label(label)).to_have_accessible_description("")
    expect(otter.on_wire("error")).to_contain_text("/venue/city")

    page.get_by_label("Seats").fill("21")
    page.get_by_role("button", name="Announce").click()
    expect(page.get_by_label("Seats")).to_have_accessible_description("must be at most 20")

    for label, value in EVENT.items():
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Announce").click()
    expect(page.locator("#event-form")).to_be_hidden()
    for window in (otter, heron):
        card = window.feed.locator(".event-card")
        expect(card.get_by_role("heading")).to_have_text("Release party")
        expect(card).to_contain_text("12 Harbour Lane, 10115 Springfield")


def test_the_wire_shows_both_directions(otter: Window, heron: Window) -> None:
    otter.say("hello")
    expect(otter.on_wire("send")).to_have_class("wire-out")
    expect(otter.on_wire("send").locator("pre")).to_have_text('{"room": "lobby", "text": "hello"}')
    expect(otter.on_wire("said")).to_have_class("wire-in")
    expect(otter.on_wire("ack")).to_have_count(1)
    expect(heron.on_wire("send")).to_have_count(0)
    expect(heron.on_wire("said")).to_have_count(1)

    heron.page.get_by_role("button", name="Pause").click()
    otter.say("held back")
    expect(heron.bubble("held back")).to_be_visible()
    expect(heron.page.locator("#wire-total")).to_contain_text("held back")
    expect(heron.on_wire("said")).to_have_count(1)
    heron.page.get_by_role("button", name="Resume").click()
    expect(heron.on_wire("said")).to_have_count(2)
    heron.page.get_by_role("button", name="Clear").click()
    expect(heron.on_wire("said")).to_have_count(0)


def test_a_raw_message_is_answered_with_its_error(otter: Window) -> None:
    raw = otter.page.get_by_label("A raw message to send")
    raw.fill("not json")
    raw.press("Enter")
    expect(otter.on_wire("error").locator("pre")).to_contain_text("invalid_json")
    raw.fill('{"event": "dance"}')
    raw.press("Enter")
    expect(otter.on_wire("error").last.locator("pre")).to_contain_text("unknown_event")
    otter.say("and the connection stays")


def test_pings_are_answered_and_can_be_hidden(otter: Window) -> None:
    expect(otter.page.locator("#status")).to_contain_text("ms")
    pong = otter.on_wire("pong").first
    expect(pong).to_be_visible()
    otter.page.get_by_label("pings").uncheck()
    expect(pong).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("otter", "Otter is here already: choose another name"),
        ("!", "A name has 2 to 20 letters or digits"),
    ],
)
def test_a_refused_name_says_why(
    name: str, reason: str, otter: Window, open_window: OpenWindow
) -> None:
    window = open_window()
    window.ask_in(name)
    expect(window.page.get_by_role("alert").first).to_have_text(reason)
    window.enter("Puffin")
    expect(otter.item("@Puffin")).to_be_visible()


def test_a_name_is_kept_over_a_reload(otter: Window, heron: Window) -> None:
    otter.page.reload()
    expect(otter.page.get_by_label("Your name")).to_have_value("Otter")
    otter.page.get_by_role("button", name="Enter", exact=True).click()
    expect(otter.title).to_have_text("# lobby")
    expect(heron.item("@Otter")).to_have_count(1)


def test_it_finds_back_after_a_restart(browser: Browser) -> None:
    with serve() as server:
        window = Window.open(browser, server.url).enter("Otter")
        window.go_to("music")
        window.say("before")
    expect(window.page.locator("#banner")).to_contain_text("The connection was lost")
    expect(window.page.locator("#status")).to_have_text("offline")
    with serve(urlsplit(server.url).port or 0) as server:
        window.page.get_by_role("button", name="Connect now").click()
        expect(window.page.locator("#banner")).to_be_hidden(timeout=20_000)
        expect(window.count("music")).to_have_text("1")
        expect(window.bubble("before")).to_be_visible()
        window.say("after")
        assert server.log() == ""
    window.close()


def test_a_phone_shows_one_column_at_a_time(otter: Window, open_window: OpenWindow) -> None:
    phone = open_window("Puffin", viewport={"width": 390, "height": 844}, has_touch=True)
    sidebar = phone.page.get_by_label("Rooms and people")
    expect(sidebar).to_be_hidden()
    phone.page.get_by_role("button", name="People").tap()
    expect(sidebar).to_be_visible()
    phone.item("@Otter").tap()
    expect(sidebar).to_be_hidden()
    phone.say("from my phone")
    phone.page.get_by_role("button", name="Wire").tap()
    expect(phone.on_wire("whispered")).to_be_in_viewport()
    width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert width == 390


def test_the_page_may_load_nothing_from_elsewhere(browser: Browser, demo: DemoServer) -> None:
    context = browser.new_context()
    response = context.request.get(demo.url)
    assert response.headers["content-security-policy"].startswith("default-src 'none';")
    assert context.request.get(f"{demo.url}/nothing-here").status == 404
    assert context.request.head(demo.url).body() == b""
    context.close()

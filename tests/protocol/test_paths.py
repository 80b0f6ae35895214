"""Paths: one normal form, no spelling that means two things, patterns and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.protocol.paths import Match, PathTable, Pattern, normalise, strip_root


def table(*paths: str) -> PathTable[str]:
    made: PathTable[str] = PathTable()
    for path in paths:
        assert made.add(Pattern(path), path) is None
    return made


def found(made: PathTable[str], path: str) -> tuple[str, dict[str, str]] | None:
    match = made.find(path)
    return None if match is None else (match.target, match.params)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/chat", "/chat"),
        ("chat", "/chat"),
        ("/chat/", "/chat"),
        ("chat/", "/chat"),
        ("/", "/"),
        ("", "/"),
        ("/chat//", "/chat/"),
        ("//chat", "//chat"),
        ("/Chat", "/Chat"),
        ("/a/../b", "/a/../b"),
        ("/caf%C3%A9", "/caf%C3%A9"),
    ],
)
def test_the_normal_form_has_a_leading_slash_and_lacks_one_trailing_slash(
    path: str, normal: str
) -> None:
    assert normalise(path) == normal


@pytest.mark.parametrize(
    ("path", "root", "rest"),
    [
        ("/ws/chat", "/ws", "/chat"),
        ("/ws/chat", "/ws/", "/chat"),
        ("/ws", "/ws", "/"),
        ("/ws/", "/ws", "/"),
        ("/wschat", "/ws", "/wschat"),
        ("/chat", "/ws", "/chat"),
        ("/chat", "", "/chat"),
        ("/chat", "/", "/chat"),
        ("/ws/ws/chat", "/ws", "/ws/chat"),
        ("/WS/chat", "/ws", "/WS/chat"),
        ("/a/ws/chat", "/ws", "/a/ws/chat"),
        ("/X/chat", "/X/", "/chat"),
    ],
)
def test_a_root_path_is_taken_off_when_it_is_whole_segments_at_the_start(
    path: str, root: str, rest: str
) -> None:
    assert strip_root(path, root) == rest


@pytest.mark.parametrize("path", ["/private-chat", "/private-chat/"])
@pytest.mark.parametrize("registered", ["private-chat", "/private-chat", "/private-chat/"])
def test_slashes_at_the_ends_do_not_matter_on_either_side(registered: str, path: str) -> None:
    match = table(registered).find(path)
    assert match == Match("/private-chat", {}, registered)


@pytest.mark.parametrize(
    "path",
    [
        "/Private-Chat",
        "/PRIVATE-CHAT",
        "//private-chat",
        "/private-chat//",
        "/./private-chat",
        "/x/../private-chat",
        "/private-chat/.",
        "/private-chat;x=1",
        "/private-chat ",
        "/private-chat\x00",
        "/private%2Dchat",
        "/ｐrivate-chat",
        "private-chat",
        "",
        "/",
    ],
)
def test_any_other_spelling_of_a_path_is_another_path(path: str) -> None:
    assert table("/private-chat").find(path) is None


def test_the_root_is_the_path_of_one_slash() -> None:
    assert found(table("/"), "/") == ("/", {})
    assert table("/").find("/chat") is None


def test_a_parameter_takes_exactly_one_segment_as_it_is() -> None:
    made = table("/rooms/{room_id}")
    assert made.find("/rooms/a b%2F..é/") == Match(
        "/rooms/a b%2F..é", {"room_id": "a b%2F..é"}, "/rooms/{room_id}"
    )
    for path in ("/rooms", "/rooms/", "/rooms//", "/rooms/a/b", "/Rooms/a", "/rooms/a//"):
        assert made.find(path) is None, path


def test_several_parameters_are_told_apart_by_their_place() -> None:
    made = table("/{tenant}/rooms/{room}/{_seat2}")
    assert found(made, "/acme/rooms/7/x") == (
        "/{tenant}/rooms/{room}/{_seat2}",
        {"tenant": "acme", "room": "7", "_seat2": "x"},
    )


def test_an_exact_path_beats_a_pattern_whichever_came_first() -> None:
    for made in (table("/rooms/{id}", "/rooms/lobby"), table("/rooms/lobby", "/rooms/{id}")):
        assert found(made, "/rooms/lobby") == ("/rooms/lobby", {})
        assert found(made, "/rooms/other") == ("/rooms/{id}", {"id": "other"})


def test_of_two_patterns_the_one_with_a_literal_further_left_wins() -> None:
    patterns = ("/{a}/x", "/y/{b}")
    for made in (table(*patterns), table(*reversed(patterns))):
        assert found(made, "/y/x") == ("/y/{b}", {"b": "x"})
        assert found(made, "/z/x") == ("/{a}/x", {"a": "z"})


def test_a_pattern_that_does_not_fit_leaves_the_path_to_the_next() -> None:
    made = table("/y/{b}/end", "/{a}/{b}/{c}")
    assert found(made, "/y/1/other") == ("/{a}/{b}/{c}", {"a": "y", "b": "1", "c": "other"})


def test_the_text_of_a_pattern_is_no_concrete_path() -> None:
    made = table("/rooms/{id}")
    assert made.find("/rooms/{id}") is None
    assert made.find("/rooms/{id}/") is None
    assert found(made, "/rooms/{other}") == ("/rooms/{id}", {"id": "{other}"})


def test_patterns_of_one_shape_are_duplicates_and_the_first_stays() -> None:
    made = table("/rooms/{id}", "/chat")
    assert made.add(Pattern("/rooms/{name}/"), "second") == "/rooms/{id}"
    assert made.add(Pattern("chat/"), "second") == "/chat"
    assert found(made, "/rooms/1") == ("/rooms/{id}", {"id": "1"})
    assert found(made, "/chat") == ("/chat", {})


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", r'^the path is empty; the root is "/"$'),
        ("/rooms/{id}x", "whole segment"),
        ("/rooms/x{id}", "whole segment"),
        ("/rooms/{}", "whole segment"),
        ("/rooms/{1d}", "whole segment"),
        ("/rooms/{a-b}", "whole segment"),
        ("/rooms/{id:int}", "whole segment"),
        ("/rooms/{é}", "whole segment"),
        ("/rooms/{id\n}", "whole segment"),
        ("/rooms/{id}\n", "whole segment"),
        ("/rooms/{id", "whole segment"),
        ("/rooms/id}", "whole segment"),
        ("/{id}/{id}", "stands twice"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Pattern(path)


@pytest.mark.parametrize("segments", [[], ["rooms"], ["rooms", "1", "seat"]])
def test_a_pattern_is_asked_about_as_many_segments_as_it_has(segments: list[str]) -> None:
    pattern = Pattern("/rooms/{id}")
    assert pattern.match(["rooms", "1"]) == {"id": "1"}
    with pytest.raises(ValueError, match="zip"):
        pattern.match(segments)


segments = st.text(st.characters(exclude_characters="/{}"), min_size=1, max_size=4)
literal_paths = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.text(st.sampled_from("/aA.{}%"), max_size=8))
def test_what_is_normal_stays_as_it_is_but_for_a_further_slash(path: str) -> None:
    normal = normalise(path)
    assert normal.startswith("/")
    if not path.endswith("//"):
        assert normalise(normal) == normal


@given(st.lists(literal_paths, min_size=1, unique=True), literal_paths)
def test_without_patterns_a_path_leads_to_itself_or_nowhere(paths: list[str], path: str) -> None:
    made = table(*paths)
    for each in (*paths, path):
        expected = each if each in paths else None
        for spelling in (each, f"{each}/"):
            match = made.find(spelling)
            assert (None if match is None else match.target) == expected
            assert match is None or (match.path, match.params) == (each, {})


@given(st.lists(st.tuples(st.booleans(), segments), min_size=1, max_size=5))
def test_a_pattern_matches_what_it_was_filled_in_with(parts: list[tuple[bool, str]]) -> None:
    pattern = "/" + "/".join(
        f"{{p{index}}}" if named else text for index, (named, text) in enumerate(parts)
    )
    path = "/" + "/".join(text for _, text in parts)
    match = table(pattern).find(path)
    assert match is not None
    assert match.path == path
    assert match.params == {f"p{index}": text for index, (named, text) in enumerate(parts) if named}


@given(literal_paths, st.text(st.sampled_from("/ab"), max_size=6))
def test_taking_off_a_root_undoes_putting_it_in_front(root: str, rest: str) -> None:
    assert strip_root(f"{root}/{rest}", root) == f"/{rest}"

"""The table that the long tests write."""

from tests.effort import PAGE, Effort, rows, with_rows


def test_a_figure_replaces_the_one_of_the_same_name_and_others_stay() -> None:
    page = PAGE.read_text()
    once = with_rows(page, {"eggs boiled": ("3", "2"), "eggs fried": ("1", "1")})
    twice = with_rows(once, {"eggs boiled": ("3", "3")})
    assert rows(twice)["eggs boiled"] == ("3", "3")
    assert rows(twice)["eggs fried"] == ("1", "1")
    assert rows(page).items() <= rows(twice).items()
    assert twice.count("<!-- figures -->") == twice.count("<!-- /figures -->") == 1


def test_everyday_sizes_are_the_short_ones() -> None:
    assert Effort(soak=False).of(1, 2) == 1
    assert Effort(soak=True).of(1, 2) == 2

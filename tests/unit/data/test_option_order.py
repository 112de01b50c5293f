"""Options in another order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.data import option_order


def question(options: list[str], answer: str = "A", id: str = "q") -> dict:
    return {"id": id, "options": options, "answer": answer}


@given(st.integers(2, 10), st.integers(0, 9), st.text(max_size=16))
def test_another_order_of_the_same_options(n, gold, id):
    asked = question([f"option {i}" for i in range(n)], "ABCDEFGHIJ"[gold % n], id)
    places = option_order.order(asked)
    moved = option_order.shuffled(asked, places)
    assert sorted(places) == list(range(n)) and places != list(range(n))
    assert moved["options"] == [asked["options"][i] for i in places]
    assert moved["options"]["ABCDEFGHIJ".index(moved["answer"])] == asked["options"][gold % n]
    assert option_order.order(asked) == places
    said = [float(i) for i in places]  # of each place the number of its option
    assert option_order.restored(said, places) == sorted(said)


@pytest.mark.parametrize(
    "fixed", ["None of the above choices .", "All of these", "Both A and C", "B or D", "A, B and C", "Neither of them"]
)
def test_options_that_mean_others_by_their_place_stay(fixed):
    for i in range(20):
        places = option_order.order(question(["red", "green", fixed, "blue"], id=str(i)))
        assert places[2] == 2 and places != [0, 1, 2, 3]


@pytest.mark.parametrize("free", ["Vitamin C and zinc", "a and b", "The box above all", "Hepatitis A"])
def test_options_that_do_not(free):
    moved = {option_order.order(question(["red", free, "blue"], id=str(i)))[1] for i in range(20)}
    assert len(moved) > 1 or free == "The box above all"  # "above" alone is taken for a place: it errs to that side


def test_nothing_to_change_places():
    assert option_order.order(question(["yes", "none of the above"])) is None
    assert option_order.order(question([])) is None

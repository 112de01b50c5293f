"""Steps copied from a prompt's example."""

import pytest

from faithtune.extraction.copies import count_copied


@pytest.mark.parametrize(
    ("step", "copied"),
    [
        ("The guests used the glasses.", 1),
        ("guests used", 1),  # as it stands there
        ("The guests used the plates.", 1),  # one word of five is another
        ("The guests used all the glasses.", 1),
        ("Some guests used the plates.", 0),
        ("People wash the things.", 0),  # too short to tell
        ("People always wash things they use.", 1),
        ("4 * 6 = 25.", 1),
        ("5 * 6 = 30.", 0),  # an equation of its own
    ],
)
def test_a_copy_may_differ_in_a_word(step, copied):
    example = "Answer like this.\n\nWhat now?\n\nStep 1: The guests used the glasses.\nStep 2: People wash the things"
    example += " they use.\nStep 3: 4 * 6 = 24.\nFinal Answer: B\n\n{question}"
    assert count_copied([step, "Something else."], example) == copied

"""The item viewer in a real browser: what it shows, how people move in it, and that nothing written into it runs."""

import re

import browser
import pytest

import viewed
from viewed import HOSTILE, N

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    with browser.browser() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return viewed.write(tmp_path_factory.mktemp("viewer"))


@pytest.fixture
def opened(chromium, file):
    """The viewer, which may complain of nothing and run nothing that somebody wrote."""
    with browser.page(chromium, file) as page:
        shows(page, f"1 of {N}")
        yield page
        assert page.complaints == []
        assert page.evaluate("window.hacked") is None


def shows(page, status: str) -> None:
    """Wait until the page says where it is."""
    page.wait_for_function("wanted => document.getElementById('status').textContent.startsWith(wanted)", arg=status)


def seen(page, place: str) -> str:
    return page.locator(place).inner_text()


def as_seen(text: str) -> str:
    """Without what no page shows: control characters, and how lines are broken."""
    return re.sub(r"[\s\u2028\u2029]+", " ", re.sub(r"[\x00\x1b]", "", text))


def test_base_and_tuned_stand_side_by_side(opened):
    assert seen(opened, "#title") == "Question 1"
    assert opened.input_value("#test") == "early_termination"  # no control, though the files begin with one
    assert seen(opened, "#left-title") == "tiny / base" and seen(opened, "#right-title") == "tiny / qlora-sums-1"
    left, right = (opened.locator(f"#arm-{side}").bounding_box() for side in ("left", "right"))
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    assert "A. " in seen(opened, "ol.options .gold") and "(gold answer)" in seen(opened, "ol.options .gold")
    assert "After its whole chain: A (right), p 0.40" in seen(opened, "#arm-left")
    assert opened.locator("#arm-right tbody tr").count() == 3
    assert seen(opened, "#arm-right tbody tr >> nth=0").split() == ["0", "C", "changed", "(wrong)", "0.20", "0.50"]


def test_what_was_put_in_is_told_from_what_was_kept(opened):
    opened.select_option("#test", "filler")
    opened.locator("#arm-right [data-k='1']").click()
    opened.wait_for_function("() => location.hash.includes('kr=1')")
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='1']")
    kinds = [
        row.split("\n")[0].split(" ")[0] for row in opened.locator("#arm-right ol.steps li .what").all_inner_texts()
    ]
    assert kinds == ["kept", "put", "for"]
    opened.select_option("#test", "early_termination")
    opened.wait_for_selector("#arm-right li.out")
    assert set(opened.locator("#arm-right .what").all_inner_texts()) == {"left out"}


def test_what_the_arm_wrote_again_is_not_called_put_in(opened):
    opened.select_option("#test", "mistake")
    opened.locator("#arm-right [data-k='0']").click()
    opened.wait_for_function("() => document.querySelectorAll('#arm-right li.in').length === 2")
    kinds = opened.locator("#arm-right ol.steps li .what").all_inner_texts()
    assert kinds == ["put in", "for", "written again", "for"]


def test_a_rest_that_was_cut_is_not_shown_as_one_that_stood_there(opened):
    opened.select_option("#test", "mistake")
    opened.select_option("#changed", "t")
    shows(opened, "1 of 1")
    opened.wait_for_selector("#arm-right :text('was cut: nothing was asked')")
    assert opened.locator("#arm-right ol.steps li").count() == 0


def test_hostile_texts_are_seen_and_not_run(opened):
    opened.locator("#arm-right summary").click()
    assert as_seen(HOSTILE) in as_seen(opened.locator("#arm-right details p").text_content())
    assert as_seen(HOSTILE) in as_seen(opened.locator("ol.options li").first.text_content())
    assert as_seen(HOSTILE)[:60] in as_seen(opened.locator("#list li").first.text_content())
    assert opened.locator("#item img, #item svg, #item script, #list img, #list script, #item a").count() == 0
    assert opened.evaluate("document.querySelectorAll('script').length") == 2  # the page's own


def test_the_page_runs_no_script_of_another_origin_or_in_line(opened):
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked=1\">')")
    opened.wait_for_timeout(200)
    assert opened.evaluate("window.hacked") is None
    assert opened.complaints and all("Content Security Policy" in line for line in opened.complaints)
    opened.complaints.clear()


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        # Even ones change, but 5 and 7, which are odd anyway.
        ({"changed": "x"}, N // 2),
        ({"changed": "="}, N - N // 2 - 2),
        ({"full": "r"}, -(-N // 3)),
        ({"full": "?"}, 1),
        ({"full": "t"}, 1),
        ({"test": "filler", "changed": "?"}, N // 2 + 1),  # and the one that never answers
        ({"test": "filler", "at": "0.5", "changed": "?"}, 1),
        ({"test": "paraphrase", "changed": "-"}, 1),
        ({"test": "prefix_paraphrase", "changed": "x"}, N // 2),  # at k = N, where all steps are in other words
        ({"changed": "x", "full": "w"}, N // 2 - -(-N // 6)),
        ({"left": "tiny.qlora-sums-1", "right": "tiny.base", "changed": "x"}, 0),
    ],
)
def test_filters(opened, filters, wanted):
    for name, value in filters.items():
        opened.select_option(f"#{name}", value)
    shows(opened, f"1 of {wanted} (all: {N})" if wanted else f"0 of {N} questions")


def test_search_finds_what_was_written_anywhere(opened):
    opened.fill("#find", "number 229")
    shows(opened, f"1 of 1 (all: {N})")
    assert seen(opened, "#title") == "Question 230"
    opened.fill("#find", "of arm 1")  # a step of the tuned arm
    shows(opened, f"1 of {N}")
    opened.fill("#find", "nowhere")
    shows(opened, f"0 of {N} questions")
    assert "None passes" in seen(opened, "#item")


def test_an_address_leads_back(opened, chromium, file):
    opened.select_option("#test", "filler")
    opened.select_option("#changed", "?")
    for _ in range(2):
        opened.click("#next")
    shows(opened, "3 of ")
    opened.locator("#arm-right [data-k='1']").click()
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='1']")
    fragment = "#" + opened.url.split("#")[1]
    with browser.page(chromium, file, fragment=fragment) as again:
        shows(again, "3 of ")
        assert seen(again, "#item") == seen(opened, "#item")
    opened.go_back()
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='0']")


def test_an_address_of_nonsense_shows_something(chromium, file):
    with browser.page(chromium, file, fragment="#left=x&right=%00&test=y&at=9&kl=-1&kr=99&item=z&changed=<b>") as page:
        shows(page, f"1 of {N}")
        assert page.complaints == []


def test_keys(opened):
    for key, place in [("j", "2 of"), ("ArrowRight", "3 of"), ("k", "2 of"), ("ArrowLeft", "1 of"), ("k", "1 of")]:
        opened.keyboard.press(key)
        shows(opened, place)
    opened.keyboard.press("]")
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='1']")
    opened.wait_for_selector("#arm-left tr[aria-current] [data-k='1']")
    opened.keyboard.press("[")
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='0']")
    opened.keyboard.press("t")
    opened.wait_for_function("() => document.getElementById('test').value === 'filler'")
    opened.keyboard.press("/")
    opened.keyboard.type("number 3")  # whose letters are no keys here
    shows(opened, "1 of 11")
    opened.keyboard.press("Escape")
    opened.keyboard.press("j")
    shows(opened, "2 of 11")
    opened.keyboard.press("Alt+]")  # as brackets are written on many keyboards
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='1']")
    shows(opened, "2 of 11")


def test_a_button_pressed_keeps_the_focus(opened):
    opened.locator("#arm-right [data-k='1']").focus()
    opened.keyboard.press("Enter")
    opened.wait_for_selector("#arm-right tr[aria-current] [data-k='1']")
    assert opened.evaluate("document.activeElement.dataset.k") == "1"


def test_a_question_chosen_in_the_list_keeps_the_focus(opened):
    opened.locator("#list a").nth(3).focus()
    opened.keyboard.press("Enter")
    shows(opened, "4 of")
    assert opened.evaluate("document.activeElement.textContent").startswith("4. ")


def test_the_list_goes_on(opened):
    assert opened.locator("#list li").count() == 50
    assert opened.is_disabled("#earlier") and opened.is_disabled("#previous")
    opened.click("#later")
    shows(opened, "51 of")
    opened.locator("#list a").nth(9).click()
    shows(opened, "60 of")
    assert opened.locator("#list a[aria-current]").inner_text().startswith("60. ")
    opened.click("#earlier")
    shows(opened, "1 of")


def test_another_set_keeps_arms_and_test(opened):
    opened.select_option("#test", "paraphrase")
    opened.select_option("#eval_set", "colours")
    opened.wait_for_url("**/colours/index.html*")
    shows(opened, "1 of 3")
    assert opened.input_value("#test") == "paraphrase"


def test_a_part_that_is_missing_is_named(chromium, file, tmp_path):
    folder = viewed.write(tmp_path).parent
    (folder / "tiny.base/overview.js").unlink()
    with browser.page(chromium, folder / "index.html") as page:
        shows(page, "tiny.base/overview.js is not beside this page")


@pytest.mark.parametrize("size", browser.SIZES)
def test_anybody_can_use_it(chromium, file, size, tmp_path):
    with browser.page(chromium, file, size) as page:
        shows(page, f"1 of {N}")
        assert browser.breaches(page) == []
        assert browser.overflow(page) <= 0
        picture = tmp_path / f"{size}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000
        page.select_option("#test", "filler")
        page.wait_for_selector("li.in")
        assert browser.breaches(page) == []


@pytest.fixture
def probed(chromium, tmp_path):
    """The viewer of a set into whose first questions probes looked."""
    with browser.page(chromium, viewed.write_probed(tmp_path)) as page:
        shows(page, "1 of 4")
        yield page
        assert page.complaints == []
        assert page.evaluate("window.hacked") is None


def table_rows(page, side: str, label: str) -> list[list[str]]:
    """The texts of the cells of a table's body."""
    rows = page.locator(f"#arm-{side} [aria-label^='{label}'] tbody tr").all()
    return [[as_seen(cell) for cell in row.locator("th, td").all_text_contents()] for row in rows]


def test_what_the_answer_needs_is_shown_by_step(probed):
    tuned = table_rows(probed, "right", "What the answer of tiny.qlora-sums-1")
    unanswered, none = "unanswered 0.02", "nothing to compare 0.03"
    assert tuned == [
        ["1", "changed 0.10", unanswered, "same 0.00", none, "changed 0.20", "same 0.04"],
        ["2", "changed 0.20", unanswered, "same 0.00", none, "changed 0.40", "same 0.04"],
    ]
    base = table_rows(probed, "left", "What the answer of tiny.base")
    assert [row[1] for row in base] == ["same 0.10", "changed 0.20"]
    assert "Jensen-Shannon" in seen(probed, "#arm-right .inside")


def test_attention_and_decision_are_shown_by_part(probed):
    """Shares are of the half that the first token does not draw: 0.04 / 0.5 = 8 %."""
    rows = {row[0].split(" first")[0]: row[1:] for row in table_rows(probed, "right", "Attention and decision")}
    assert rows == {
        "marks of turns": ["10 %", "20", "", ""],
        "rest of the prompt": ["10 %", "20", "", ""],
        "question": ["20 %", "20", "", ""],
        "just before the chain": ["", "", "0.40", "none"],
        "step 1": ["8.0 %", "20", "0.55", "none"],
        "step 2 second, of arm 1": ["32 %", "20", "0.70", "2"],
        "the words that ask for the answer": ["20 %", "20", "0.85", "1"],
    }
    said = seen(probed, "#arm-right .inside")
    assert "it does not say what is used" in said and "draws 50 %" in said and "to the last, 3, the final" in said
    widths = [bar.bounding_box()["width"] for bar in probed.locator("#arm-right .bar").all()]
    assert widths[4] == pytest.approx(4 * widths[3], rel=0.05) and widths[3] > 1  # step 2, step 1


def test_numbers_change_in_log_probability(chromium, tmp_path):
    with browser.page(chromium, viewed.write_probed(tmp_path, "log_p")) as page:
        shows(page, "1 of 4")
        assert "log-probability" in seen(page, "#arm-right .inside")


def test_a_question_that_was_not_looked_at_says_so(probed):
    for place in ("2 of 4", "3 of 4", "4 of 4"):
        probed.keyboard.press("j")
        shows(probed, place)
    assert "Nothing was looked at here" in seen(probed, "#arm-right .inside")
    assert probed.locator(".inside table").count() == 0


def test_what_is_inside_stays_folded(probed):
    probed.locator("#arm-right .inside summary").click()
    probed.wait_for_function("() => [...document.querySelectorAll('.inside')].every((one) => !one.open)")
    probed.keyboard.press("j")
    shows(probed, "2 of 4")
    assert probed.locator(".inside").count() == 2 and probed.locator(".inside[open]").count() == 0


def test_a_page_without_probes_says_nothing_of_them(opened):
    assert opened.locator(".inside").count() == 0


@pytest.mark.parametrize("size", browser.SIZES)
def test_anybody_can_see_what_is_inside(chromium, tmp_path, size):
    with browser.page(chromium, viewed.write_probed(tmp_path), size) as page:
        shows(page, "1 of 4")
        assert page.locator(".inside table").count() == 4
        assert browser.breaches(page) == []
        assert browser.overflow(page) <= 0


def test_breaches_are_seen(chromium, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<img src="x.png"><p style="color: #bbb; background: #fff">faint</p><div style="width: 3000px">wide</div>'
    )
    with browser.page(chromium, bad) as page:
        found = {line.partition(":")[0] for line in browser.breaches(page)}
        assert {"image-alt", "color-contrast", "html-has-lang"} <= found
        assert browser.overflow(page) > 1000

"""The report: all parts in their order, nothing from outside, every text escaped."""

import base64
from html.parser import HTMLParser

import browser
import pytest

from faithtune.report.page import TEMPLATE, RenderedFigure, RenderedTable, render
from faithtune.report.tables.tables import BACKGROUND, MAIN, SUPPLEMENT
from faithtune.report.tables.texts import Texts

HOSTILE = '</pre><script>alert("x")</script><img src=x onerror=alert(1)> & "quoted" \' {{ 7 * 7 }}'
SVG = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><text>ü</text></svg>'
ORIGIN = {
    "precision": {
        **{"dtype": "float32", "wanted": "auto", "because": "it lacks avx512_bf16"},
        **{"device": "cpu", "device_name": "A Processor"},
    },
    "code": {"commit": "c0ffee", "changed": True},
    "configuration": {
        "models": {"m": {}},
        "tunings": {"qlora": {}},
        "hosted_tunings": {},
        "eval_sets": ["sums", "letters"],
        "filler": HOSTILE,
    },
}
VERDICT = {
    **{"question": "Does it?", "confidence": 0.95, "margin": 0.1},
    "sequences": [],
    "recipes": [{"sentences": ["Of the 2 recipes, one gains.", HOSTILE]}],
    "arms": [
        {
            "headline": "m, tuned on sums (qlora-sums)",
            "sentences": ["Fewer of its chains are valid.", HOSTILE],
            **{name: {"word": "fell"} for name in ("chains", "accuracy", "faithfulness")},
        }
    ],
}


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.ids, self.links, self.images, self.texts = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" else []
        self.images += [attrs] if tag == "img" else []

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def text() -> str:
    return render(
        VERDICT,
        {
            table.name: table
            for table in (
                RenderedTable("claims", "Claims of the paper", Texts("How to read it."), ["claim"], [["C1 <b>"]]),
                RenderedTable(
                    *("t1_accuracy", "T1", Texts("", "Bold: changed."), [HOSTILE, "arm"]),
                    [[HOSTILE, "base"], ["**0.36**† ± .09", "**qlora**"]],
                    MAIN,
                ),
                RenderedTable("t9_diagnostics", "T9", Texts(), [""], [["The study has no answers."]], BACKGROUND),
                RenderedTable(
                    *("s1_accuracy", "S1", Texts("All of it.", "", ("n: <i>",)), ["arm"]), [["base"]], SUPPLEMENT
                ),
            )
        },
        [RenderedFigure("forest", HOSTILE, HOSTILE, SVG), RenderedFigure("verdict", "Seen", "", SVG)],
        {"cot_number.txt": HOSTILE},
        ORIGIN,
        "rule  seconds\ntune  1",
        TEMPLATE.read_text(encoding="utf-8"),
    )


_ORDER = ("verdict", "figure-verdict", "claims", "t1_accuracy", "figure-forest", "t9_diagnostics")
_ORDER += ("s1_accuracy", "prompts", "provenance", "runtimes")


def test_the_parts_stand_in_their_order(text):
    places = [text.index(f'id="{name}"') for name in _ORDER]
    assert places == sorted(places)
    assert text.index("<h1>Does it?") < text.index("<strong>Of the 2 recipes, one gains.") < text.index('class="words"')
    assert text.index("<h1>Does it?") < text.index("<li>Fewer of its chains are valid.</li>") < places[1]
    assert "tune  1" in text and "c0ffee with changes" in text


def test_what_is_behind_the_numbers_is_folded(text):
    for name, folded in {"t1_accuracy": False, "t9_diagnostics": True, "s1_accuracy": True, "claims": False}.items():
        assert (f'<details id="{name}">' in text) == folded and (f'<section id="{name}">' in text) != folded
    assert "details::details-content" in text  # printed all the same


def test_what_others_wrote_is_text(text):
    page = Page(text)
    assert "script" not in page.tags and page.tags.count("img") == 2
    assert page.texts.count(HOSTILE) == 7  # sentence, title (in the contents, too), caption, column, cell, prompt
    assert "49" not in "".join(page.texts)  # a template's braces are no template of ours


def test_bold_is_the_number_of_a_cell_alone(text):
    assert "<strong>0.36</strong>† ± .09" in text and "**qlora**" in text
    assert text.index('id="t1_accuracy"') < text.index("Bold: changed.") < text.index("n: &lt;i&gt;")


def test_it_needs_nothing_but_itself(text):
    page = Page(text)
    viewers = ["items/sums/index.html", "items/letters/index.html"]
    assert page.links[:2] == viewers  # beside the page, and nothing of it is missed without them
    assert set(page.links[2:]) <= {f"#{name}" for name in page.ids}
    assert len(page.links) == 2 + 4 + 1 + 3
    picture = page.images[1]
    assert base64.b64decode(picture["src"].removeprefix("data:image/svg+xml;base64,")).decode() == SVG
    assert "link" not in page.tags and "iframe" not in page.tags
    assert "default-src 'none'" in text


def test_it_can_be_read_aloud(text):
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("h1") == 1 and page.tags.count("main") == 1
    assert [picture["alt"].partition(". Its")[0] for picture in page.images] == ["Seen", HOSTILE]
    assert text.count('scope="col"') == 1 + 2 + 1 and text.count('scope="row"') == 1 + 2 + 1
    assert "The study has no answers." in page.texts and '<th scope="col"></th>' not in text
    assert '<html lang="en">' in text


@pytest.mark.slow
@pytest.mark.parametrize("size", browser.SIZES)
def test_anybody_can_use_it(text, tmp_path, size):
    file = tmp_path / "index.html"
    wide = f"<tr>{'<td>0.50 [0.40, 0.60] n=20</td>' * 30}</tr>"  # as tables of many arms are
    file.write_text(text.replace("</tbody>", f"{wide}</tbody>", 1), encoding="utf-8")
    with browser.browser() as chromium, browser.page(chromium, file, size) as page:
        assert browser.breaches(page) == []
        assert browser.overflow(page) <= 0
        assert page.evaluate("document.querySelector('#claims .wide').scrollWidth > innerWidth")
        page.click("summary:has-text('cot_number.txt')")
        assert HOSTILE in page.locator("details pre").first.inner_text()
        assert page.complaints == []

"""Snakemake's own report of a finished study is one file, needs no network and begins with the verdict."""

import browser

from faithtune.report.figures import figures


def test_snakemakes_report_opens_with_the_verdict(study):
    file = study.folder / "results/report.html"
    done = study.snakemake("--report", str(file))
    assert done.returncode == 0, done.stdout
    drawn = figures.names(study.config["eval_sets"])
    with browser.browser() as chromium, browser.page(chromium, file) as page:
        entries = page.get_by_text("1 The study, its verdict first"), page.get_by_text("2 Figures, one by one")
        first, second = (entry.bounding_box()["y"] for entry in entries)
        assert first < second
        entries[0].click()
        page.locator("[iconname=eye]").first.click()
        shown = page.frame_locator("iframe")
        shown.locator("h2").first.wait_for()
        assert "tuned on" in shown.locator("#verdict h2").first.inner_text()
        assert shown.locator("main > h2").all_inner_texts()[:3] == ["Claims", "Tables", "Figures"]
        assert shown.locator("figure").count() == len(drawn)
        assert page.complaints == []

"""Takes the manual's pictures of a finished study: python tests/pictures.py [FOLDER]

Writes docs/pictures/viewer.png, the item viewer in FOLDER/results (the embedded study's), and match.svg beside it, a
figure of that study.
"""

import shutil
import sys
from pathlib import Path

import browser

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
# An address of the viewer: a question whose answer the tuned arm keeps when half of its steps are filler.
ITEM = "#test=filler&at=0.5&changed=%3D&full=r"
SIZE = "wide"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT) / "results"
    PICTURES.mkdir(exist_ok=True)
    viewer = folder / "report/items/hours/index.html"
    with browser.browser() as chromium, browser.page(chromium, viewer, SIZE, ITEM) as page:
        page.wait_for_selector("#arm-right ol.steps li.in")
        page.screenshot(path=PICTURES / "viewer.png")
    shutil.copyfile(folder / "figures/match_hours.svg", PICTURES / "match.svg")


if __name__ == "__main__":
    main()

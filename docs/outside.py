"""A hook of MkDocs: links to files of the repository outside of docs/ work there, and are paths on the site."""

import re

OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:config|tests|resources|workflow)/[^)#]*|[A-Z]+\.md)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with each such link as its text and the path from the repository's root."""
    return OUTSIDE.sub(r"\1 (`\2`)", markdown)

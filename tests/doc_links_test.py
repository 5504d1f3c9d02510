#!/usr/bin/env python3
"""Checks that every relative link of the tree's Markdown leads to a file that is there, and every #anchor to a heading."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.+?)\s*$", re.MULTILINE)


def anchors(markdown):
    """What a page's headings are called in links: lower case, blanks as dashes, punctuation gone."""
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in HEADING.findall(markdown)}


def broken(page, target):
    """Why a link to `target` on the page at `page` leads nowhere, or None."""
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    if not linked.exists():
        return "no such file"
    if not linked.is_relative_to(ROOT):
        return "leaves the tree"
    if anchor and anchor not in anchors(linked.read_text()):
        return "no such heading"
    return None


def pages():
    for path in sorted(ROOT.glob("**/*.md")):
        top = path.relative_to(ROOT).parts[0]
        if top != "build" and not top.startswith("."):
            yield path


def check_the_checker():
    """The check must be able to fail."""
    readme = ROOT / "README.md"
    for target in ["docs/no-such-page.md", "#no-such-heading", "docs/architecture.md#no-such-heading", "../elsewhere.md"]:
        assert broken(readme, target), f"a link to {target} must be found broken"
    for target in ["docs/architecture.md", "docs/", "#try-it"]:
        assert not broken(readme, target), f"a link to {target} must be found good"


def main():
    check_the_checker()
    checked = 0
    errors = []
    for page in pages():
        for target in LINK.findall(CODE.sub("", page.read_text())):
            if re.match(r"\w+:", target):
                continue
            checked += 1
            why = broken(page, target)
            if why:
                errors.append(f"{page.relative_to(ROOT)}: {target}: {why}")
    print("\n".join(errors + [f"{checked} links checked, {len(errors)} broken"]))
    sys.exit(1 if errors or checked == 0 else 0)


if __name__ == "__main__":
    main()

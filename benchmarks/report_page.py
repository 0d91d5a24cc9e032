"""How a report looks in a browser: axe's findings and elements outside the viewport, at two widths and both styles.

    python -m benchmarks.report_page REPORT.html AXE.min.js OUT [--browser /usr/bin/chromium]

Needs the package ``playwright``, a Chromium, and the file ``axe.min.js`` of the npm package ``axe-core``. None of these
is in the product's lock files. Pictures go to ``OUT``, and one JSON line a viewport is printed. All folded parts are
opened for the check. An element inside a box that scrolls is not counted as outside, and neither is the skip link,
which is shown only when focused. The exit code is 1 after a finding.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
# Widths in CSS pixels: a laptop, and a common phone.
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
VIEWPORTS = [(f"{name}-{scheme}", size, scheme) for name, size in SIZES.items() for scheme in ("light", "dark")]
OUTSIDE = """() => {
  const width = document.documentElement.clientWidth;
  const clipped = e => { for (let p = e.parentElement; p; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
  return [...document.querySelectorAll('body *:not(.skip)')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.height && (box.right > width + 1 || box.left < -1) && !clipped(e);
  }).map(e => e.outerHTML.slice(0, 120));
}"""
VIOLATIONS = """async () => (await axe.run(document)).violations.map(
  v => ({rule: v.id, impact: v.impact, nodes: v.nodes.length}))"""


def look(page: Any, report: Path, axe: str, picture: Path) -> dict[str, Any]:
    """Open the report, take a picture of its head, and check the report with all parts unfolded."""
    page.goto(report.resolve().as_uri())
    page.screenshot(path=picture)
    page.evaluate("() => document.querySelectorAll('details').forEach(part => part.open = true)")
    page.evaluate(axe)
    return {"outside": page.evaluate(OUTSIDE), "violations": page.evaluate(VIOLATIONS)}


def looks(report: Path, axe: Path, out: Path, browser_path: str) -> Mapping[str, dict[str, Any]]:
    """The findings of each viewport."""
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=browser_path, args=list(FLAGS))
        for name, (width, height), scheme in VIEWPORTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            found[name] = look(page, report, axe.read_text(), out / f"{name}.png")
            page.close()
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("axe", type=Path, help="axe.min.js of the npm package axe-core")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    found = looks(args.report, args.axe, args.out, args.browser)
    for name, findings in found.items():
        print(json.dumps({"viewport": name, "bytes": args.report.stat().st_size} | findings))
    return int(any(any(findings.values()) for findings in found.values()))


if __name__ == "__main__":
    sys.exit(main())

"""The page in Chromium: it fits a phone, can be read in the dark and asks for nothing from a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from asr_kd.report.page import report_page, write_page

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")
_PHONE = (360, 740)
_DESK = (1280, 900)
# WCAG 2.1, success criteria 1.4.3 (text) and 1.4.11 (graphics).
_TEXT_CONTRAST = 4.5
_GRAPHICS_CONTRAST = 3.0

pytestmark = pytest.mark.skipif(
    not (_CHROMIUM and _DRIVER), reason="needs chromium and chromedriver (Debian: chromium chromium-driver)"
)

# Everything with text of its own, as [text, colour, colour of the nearest painted background, font size].
_TEXTS = """
const painted = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return colour;
  }
  return 'none';
};
return [...document.querySelectorAll('main *')]
  .filter(element => !element.closest('svg'))
  .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
  .map(element => [element.textContent.trim().slice(0, 40), getComputedStyle(element).color,
                   painted(element), parseFloat(getComputedStyle(element).fontSize)]);
"""

# Every word of a plot as [colour, colour of the cell or bar that it stands on, or of the paper].
_PLOT_WORDS = """
const paper = getComputedStyle(document.body).backgroundColor;
return [...document.querySelectorAll('svg g[id*="text_"]')].map(word => {
  word.scrollIntoView({block: 'center'});
  const box = word.getBoundingClientRect();
  const below = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2)
    .filter(element => element.closest('svg') && !word.contains(element) && element.tagName === 'path')
    .map(element => getComputedStyle(element))
    .find(style => style.fill !== 'none' && style.fillOpacity > 0.5);
  return [getComputedStyle(word.querySelector('use, path, text')).fill, below ? below.fill : paper];
});
"""

_OVERFLOWING = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll('main *')]
  .filter(element => !element.closest('.scroll') && !element.closest('svg'))
  .filter(element => element.getBoundingClientRect().right > width + 1)
  .map(element => element.tagName + ' ' + element.textContent.trim().slice(0, 40));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(_CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(_DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def page(run: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page with every section, and with a word longer than a phone is wide."""
    setup = run.results.setup.model_copy(update={"extra": {"corpus": "a/very/long/path" * 12}})
    results = run.results.model_copy(update={"setup": setup})
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, report_page(results, run.words, run.speakers))
    return path.as_uri()


def show(browser: Chrome, page: str, size: tuple[int, int], scheme: str = "light") -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == _PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(page)


def luminance(colour: str) -> float:
    """Return the relative luminance of ``rgb(r, g, b)`` (WCAG 2.1)."""
    values = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(118, 118, 118)", "rgba(255, 255, 255, 1)") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("size", [_PHONE, _DESK])
def test_nothing_is_wider_than_the_screen(browser: Chrome, page: str, size: tuple[int, int]) -> None:
    show(browser, page, size)
    assert browser.execute_script(_OVERFLOWING) == []
    root = "const root = document.documentElement;"
    widths = "return [window.innerWidth, root.scrollWidth, root.clientWidth]"
    window, content, seen = browser.execute_script(root + widths)
    assert window == size[0]
    assert content == seen  # It is what is left beside a scroll bar.


def test_a_phone_scrolls_the_table_and_keeps_its_first_column(browser: Chrome, page: str) -> None:
    show(browser, page, _PHONE)
    moved = browser.execute_script(
        """
        const box = document.querySelector('.scroll');
        const name = box.querySelector('tbody th'), last = box.querySelector('tbody tr').lastElementChild;
        const places = () => [name.getBoundingClientRect().left, last.getBoundingClientRect().left];
        const before = places();
        box.scrollLeft = 10000;
        return [box.scrollLeft, before, places()];
        """
    )
    scrolled, (name_before, last_before), (name_after, last_after) = moved
    assert scrolled > 0
    assert name_after == pytest.approx(name_before, abs=1)
    assert last_before - last_after == pytest.approx(scrolled, abs=1)
    assert last_after < _PHONE[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_plots_stand_out_from_the_paper(browser: Chrome, page: str, scheme: str) -> None:
    show(browser, page, _PHONE, scheme)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) < 0.1) == (scheme == "dark")
    texts = browser.execute_script(_TEXTS)
    assert len(texts) > 100
    assert [text for text in texts if contrast(text[1], text[2]) < _TEXT_CONTRAST] == []
    assert min(size for *_, size in texts) >= 12
    words = browser.execute_script(_PLOT_WORDS)
    assert len(words) > 100
    assert len({below for _, below in words}) > 3  # The cells of the tuning surface are among them.
    assert [word for word in words if contrast(*word) < _GRAPHICS_CONTRAST] == []


def test_the_page_loads_itself_alone_and_complains_of_nothing(browser: Chrome, page: str) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    show(browser, page, _DESK)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert sent == [page]
    assert browser.get_log("browser") == []


def test_every_plot_is_drawn(browser: Chrome, page: str, tmp_path: Path) -> None:
    show(browser, page, _DESK)
    figures = browser.find_elements("css selector", "figure svg")
    assert len(figures) == 9
    for number, figure in enumerate(figures):
        path = tmp_path / f"{number}.png"
        path.write_bytes(figure.screenshot_as_png)
        pixels = np.asarray(imread(path))[..., :3]
        height, width, _ = pixels.shape
        assert width > 300
        assert height > 100
        assert (np.abs(pixels - pixels[0, 0]).max(axis=2) > 0.2).mean() > 0.005

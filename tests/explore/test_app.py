"""The App in a headless browser: the grid shows pictures, an opened group its pictures and its point cloud."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).parents[2]
PORT = 5171
NEEDED = "chromium", "chromedriver"  # Debian: apt-get install chromium chromium-driver
SHOTS = os.environ.get("SHOTS")  # a folder to leave the screenshots in
OPTIONS = (
    "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --disable-quic"
)
OPTIONS += " --no-first-run --disable-background-networking --disable-component-update --disable-sync"
OPTIONS += " --window-size=1400,900"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    missing = [name for name in NEEDED if not shutil.which(name)]
    assert not missing, f"not installed: {missing}; Debian: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in OPTIONS.split():
        options.add_argument(option)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def app(raw_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the command as a user types it; yield the address of the App."""
    here = tmp_path_factory.mktemp("app")
    log = here / "output.txt"
    command = [sys.executable, "-m", "pipeline", "explore", str(raw_folder), "--name", "viewed", "--port", str(PORT)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BROWSER": "true"}
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job ignores it and so would its children
    with log.open("w") as output:
        running = subprocess.Popen(command, cwd=here, env=environment, stdout=output, stderr=subprocess.STDOUT)
    signal.signal(signal.SIGINT, before)
    try:
        wait_for(lambda: "12 groups at" in log.read_text() or running.poll() is not None, 120)
        assert running.poll() is None, log.read_text()
        yield f"http://localhost:{PORT}/datasets/viewed"
    finally:
        running.send_signal(signal.SIGINT)  # the usual end; a server that outlived this test would fail the next run
    assert running.wait(60) == 0 and "error" not in log.read_text()


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.5)


def shot(browser: webdriver.Chrome, name: str) -> np.ndarray:
    """Return a picture of the page: (H, W, 3) uint8."""
    content = browser.get_screenshot_as_png()
    if SHOTS:
        (Path(SHOTS) / f"{name}.png").write_bytes(content)
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))


def colourful(picture: np.ndarray) -> int:
    """Count the pixels that are no grey and not FiftyOne's own orange, blue or red: objects and points."""
    saturation = picture.max(axis=2).astype(int) - picture.min(axis=2)
    return int((saturation > 60).sum())


def in_viridis(picture: np.ndarray) -> int:
    """Count the pixels in bright colours of the points, which the viewer's axes and buttons do not have."""
    scale = np.round(255 * colormaps["viridis"](np.linspace(0, 1, 64))[:, :3])
    bright = picture[picture.max(axis=2).astype(int) - picture.min(axis=2) > 60].astype(int)
    return int((np.abs(bright[:, None] - scale).max(axis=2).min(axis=1) < 12).sum())


def dismiss(browser: webdriver.Chrome) -> None:
    """Close the invitations that lie over the page."""
    for button in browser.find_elements(By.TAG_NAME, "button"):
        if button.text == "Dismiss":
            button.click()


def lit_tiles(browser: webdriver.Chrome) -> list[WebElement]:
    """Return the canvases of the grid, on which FiftyOne paints samples, that show an object by now."""
    dismiss(browser)
    page = shot(browser, "grid")
    try:
        canvases = [(canvas, canvas.rect) for canvas in browser.find_elements(By.TAG_NAME, "canvas")]
    except StaleElementReferenceException:  # the page is still being put together
        return []
    return [canvas for canvas, box in canvases if box["width"] > 60 and colourful(crop(page, box)) > 50]


def crop(picture: np.ndarray, box: dict) -> np.ndarray:
    top, left = int(box["y"]), int(box["x"])
    return picture[top : top + int(box["height"]), left : left + int(box["width"])]


def test_the_grid_and_an_opened_group_show_pictures_and_the_cloud(app: str, browser: webdriver.Chrome) -> None:
    browser.get(app)
    wait_for(lambda: len(lit_tiles(browser)) >= 6, 120)  # objects, not black tiles
    ActionChains(browser).move_to_element(lit_tiles(browser)[0]).click().perform()
    wait_for(lambda: "groupId" in browser.current_url, 60)
    # without points there are none of these pixels, with the hundreds of a cube about a thousand
    wait_for(
        lambda: cloud(browser) is not None and in_viridis(crop(shot(browser, "group"), cloud(browser).rect)) > 300, 120
    )


def cloud(browser: webdriver.Chrome) -> WebElement | None:
    """Return the canvas of the 3D viewer, None before it is there."""
    drawn = [
        canvas for canvas in browser.find_elements(By.CSS_SELECTOR, "canvas[data-engine]") if canvas.is_displayed()
    ]
    return drawn[0] if drawn else None

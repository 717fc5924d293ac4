"""How smoothly the page's map moves and its collection scrolls, in a headless Chromium, over made-up paintings.

    pip install 'artidx[dev]'; apt install chromium
    python benchmarks/page.py

The page is the service's own; its requests about paintings are answered here: maps of 20,000 and of 100,000, a
collection of 100,000. While every frame zooms, moves or scrolls, these times are measured: between frames, which
depends on other programs; and CPU time per frame of the page's script, of its whole main thread (script, style, layout,
painting), and of the process that draws. Without a graphics card, that process computes every pixel on the CPU and
limits the frame rate; with one, only the main thread uses the CPU.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import CDPSession, Page, Route, sync_playwright

from artidx.service.projection import along_curve
from artidx.service.sheets import cell_of

FRAMES, SETTLE_MS = 60, 8_000
MODEL = {"model": "0" * 64, "generation": 1}
TIMED = """async () => {
  const step = CHANGE, times = [];
  let before;
  await new Promise((done) => {
    const frame = (now) => {
      if (before) times.push(now - before);
      before = now;
      if (times.length >= FRAMES) return done();
      step(times.length);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  return times;
}"""
SHEETS = r"""
const fetched = fetch, bytes = Uint8Array.from(atob("SHEET"), (each) => each.charCodeAt(0));
fetch = async (address, ...rest) =>
  /map.sheets/.test(address)
    ? new Response(new Blob([bytes], { type: "image/webp" }), { headers: { "artidx-generation": "1" } })
    : fetched(address, ...rest);
"""
CANVAS = 'const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();'
STEPS = {
    "zoom into the map": f"""(n) => {{ {CANVAS} canvas.dispatchEvent(new WheelEvent("wheel",
        {{ deltaY: n < 90 ? -18 : 18, clientX: box.x + 500, clientY: box.y + 300 }})); }}""",
    "move the map": f"""(n) => {{ {CANVAS} canvas.dispatchEvent(new KeyboardEvent("keydown",
        {{ key: n % 40 < 20 ? "ArrowLeft" : "ArrowRight" }})); }}""",
    "scroll the collection": "(n) => scrollBy(0, 40)",
    "fly through the collection": "(n) => scrollBy(0, 4000)",
}


def painting(number: int) -> dict[str, object]:
    facts = {"title": f"Work {number}", "year": 1500 + number % 400, "attribution": None, "object": None, "url": None}
    return {"id": str(number), "path": "made-up.jpg", "artist": f"Artist {number % 997}", **facts}


def the_map(paintings: int) -> bytes:
    chance = np.random.default_rng(0)
    middles = chance.random((60, 2))
    points = np.clip(middles[chance.integers(0, 60, paintings)] + chance.normal(0, 0.06, (paintings, 2)), 0, 1)
    points = points[along_curve(points.astype(np.float32))]
    codes = chance.integers(0, 40, paintings).tolist()
    found = {
        "ids": [str(number) for number in range(paintings)],
        "x": points[:, 0].round(4).tolist(),
        "y": points[:, 1].round(4).tolist(),
        "labels": {"artist": {"values": [f"Artist {number}" for number in range(40)], "codes": codes}},
        "years": chance.integers(1400, 1950, paintings).tolist(),
        "cell": cell_of(paintings),
        "total": paintings,
    }
    return json.dumps(found | MODEL).encode()


def picture(kind: str, side: int) -> bytes:
    chance, stream = np.random.default_rng(1), io.BytesIO()
    cells = Image.fromarray(chance.integers(0, 255, (32, 32, 3), dtype=np.uint8)).resize((side, side))
    cells.save(stream, kind)
    return stream.getvalue()


def answer_for(page: Page, paintings: int) -> None:
    """What is asked of paintings is answered without the service."""
    drawn, sheet, thumbnail = the_map(paintings), picture("WEBP", 512), picture("JPEG", 320)

    def listed(route: Route) -> None:
        asked = re.search(r"per_page=(\d+)(?:&page=(\d+))?", route.request.url)
        per_page, number = (int(asked[1]), int(asked[2] or 1)) if asked else (50, 1)
        some = [painting(each) for each in range((number - 1) * per_page, min(number * per_page, paintings))]
        route.fulfill(json={"paintings": some, "total": paintings, "page": number} | MODEL)

    page.route("**/v1/map", lambda route: route.fulfill(body=drawn, content_type="application/json"))
    page.add_init_script(SHEETS.replace("SHEET", base64.b64encode(sheet).decode()))
    page.route("**/v1/thumbnails/*", lambda route: route.fulfill(body=thumbnail, content_type="image/jpeg"))
    page.route("**/v1/paintings?*", listed)
    page.route("**/v1/facets?*", lambda route: route.fulfill(json={"facets": []} | MODEL))


def drawing_s() -> float:
    """CPU seconds of the browser's process that draws, from Linux."""
    processes = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            is_drawing = b"--type=gpu-process" in (path / "cmdline").read_bytes()
            processes[int(path.name)] = int(fields[1]), is_drawing, int(fields[11]) + int(fields[12])
    ours = {os.getpid()}
    while more := {pid for pid, (parent, *_) in processes.items() if parent in ours} - ours:
        ours |= more
    ticks = sum(spent for pid, (_, is_drawing, spent) in processes.items() if pid in ours and is_drawing)
    return ticks / os.sysconf("SC_CLK_TCK")


def spent_s(session: CDPSession) -> dict[str, float]:
    """CPU time of the page's main thread and of its script, and of the process that draws."""
    found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return {"script": found["ScriptDuration"], "main thread": found["TaskDuration"], "drawing": drawing_s()}


def measure(page: Page, what: str) -> None:
    """Print the middle and the worst of the times between frames, and times of the CPU for a frame, in ms."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = spent_s(session)
    times = page.evaluate(TIMED.replace("CHANGE", STEPS[what]).replace("FRAMES", str(FRAMES)))
    cpu = {name: 1000 * (now - before[name]) / len(times) for name, now in spent_s(session).items()}
    session.detach()
    slow = statistics.quantiles(times, n=20)[-1]
    said = ", ".join(f"{name} {ms:.1f} ms" for name, ms in cpu.items())
    print(f"  {what}: {statistics.median(times):.1f} ms, 95% within {slow:.1f} ms; CPU: {said}", flush=True)


def main() -> None:
    """Print the times."""
    command = [sys.executable, "-m", "artidx.cli", "serve", "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service,
        sync_playwright() as playwright,
    ):
        assert service.stdout is not None
        url = next(found[0] for line in service.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        try:
            for paintings in (20_000, 100_000):
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                answer_for(page, paintings)
                print(f"{paintings:,} paintings on the map")
                page.goto(f"{url}/#/map")
                page.wait_for_selector("canvas[data-drawn]", timeout=120_000)
                page.wait_for_timeout(SETTLE_MS)
                measure(page, "zoom into the map")
                measure(page, "move the map")
                page.close()
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            answer_for(page, 100_000)
            page.goto(f"{url}/#/collection")
            page.wait_for_selector(".wall img")
            print("100,000 paintings in the collection")
            measure(page, "scroll the collection")
            measure(page, "fly through the collection")
            most = page.locator(".wall li").count()
            print(f"  elements of the wall at once: {most}")
            browser.close()
        finally:
            service.terminate()


if __name__ == "__main__":
    main()

"""The ONNX file in a browser: onnxruntime-web in headless Chromium."""

import json
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from exported import NETWORKS, draw_image, expected, make_bundle
from ulens.export.onnx import make_onnx

PAGE = """<!doctype html><script src="node_modules/onnxruntime-web/dist/ort.min.js"></script>
<script>
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = "/node_modules/onnxruntime-web/dist/";
(async () => {
  const session = await ort.InferenceSession.create("model.onnx", {executionProviders: ["wasm"]});
  const pixels = new Float32Array(await (await fetch("image.bin")).arrayBuffer());
  const image = new ort.Tensor("float32", pixels, SHAPE);
  const {maps} = await session.run({image});
  return {shape: maps.dims, values: Array.from(maps.data)};
})().catch(error => ({error: String(error)}))
    .then(found => fetch("/found", {method: "POST", body: JSON.stringify(found)}));
</script>"""


@pytest.mark.slow
def test_onnxruntime_web_gives_the_same_maps(tmp_path):
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None
    )
    if browser is None or shutil.which("npm") is None:
        pytest.skip("needs Chromium and npm")
    got = subprocess.run(["npm", "install", "onnxruntime-web"], cwd=tmp_path, capture_output=True)
    if got.returncode:
        pytest.skip("npm cannot fetch onnxruntime-web here")
    bundle, image = make_bundle(NETWORKS[0], zoom=(0.5, 0.5)), draw_image(3, (61, 47))
    (tmp_path / "model.onnx").write_bytes(make_onnx(bundle))
    (tmp_path / "image.bin").write_bytes(image.astype(np.float32).tobytes())
    (tmp_path / "index.html").write_text(PAGE.replace("SHAPE", str([1, *image.shape])))
    answers = []

    class Handler(SimpleHTTPRequestHandler):
        def do_POST(self):
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_):
            pass

    done = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/index.html"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", address]
        with subprocess.Popen(
            [*command, f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as running:  # fmt: skip
            done.wait(120)
            running.kill()
        server.shutdown()
    assert answers, "the page gave no answer within two minutes"
    assert "error" not in answers[0], answers[0]
    found = np.array(answers[0]["values"]).reshape(answers[0]["shape"])[0]
    assert found == pytest.approx(expected(bundle, image), abs=1e-4)

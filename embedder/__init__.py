"""Images to vectors: decode (images.py), find (catalog.py, locations.py), embed (runtime.py)."""

import os

# ONNX Runtime writes a device id into the user's home and looks up its maker's telemetry host, unless it is told not
# to before it is loaded. Whatever of ours loads it lies below this package, in this process or in a Ray worker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

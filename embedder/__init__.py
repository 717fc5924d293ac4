"""Images to vectors: decode (images.py), find (catalog.py, locations.py), embed (runtime.py)."""

import os

# Without this setting, ONNX Runtime writes a device id into the user's home and looks up its maker's telemetry host. It
# must be set before the library is loaded; all our code that loads it is in this package.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

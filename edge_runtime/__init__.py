"""The device: capture, features, decisions, telemetry, updates.

One rule: it imports the standard library and the C core, never the cloud.
"""

__version__ = "0.1.0"

"""The device daemon: sources in, decisions out, telemetry up, bundles down.

One rule: deciding never waits for disk or network.

Not here: what a part does (its own package). Here the parts are read from one file, sized, wired and stopped.
"""

from edge_runtime.daemon.config import Config, StreamConfig, load_config

__all__ = ["Config", "StreamConfig", "load_config"]

"""From the spool to the store: letters over MQTT, sent again until the store itself says that it has them."""

from edge_runtime.transport.courier import Courier, SpoolPort
from edge_runtime.transport.link import Endpoint, MqttLink, Tls
from edge_runtime.transport.port import Letter, Link, Message
from edge_runtime.transport.thread import LinkThread

__all__ = ["Courier", "Endpoint", "Letter", "Link", "LinkThread", "Message", "MqttLink", "SpoolPort", "Tls"]

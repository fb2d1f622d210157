"""The drivers: the only code that touches the network, the clock or an event loop."""

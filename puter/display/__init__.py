"""How values look in notebooks; loaded when one is shown."""

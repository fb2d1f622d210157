"""Two plugins, ``today`` and ``dice``, and ``fortune``, a command of the command line."""

"""What a process's exit code says to whoever started it."""

from typing import Final

EXIT_OK: Final = 0
EXIT_CONFIGURATION: Final = 78
"""A person has to change something; trying again won't help [sysexits.h, EX_CONFIG]."""

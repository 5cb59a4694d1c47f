"""How a tool is run and stopped: every call that only Linux has is here."""

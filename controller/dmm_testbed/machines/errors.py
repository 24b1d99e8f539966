"""What goes wrong with machines, told so that the user can act on it."""


class MachineError(Exception):
    """Something about the machines that the user has to know; its text is ready to be shown."""

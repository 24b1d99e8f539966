"""The other world: the same functions on a virtual network and clock, everything from one seed."""

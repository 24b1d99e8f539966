"""What an agent remembers on disk: the rows that its functions asked for with `Remember`."""

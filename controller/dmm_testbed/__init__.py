"""The controller's side of the DMM testbed: topology, machines, measuring, scenario and report."""

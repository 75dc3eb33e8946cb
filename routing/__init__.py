"""How a task travels: domains, topology, the worker's side, the schedule and the console."""

"""When tasks run by themselves: beat and what it has fired."""

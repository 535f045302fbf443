"""How a client behaves: checks over the journal, as a report and as assertions."""

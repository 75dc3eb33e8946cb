"""A report of one period: built once, kept with its figures and files, and sent once to each who is subscribed."""

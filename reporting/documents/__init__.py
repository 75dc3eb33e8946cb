"""A report as data: what it says, apart from how a mail, a page or a table shows it."""

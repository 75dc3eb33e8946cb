"""How long the admin's pages of results take, at millions of them."""
